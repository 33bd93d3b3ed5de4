"""Minimisers of many regressions at once."""
