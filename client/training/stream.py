"""What a replica's batches are to the trainer, whatever they are made of."""

from typing import Protocol

from models.model import Batch


class Stream(Protocol):
    """Endless batches of one shard, or of the union of several.

    Attributes
    ----------
    name : str
        The replica's name.
    unique_tokens : int
        Tokens, or samples, of one epoch.
    """

    name: str
    unique_tokens: int

    def batch(self, step: int) -> Batch:
        """Batch of a step counted from 0 over the run, on the CPU: a pure function of the step."""
