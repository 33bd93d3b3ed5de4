"""Aggregation strategies, one a file, on the Strategy API of Flower."""
