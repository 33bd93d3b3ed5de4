"""Generated 12-lead ECG whose labels follow a known rule: no record of any person."""
