"""What a run promises about its patients, as values."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from pydantic import Field

from wardlaw.privacy.audits import Audit, Implementation, MechanismAudit
from wardlaw.privacy.coordinator import Coordinator
from wardlaw.privacy.epsilon import Epsilon
from wardlaw.privacy.events import RELATION, UNIT, Event, PoissonGaussian
from wardlaw.privacy.part import Part

Basis = Literal["nothing", "ledgers", "settings", "elsewhere"]


class SiteShare(Part):
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
    epsilon : float
        Of the events.
    ledger_epsilon : float or None
        Of all that the site's ledger held when this was written, whatever run asked for it; None without
        a ledger.
    """

    site: str
    patients: int | None = None
    events: tuple[Annotated[Event, Field(discriminator="mechanism")], ...] = ()
    sampling_rate: float | None = None
    noise_multiplier: float | None = None
    steps: int = 0
    epsilon: Epsilon
    ledger_epsilon: Epsilon | None = None


class Release(Part):
    """Something that left, how often, and whether epsilon covers it."""

    name: str
    times: int
    covered: bool


class ServerShare(Part):
    """Client-level privacy: what the global models tell of whether a site took part.

    Attributes
    ----------
    unit, relation, mechanism : str
    epsilon : float
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
    epsilon: Epsilon
    delta: float
    noise_multiplier: float
    clip_norm: float
    sites: int
    releases: int
    epsilon_limit: float | None = None
    not_covered: tuple[str, ...] = ()


class PrivacyStatement(Part):
    """Privacy of one run, or of all runs that a site's ledger knows.

    An epsilon above ``wardlaw.privacy.epsilon.LARGEST`` is infinity, and in JSON "more than 500".

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
        The largest of the sites': their patients are different people. None if there is no promise, or if
        it is not known here.
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
        None where the run is no stand-in, or would draw more patients a step than there are.
    server : ServerShare or None
    coordinator : Coordinator or None
        None if the run has none, or where no run is meant.
    implementation : Implementation or None
        What made the private steps, where it is known.
    mechanism_audit : MechanismAudit or None
        Of the same implementation.
    audit : Audit or None
        Of this run's models.
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
    epsilon: Epsilon | None = None
    delta: float | None = None
    noise_multiplier: float | None = None
    noise_batch_ratio: float | None = None
    clip_norm: float | None = None
    clipping: str | None = None
    sites: tuple[SiteShare, ...] = ()
    releases: tuple[Release, ...] = ()
    not_covered: tuple[str, ...] = ()
    stands_for: int = 1
    stands_for_epsilon: Epsilon | None = None
    server: ServerShare | None = None
    coordinator: Coordinator | None = None
    implementation: Implementation | None = None
    mechanism_audit: MechanismAudit | None = None
    audit: Audit | None = None

    def to_json(self) -> str:
        """As indented JSON."""
        return self.model_dump_json(indent=2) + "\n"


def site_share(
    site: str,
    events: Sequence[Event],
    *,
    epsilon: float,
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


def largest_epsilon(shares: Sequence[SiteShare]) -> float | None:
    """Largest epsilon of sites whose patients are different people; None where there is no site."""
    return max((share.epsilon for share in shares), default=None)


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
