"""Local training: packed batches, schedule, the one trainer."""
