"""Scaling laws, one a file: the equation with its Jacobian, and nothing else."""
