"""Reads run records only: fits, comparisons, figures, the report."""
