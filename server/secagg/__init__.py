"""The server's side of secure aggregation: a graph, a running sum of masked updates, and its unmasking."""
