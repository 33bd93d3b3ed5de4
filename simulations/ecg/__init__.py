"""ECG: synthetic hospitals, partitions of one source, federations of signal shards."""
