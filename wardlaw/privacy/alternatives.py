"""Other plans at the price of one: batches and steps at equal epsilon, and cheap simulations of a plan."""

from collections.abc import Sequence
from dataclasses import dataclass

from wardlaw.errors import ConfigError
from wardlaw.privacy.calibration import calibrated
from wardlaw.privacy.plan import Plan

BATCHES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Multiples of a plan's batch that ``at_equal_epsilon`` looks at."""

STEPS = (0.5, 1.0, 2.0)
"""Multiples of a plan's steps that ``at_equal_epsilon`` looks at."""


def at_equal_epsilon(
    plan: Plan, batches: Sequence[float] = BATCHES, steps: Sequence[float] = STEPS
) -> tuple[Plan, ...]:
    """Plans that cost what ``plan`` costs, by batch and then steps.

    What training feels of the noise is its ``noise_batch_ratio``. A larger batch lowers it at the price
    of compute, by ever less once the batch nears the site's number of patients.

    Parameters
    ----------
    plan : Plan
        With a finite epsilon.
    batches, steps : sequence of float
        Multiples of the plan's. A batch larger than the site is left out, one below 1 patient is 1.

    Raises
    ------
    ConfigError
        As ``noise_for`` does.
    """
    drawn = sorted({max(1, round(plan.batch * factor)) for factor in batches})
    numbers = sorted({max(1, round(plan.steps * factor)) for factor in steps})
    found: list[Plan] = []
    for batch in (batch for batch in drawn if batch <= plan.patients):
        for number in numbers:
            near = found[-1] if found else plan
            noise, spent = calibrated(
                plan.epsilon, plan.delta, batch / plan.patients, number, near.noise_multiplier
            )
            found.append(Plan(plan.patients, batch, number, plan.delta, noise, spent))
    return tuple(found)


@dataclass(frozen=True)
class Simulation:
    """Training that feels the noise of a plan at a share of its compute, and is **not private**.

    Its draws and noise are those of ``plan`` over ``factor``: it has the same noise-batch ratio and
    steps, so that learning rates and models chosen under it carry over to the plan. It protects nobody:
    it belongs on public or synthetic records, or its cost has to be accounted for as it is.

    Attributes
    ----------
    batch : int
        Patients a step draws on average.
    noise_multiplier : float
    steps : int
    factor : int
        k: how many times less each step computes.
    private : bool
        Always False.
    """

    batch: int
    noise_multiplier: float
    steps: int
    factor: int
    private: bool = False

    @property
    def noise_batch_ratio(self) -> float:
        """Noise on a step's mean gradient, sigma / B: that of the plan."""
        return self.noise_multiplier / self.batch


def simulated_at(plan: Plan, factor: int) -> Simulation:
    """Simulation of a plan at 1 / ``factor`` of its compute (Sander et al., arXiv 2210.03403, section 4).

    Raises
    ------
    ConfigError
        If the batch is no multiple of ``factor``: the ratio of noise to batch would not be the plan's.
    """
    if factor < 1 or plan.batch % factor:
        raise ConfigError(
            f"a batch of {plan.batch} patients cannot be simulated at 1/{factor}",
            remedy="Take a divisor of the batch",
        )
    return Simulation(plan.batch // factor, plan.noise_multiplier / factor, plan.steps, factor)
