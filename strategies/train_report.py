"""What one round of training came to."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TrainReport:
    """What one round of training came to.

    Attributes
    ----------
    examples : dict of str to int
        Training tokens of each site that counted, in the order of the replies; where only their sum is
        known, even parts of it.
    rejected : dict of str to str
        Reason by site that did not.
    failure : str
        Why there is no new model; empty where there is one.
    loss : float
        Training loss in nats per token over all tokens of the round.
    tokens : int
        Tokens trained on by the sites that counted.
    flops : float
        FLOPs of their training, added up.
    seconds : float
        Time they spent training, added up.
    bytes_down, bytes_up : int
        Model bytes to and from the server.
    figures : mapping of str to float
        What else is to stand in the round's row: what a mechanism cost or changed.
    """

    examples: dict[str, int]
    rejected: dict[str, str]
    failure: str
    loss: float
    tokens: int
    flops: float
    seconds: float
    bytes_down: int
    bytes_up: int
    figures: Mapping[str, float] = field(default_factory=dict)
