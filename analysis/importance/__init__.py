"""Which hyper-parameters a metric depends on: the design-space analysis."""
