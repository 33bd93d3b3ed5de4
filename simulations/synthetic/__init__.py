"""Synthetic hospitals whose entropy rate is known."""
