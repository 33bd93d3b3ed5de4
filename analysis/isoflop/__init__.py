"""IsoFLOP analysis: optimal sizes at each budget, the power law through them, and its bias."""
