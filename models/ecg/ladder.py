"""What the ladders of all ECG families share."""

BASE = "330k"
"""Name of the rung whose learning rates are the run's own, in each family."""
