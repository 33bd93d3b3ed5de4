"""Who takes part in a private step."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client.privacy.noise import uniforms
from wardlaw.errors import ConfigError


def sampling_rate_of(expected: float, patients: int, name: str) -> float:
    """Q = B / n, for B expected of the n patients of ``name``.

    Raises
    ------
    ConfigError
        If more patients are expected than there are.
    """
    if expected > patients:
        raise ConfigError(
            f"privacy.patients = {expected:g}, but the train split has {patients} patients",
            where=name,
            remedy="Set privacy.patients lower",
        )
    return expected / patients


@dataclass(frozen=True)
class PoissonDraws:
    """Each patient by a coin of its own at each step, whoever else is drawn.

    This is the sampling that the accountant's Poisson-subsampled Gaussian means: shuffled batches of a
    fixed size, with the same noise, can cost several times the epsilon (Chua et al., arXiv 2403.17673).
    The number drawn varies, and may be 0.

    Attributes
    ----------
    patients : int
        n.
    rate : float
        q: probability of each patient at each step, in [0, 1].
    key : bytes of length 32
        Amplification by sampling holds only towards those who cannot tell who was drawn.

    Raises
    ------
    ValueError
        If the rate is not a probability.
    """

    patients: int
    rate: float
    key: bytes

    def __post_init__(self) -> None:
        if not 0.0 <= self.rate <= 1.0:
            raise ValueError(f"a sampling rate lies in [0, 1], not at {self.rate}")

    def members(self, step: int) -> NDArray[np.int64]:
        """Patients of a step, ascending: a pure function of step and key."""
        return np.flatnonzero(uniforms(self.key, "draw", step, count=self.patients) < self.rate)
