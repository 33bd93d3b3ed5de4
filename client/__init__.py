"""What runs inside a hospital: shards, tokeniser, local training, policy, the ClientApp."""
