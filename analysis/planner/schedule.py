"""Rounds, bytes and hours of a federated run."""

from dataclasses import dataclass
from math import ceil

from analysis.planner.consortium import Consortium

_BYTES_PER_PARAMETER = 4
_BITS_PER_MEGABIT = 1e6


@dataclass(frozen=True)
class Habits:
    """How the runs were trained, which a plan carries over: no law of these was fitted.

    Attributes
    ----------
    batch_tokens : int
        A step's tokens, all replicas together.
    local_steps : int
        H.
    replicas : int
    """

    batch_tokens: int
    local_steps: int
    replicas: int


@dataclass(frozen=True)
class Schedule:
    """What a run takes.

    Attributes
    ----------
    steps, rounds : int
    batch_tokens, local_steps : int
    bytes_a_round : int
        Of one site, both ways: the model down, the update up, float32.
    bytes_in_all : int
        Of all sites and rounds.
    transfer_hours, training_hours : float or None
        Sites transfer and train at the same time; None where a site's speed is not known.
    """

    steps: int
    rounds: int
    batch_tokens: int
    local_steps: int
    bytes_a_round: int
    bytes_in_all: int
    transfer_hours: float
    training_hours: float | None


def schedule_run(
    size: float, tokens: float, habits: Habits, consortium: Consortium, speed: float | None
) -> Schedule:
    """Rounds, bytes and time of training ``size`` parameters on ``tokens`` tokens in all.

    Parameters
    ----------
    size, tokens : float
    habits : Habits
    consortium : Consortium
    speed : float or None
        FLOP/s of one site.
    """
    steps = max(1, round(tokens / habits.batch_tokens))
    rounds = ceil(steps / habits.local_steps)
    a_round = 2 * _BYTES_PER_PARAMETER * round(size)
    seconds = rounds * 8 * a_round / (consortium.megabits * _BITS_PER_MEGABIT)
    return Schedule(
        steps=steps,
        rounds=rounds,
        batch_tokens=habits.batch_tokens,
        local_steps=habits.local_steps,
        bytes_a_round=a_round,
        bytes_in_all=rounds * a_round * consortium.sites,
        transfer_hours=seconds / 3600,
        training_hours=consortium.compute / consortium.sites / speed / 3600 if speed else None,
    )
