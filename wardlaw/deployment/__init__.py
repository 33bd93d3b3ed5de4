"""Running Flower's programs as children of ours: processes, environment, health."""
