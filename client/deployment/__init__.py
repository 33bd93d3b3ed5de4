"""A hospital's side of a deployment: node key and SuperNode."""
