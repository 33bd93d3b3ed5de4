"""A patient's privacy at a site: draws, clipped gradients, noise, and the ledger of what was spent."""
