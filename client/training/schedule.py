"""Learning rate of a step: warm-up and decay over the run's whole budget, across rounds."""

import math

from wardlaw.config.train import TrainSection


def learning_rate(section: TrainSection, step: int, steps: int) -> float:
    """Base rate of a step; muP's multipliers come on top.

    Rises in equal parts to the peak over the first ``warmup-fraction`` of the steps, then falls so
    that the run's last step trains at ``floor-fraction`` of the peak.

    Parameters
    ----------
    section : TrainSection
        Peak, fractions and shape.
    step : int
        From 0 over the whole run.
    steps : int
        Of the whole run.

    Raises
    ------
    ValueError
        If the run has no such step.

    Examples
    --------
    >>> section = TrainSection(learning_rate=1.0, warmup_fraction=0.5, floor_fraction=0.5, decay="linear")
    >>> [learning_rate(section, step, 4) for step in range(4)]
    [0.5, 1.0, 0.75, 0.5]
    """
    if not 0 <= step < steps:
        raise ValueError(f"step {step} of a run of {steps}")
    warmup = round(section.warmup_fraction * steps)
    if step < warmup:
        return section.learning_rate * (step + 1) / warmup
    progress = (step + 1 - warmup) / (steps - warmup)
    match section.decay:
        case "constant":
            left = 1.0
        case "linear":
            left = 1.0 - progress
        case "cosine":
            left = (1.0 + math.cos(math.pi * progress)) / 2
    return section.learning_rate * (section.floor_fraction + (1.0 - section.floor_fraction) * left)
