"""A law fitted to a table of runs, with all that a reader needs to judge it."""
