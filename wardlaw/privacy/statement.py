"""What a run promises about its patients, as values."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from wardlaw.privacy.events import RELATION, UNIT, Event, PoissonGaussian

Basis = Literal["nothing", "ledgers", "settings", "elsewhere"]


class _Part(BaseModel):
    """Frozen; a field of a later version is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class SiteShare(_Part):
    """What the patients of one site paid.

    Attributes
    ----------
    site : str
        Or the replica that was trained on the union of several.
    patients : int or None
        n: train patients. A deployed site keeps it to itself, and a ledger does not note it.
    events : tuple of Event
        All that was released of them with noise: the truth behind the other figures.
    sampling_rate, noise_multiplier : float or None
        q and sigma, if the site's steps were all alike.
    steps : int
        T: private steps.
    epsilon : float or None
        Of the events; None if the noise is too small for any bound of use.
    ledger_epsilon : float or None
        Of all that the site's ledger held when this was written, whatever run asked for it; None without
        a ledger, or as for ``epsilon``.
    """

    site: str
    patients: int | None = None
    events: tuple[Annotated[Event, Field(discriminator="mechanism")], ...] = ()
    sampling_rate: float | None = None
    noise_multiplier: float | None = None
    steps: int = 0
    epsilon: float | None = None
    ledger_epsilon: float | None = None


class Release(_Part):
    """Something that left, how often, and whether epsilon covers it."""

    name: str
    times: int
    covered: bool


class ServerShare(_Part):
    """Client-level privacy: what the global models tell of whether a site took part.

    Attributes
    ----------
    unit, relation, mechanism : str
    epsilon : float or None
        Of all models released so far.
    delta : float
    noise_multiplier : float
        z: noise on the sum of the updates over C.
    clip_norm : float
        C; the first one where it adapts.
    sites : int
        Fixed denominator.
    releases : int
    epsilon_limit : float or None
    not_covered : tuple of str
    """

    unit: str
    relation: str
    mechanism: str
    epsilon: float | None
    delta: float
    noise_multiplier: float
    clip_norm: float
    sites: int
    releases: int
    epsilon_limit: float | None = None
    not_covered: tuple[str, ...] = ()


class Coordinator(_Part):
    """What the coordinator sees of the updates of a round.

    Attributes
    ----------
    sees : {"updates", "sums"}
        Each site's update, or only sums of several sites'.
    least_summed : int or None
        Fewest sites of a sum.
    not_covered : tuple of str
        What such sums do not hide.
    """

    sees: Literal["updates", "sums"]
    least_summed: int | None = None
    not_covered: tuple[str, ...] = ()


class AttackFigures(_Part):
    """How well a score tells members from others.

    Attributes
    ----------
    members, others : int
    auroc : float
        Probability that a member scores higher, ties counting half; 0.5 is a coin.
    false_positive_rate : float
        Share of the others at which the next figure is read. Figures on average hide what an attacker
        knows for sure of a few (Carlini et al., arXiv 2112.03570, section IV).
    true_positive_rate, low, high : float
        Share of members above the threshold, and its 95 % Clopper-Pearson interval for this threshold.
    resolved : bool
        Whether there are enough others for the rate: with fewer than 1 / rate of them no
        other may score above the threshold, which is then that of a larger rate.
    """

    members: int
    others: int
    auroc: float
    false_positive_rate: float
    true_positive_rate: float
    low: float
    high: float
    resolved: bool


class Attack(AttackFigures):
    """Membership inference on one final model: members are the patients who were trained on.

    Attributes
    ----------
    replica : str
    epsilon_at_least : float
        What training has at the least, at the audit's delta: for all models of the run together with 99 %
        confidence.
    """

    replica: str
    epsilon_at_least: float


class Presence(_Part):
    """Whether a model's embedding tells which codes its patients have.

    Attributes
    ----------
    replica : str
    present, absent : int
        Tokens of the vocabulary that a train patient has, and that none has.
    auroc : float
        Of how far a token's row turned in training; 0.5 is a coin.
    """

    replica: str
    present: int
    absent: int
    auroc: float


