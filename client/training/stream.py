"""What a replica's batches are to the trainer, whatever they are made of."""

from typing import Protocol

from models.model import Batch


class Source(Protocol):
    """Patients that a replica learns from.

    Attributes
    ----------
    name : str
        The replica's name.
    unique_tokens : int
        Tokens, or samples, of one epoch.
    """

    name: str
    unique_tokens: int


class Stream(Source, Protocol):
    """Endless batches of one shard, or of the union of several."""

    def batch(self, step: int) -> Batch:
        """Batch of a step counted from 0 over the run, on the CPU: a pure function of the step."""
