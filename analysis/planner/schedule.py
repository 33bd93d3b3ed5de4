"""Rounds, bytes and hours of a federated run, and how often each site repeats its patients."""

from dataclasses import dataclass
from math import ceil

from analysis.planner.consortium import Consortium
from analysis.planner.size import SizeChoice

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
    batch_patients : int or None
        B, patients that a private step draws at a site on average; None where the runs do not say.
    """

    batch_tokens: int
    local_steps: int
    replicas: int
    batch_patients: int | None = None

    def steps(self, tokens: float) -> int:
        """Steps of a run on so many tokens."""
        return max(1, round(tokens / self.batch_tokens))


@dataclass(frozen=True)
class SitePasses:
    """How often a site passes over its own training tokens."""

    site: str
    passes: float


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
    transfer_hours : float
    training_hours : float or None
        Sites transfer and train at the same time; None where a site's speed is not known.
    passes : tuple of SitePasses
        Of each site. Every site takes an equal share of a step, whatever it holds.
    """

    steps: int
    rounds: int
    batch_tokens: int
    local_steps: int
    bytes_a_round: int
    bytes_in_all: int
    transfer_hours: float
    training_hours: float | None
    passes: tuple[SitePasses, ...]

    @property
    def most_repeated(self) -> SitePasses:
        """The site that repeats its patients most."""
        return max(self.passes, key=lambda site: site.passes)


def schedule_run(choice: SizeChoice, habits: Habits, consortium: Consortium, speed: float | None) -> Schedule:
    """Rounds, bytes and time of a choice.

    Parameters
    ----------
    choice : SizeChoice
    habits : Habits
    consortium : Consortium
    speed : float or None
        FLOP/s of one site.
    """
    steps = habits.steps(choice.tokens)
    rounds = ceil(steps / habits.local_steps)
    a_round = 2 * _BYTES_PER_PARAMETER * round(choice.size)
    seconds = rounds * 8 * a_round / (consortium.megabits * _BITS_PER_MEGABIT)
    share = choice.tokens / consortium.sites
    return Schedule(
        steps=steps,
        rounds=rounds,
        batch_tokens=habits.batch_tokens,
        local_steps=habits.local_steps,
        bytes_a_round=a_round,
        bytes_in_all=rounds * a_round * consortium.sites,
        transfer_hours=seconds / 3600,
        training_hours=choice.spent / consortium.sites / speed / 3600 if speed else None,
        passes=tuple(SitePasses(shard.site, share / shard.tokens) for shard in consortium.shards),
    )
