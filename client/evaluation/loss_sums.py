"""What a site reports of a model's loss."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LossSums:
    """Sums over one split; those of several sites add up to the pooled loss.

    Attributes
    ----------
    nats : float
        Summed over all targets.
    tokens : int
        Number of targets: every token but each patient's first of EHR; of ECG, what the
        objective counts (a label, a patch).
    events : int
        Events of EHR, whatever the tokeniser, so that nats per event compare between
        tokenisers; records of ECG.
    patients : int
    """

    nats: float
    tokens: int
    events: int
    patients: int