class Audit(_Part):
    """What attackers learnt from a run's final models. It bounds nothing from above."""

    unit: str = UNIT
    score: str = "minus the mean loss of a patient"
    delta: float
    attacks: tuple[Attack, ...]
    presence: tuple[Presence, ...] = ()


class PrivacyStatement(_Part):
    """Privacy of one run, or of all runs that a site's ledger knows.

    Attributes
    ----------
    run, name : str
        Fingerprint and name; empty where the statement is about all runs of a ledger.
    synthetic : bool or None
        Whether the patients are generated; None if unknown here.
    basis : {"nothing", "ledgers", "settings", "elsewhere"}
        What ``epsilon`` rests on: there is no promise; the sites' ledgers; the settings of a simulation
        that has no ledger; or ledgers that are not to be seen from here.
    unit, relation, mechanism, sampling : str
    accountant : str or None
    epsilon : float or None
        The largest of the sites': their patients are different people. None if there is no promise, if
        it is not known here, or if the noise is too small for any bound of use.
    delta : float or None
    noise_multiplier, noise_batch_ratio, clip_norm : float or None
        sigma, sigma / B and C; None where unknown.
    clipping : str or None
    sites : tuple of SiteShare
    releases : tuple of Release
    not_covered : tuple of str
    stands_for : int
        k; above 1 the run is a stand-in for one of k times its patients a step and its noise (Sander et
        al., arXiv 2210.03403). ``epsilon`` is what the stand-in itself costs.
    stands_for_epsilon : float or None
        What the run that it stands for would cost at the same sites.
    server : ServerShare or None
    coordinator : Coordinator or None
        None if the run has none, or where no run is meant.
    audit : Audit or None
    """

    format: Literal["wardlaw-privacy-1"] = "wardlaw-privacy-1"
    run: str = ""
    name: str = ""
    synthetic: bool | None = None
    basis: Basis
    unit: str = UNIT
    relation: str = RELATION
    mechanism: str
    sampling: str
    accountant: str | None = None
    epsilon: float | None = None
    delta: float | None = None
    noise_multiplier: float | None = None
    noise_batch_ratio: float | None = None
    clip_norm: float | None = None
    clipping: str | None = None
    sites: tuple[SiteShare, ...] = ()
    releases: tuple[Release, ...] = ()
    not_covered: tuple[str, ...] = ()
    stands_for: int = 1
    stands_for_epsilon: float | None = None
    server: ServerShare | None = None
    coordinator: Coordinator | None = None
    audit: Audit | None = None

    def to_json(self) -> str:
        """As indented JSON."""
        return self.model_dump_json(indent=2) + "\n"


def site_share(
    site: str,
    events: Sequence[Event],
    *,
    epsilon: float | None,
    ledger_epsilon: float | None = None,
    patients: int | None = None,
) -> SiteShare:
    """A site's share from its events, which are merged."""
    steps = [event for event in events if isinstance(event, PoissonGaussian)]
    alike = steps[0] if len(steps) == 1 else None
    return SiteShare(
        site=site,
        patients=patients,
        events=tuple(events),
        sampling_rate=alike.sampling_rate if alike else None,
        noise_multiplier=alike.noise_multiplier if alike else None,
        steps=sum(event.steps for event in steps),
        epsilon=epsilon,
        ledger_epsilon=ledger_epsilon,
    )


def largest_epsilon(epsilons: Sequence[float | None]) -> float | None:
    """Largest epsilon of sites whose patients are different people; None if one of them has no bound."""
    known = [epsilon for epsilon in epsilons if epsilon is not None]
    return max(known) if known and len(known) == len(epsilons) else None


def summed_releases(releases: Iterable[Release]) -> tuple[Release, ...]:
    """Releases of several sites, those of one name together."""
    times: Counter[tuple[str, bool]] = Counter()
    for release in releases:
        times[release.name, release.covered] += release.times
    return tuple(
        Release(name=name, times=number, covered=covered) for (name, covered), number in times.items()
    )


def is_refuted(statement: PrivacyStatement) -> bool:
    """Whether an attack on the run shows more than its epsilon allows."""
    if statement.audit is None or statement.epsilon is None:
        return False
    shown = max((attack.epsilon_at_least for attack in statement.audit.attacks), default=0.0)
    return statement.audit.delta == statement.delta and shown > statement.epsilon
