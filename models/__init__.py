"""Architectures, objectives, the scale ladders, parameter and FLOP counts."""
