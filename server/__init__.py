"""The ServerApp: admission, rounds, checkpoints, evaluation."""
