"""Attacks on what a run claims of its privacy: canaries, lower bounds, verdicts, membership inference."""
