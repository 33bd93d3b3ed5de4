"""What a mechanism's events cost: accountants, calibration, and the statement of a run."""
