"""What an ECG model's features and answers are worth: diagnoses at the run's sites and at others."""
