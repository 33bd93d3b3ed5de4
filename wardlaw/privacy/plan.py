"""Private training at one site: what it draws, adds and costs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """Private training at one site.

    Attributes
    ----------
    patients : int
        n: the site's train patients.
    batch : int
        B: patients a step draws on average, at most n.
    steps : int
        T: steps of the whole training, all rounds together.
    delta : float
    noise_multiplier : float
        sigma: noise on a step's sum of clipped gradients, over the clipping norm.
    epsilon : float
        What the T steps cost.
    """

    patients: int
    batch: int
    steps: int
    delta: float
    noise_multiplier: float
    epsilon: float

    @property
    def sampling_rate(self) -> float:
        """Probability with which a step draws a patient: q = B / n."""
        return self.batch / self.patients

    @property
    def noise_batch_ratio(self) -> float:
        """Noise on a step's mean gradient, sigma / B (McKenna et al., arXiv 2501.18914, section 3)."""
        return self.noise_multiplier / self.batch
