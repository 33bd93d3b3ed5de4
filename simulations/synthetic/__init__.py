"""Synthetic hospitals: a known generative process, its timelines as MEDS roots, and its entropy."""
