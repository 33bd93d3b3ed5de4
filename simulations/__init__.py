"""Synthetic hospitals, in-process federation, baselines and studies."""
