"""Tables of runs: read from run records or from any CSV or Parquet file, checked, filtered."""
