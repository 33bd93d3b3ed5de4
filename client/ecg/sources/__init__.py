"""Where ECG records come from: one source a file."""
