"""Electronic health records: source tables to MEDS, MEDS to tokenised shards."""
