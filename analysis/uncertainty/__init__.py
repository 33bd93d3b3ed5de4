"""Intervals: the bootstrap over runs, profile likelihood, seed noise."""
