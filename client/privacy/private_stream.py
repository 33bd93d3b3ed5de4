"""What a private replica draws from, whatever it is made of."""

from typing import Protocol

from models.model import Batch


class PrivateStream(Protocol):
    """Poisson draws of the patients of one shard, or of the union of several.

    Attributes
    ----------
    name : str
        The replica's name.
    patients : int
        n: patients who may be drawn.
    sampling_rate : float
        q: probability with which each patient is drawn at each step, whoever else is.
    unique_tokens : int
        Tokens, or samples, of all patients.
    """

    name: str
    patients: int
    sampling_rate: float
    unique_tokens: int

    def draw(self, step: int) -> tuple[Batch, ...]:
        """Batches of a step's patients, one a patient, on the CPU: a pure function of step and key.

        It may be empty, and the step is taken all the same.
        """
