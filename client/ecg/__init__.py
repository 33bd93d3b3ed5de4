"""ECG: sources of records, signal shards, scoring."""
