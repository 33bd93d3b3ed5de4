"""Groups of runs against each other: gaps, exponents, efficiencies."""
