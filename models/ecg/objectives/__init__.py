"""What an ECG model learns: one objective a file."""
