"""Scores of diagnoses: the Challenge's metric, rankings, thresholds, intervals."""
