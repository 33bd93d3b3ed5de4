"""What a private replica draws from, whatever it is made of."""

from typing import Protocol

from client.training.stream import Source
from models.model import Batch


class PrivateStream(Source, Protocol):
    """Poisson draws of the patients of one shard, or of the union of several.

    Attributes
    ----------
    patients : int
        n: patients who may be drawn.
    sampling_rate : float
        q: probability with which each patient is drawn at each step, whoever else is.
    expected_tokens : float
        Mean of what a step's patients take of a token budget: it follows from the shard, and from no draw.
    """

    patients: int
    sampling_rate: float
    expected_tokens: float

    def draw(self, step: int) -> tuple[Batch, ...]:
        """Batches of a step's patients, one a patient, on the CPU: a pure function of step and key.

        It may be empty, and the step is taken all the same.
        """
