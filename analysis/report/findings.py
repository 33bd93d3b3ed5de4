"""Everything that a report says about a study, computed once, before any wording or drawing."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from analysis.comparison.at_home import AtHome, compare_at_home
from analysis.comparison.exponents import exponent_difference
from analysis.comparison.gaps import Gap, SizeMeans, closed_share, gaps, size_means
from analysis.fits.fit import Fit, determines_exponent, fit_sample
from analysis.laws.chinchilla import Chinchilla
from analysis.laws.law import ScalingLaw
from analysis.laws.power_law import PowerLaw, PurePowerLaw
from analysis.privacy.findings import PrivacyFindings, analyse_privacy
from analysis.report.families import FamilyContrast, contrast_families
from analysis.report.sweeps import Sweep, find_sweeps
from analysis.solvers.objective import LOG_SQUARES
from analysis.tables.peers import Peers
from analysis.tables.records import LOSSES, Runs, at_largest_budget
from analysis.tables.sample import Sample, take_sample
from analysis.uncertainty.bootstrap import resample
from analysis.uncertainty.intervals import DEFAULT_REPLICATES, DEFAULT_SEED, Interval
from wardlaw.errors import RecordError


@dataclass(frozen=True)
class Refusal:
    """A law that an arm's runs cannot determine, and why."""

    arm: str
    law: str
    reason: str


@dataclass(frozen=True)
class Findings:
    """What a study's runs show.

    Attributes
    ----------
    unit : {"token", "event"}
        Of the loss.
    curve_runs : polars.DataFrame
        Runs behind the L(N) curves: each arm and size at its largest token budget.
    curves : dict of str to Fit
        By arm, N all parameters: the law that is drawn, one for all arms of an objective.
    fits : tuple of Fit
        Every fit: both power laws under both ways to count N, and L(N, D).
    refusals : tuple of Refusal
    means : dict of str to SizeMeans
        By arm.
    gaps : tuple of Gap
        To centralised training of the same model at the same noise-batch ratio.
    differences : dict of str to Interval
        Exponent of the drawn law minus that of centralised training of the same model, by arm.
    closed : dict of str to Interval
        Per cent of the gap between local and centralised training that an arm closes at
        the largest size, by arm.
    largest : dict of str to (int, int)
        Parameters and tokens of the largest size that all arms of a model have, by ``Peers.name``, where
        there is one.
    families : tuple of FamilyContrast
        Families of one objective against each other.
    at_home : tuple of AtHome
        At the largest size: arms against each hospital's own model on its own patients.
    sweeps : tuple of Sweep
        Of settings that split arms.
    privacy : PrivacyFindings
        Of the arms that have runs at several noise-batch ratios.
    replicates : int
    """

    unit: str
    curve_runs: pl.DataFrame
    curves: Mapping[str, Fit]
    fits: tuple[Fit, ...]
    refusals: tuple[Refusal, ...]
    means: Mapping[str, SizeMeans]
    gaps: tuple[Gap, ...]
    differences: Mapping[str, Interval]
    closed: Mapping[str, Interval]
    largest: Mapping[str, tuple[int, int]]
    families: tuple[FamilyContrast, ...]
    at_home: tuple[AtHome, ...]
    sweeps: tuple[Sweep, ...]
    privacy: PrivacyFindings
    replicates: int

    @property
    def loss(self) -> str:
        """Column of the loss."""
        return LOSSES[self.unit]


def analyse(
    runs: Runs, *, unit: str = "token", replicates: int = DEFAULT_REPLICATES, seed: int = DEFAULT_SEED
) -> Findings:
    """Fit and compare the arms of a study.

    Parameters
    ----------
    runs : Runs
    unit : {"token", "event"}
        Loss per token, or per event (comparable between tokenisers).
    replicates : int
        Bootstrap replicates behind each interval.
    seed : int
        Of the bootstrap's random streams.
    """
    loss = LOSSES[unit]
    curve_runs = at_largest_budget(runs.table)
    fits: list[Fit] = []
    refusals: list[Refusal] = []
    means: dict[str, SizeMeans] = {}
    for arm in runs.arms:
        of_arm, on_curve = (table.filter(pl.col("arm") == arm) for table in (runs.table, curve_runs))
        for law, size, table in _plan(of_arm, on_curve):
            try:
                fit = fit_sample(
                    law,
                    _sample(table, law, loss, size, arm),
                    columns=tuple(size if name == "N" else "tokens" for name in law.inputs),
                    replicates=replicates,
                    seed=seed,
                )
            except RecordError as error:
                refusals.append(Refusal(arm, law.name, error.what))
                continue
            fits.append(fit)
        on_sizes = _sample(on_curve, PowerLaw(), loss, "parameters", arm)
        means[arm] = size_means(on_curve, loss, resample(on_sizes, replicates, seed))
    largest = {
        peers.name: point for peers in runs.peers if (point := _largest_common(peers, means)) is not None
    }
    curves = {
        arm: fit
        for arms in runs.measures.values()
        for arm, fit in _drawn([fit for fit in fits if fit.group in arms]).items()
    }
    return Findings(
        unit=unit,
        curve_runs=curve_runs,
        curves=curves,
        fits=tuple(fits),
        refusals=tuple(dict.fromkeys(refusals)),
        means=means,
        gaps=tuple(gap for peers in runs.peers for gap in _gaps(peers, means)),
        differences={arm: one for peers in runs.peers for arm, one in _differences(peers, curves).items()},
        closed={
            arm: share
            for peers in runs.peers
            for arm, share in _closed(peers, means, largest.get(peers.name)).items()
        },
        largest=largest,
        families=contrast_families(runs.peers, curves),
        at_home=tuple(
            compared
            for peers in runs.peers
            for compared in compare_at_home(
                runs_at(of_arms(curve_runs, peers.arms), largest.get(peers.name)), unit, peers.local
            )
        ),
        sweeps=find_sweeps(runs, loss),
        privacy=analyse_privacy(runs, loss, replicates=replicates, seed=seed),
        replicates=replicates,
    )


def _plan(of_arm: pl.DataFrame, on_curve: pl.DataFrame) -> list[tuple[ScalingLaw, str, pl.DataFrame]]:
    # Between two seeds of a size Huber's loss at its usual threshold is flat: any curve has the same.
    plan: list[tuple[ScalingLaw, str, pl.DataFrame]] = [
        (law(LOG_SQUARES), size, on_curve)
        for size in ("parameters", "non_embedding_parameters")
        for law in (PowerLaw, PurePowerLaw)
    ]
    return [*plan, (Chinchilla(LOG_SQUARES), "parameters", of_arm)]


def _sample(table: pl.DataFrame, law: ScalingLaw, loss: str, size: str, arm: str) -> Sample:
    lettered = table.with_columns(N=pl.col(size), D=pl.col("tokens"), L=pl.col(loss))
    return take_sample(lettered, law.inputs, law.target, arm)


def _drawn(fits: Sequence[Fit]) -> dict[str, Fit]:
    """The law with an irreducible loss, by arm, where the runs of every arm determine it; else without."""
    of_size = [fit for fit in fits if fit.columns == ("parameters",)]
    bent, straight = (
        {fit.group: fit for fit in of_size if isinstance(fit.law, law)} for law in (PowerLaw, PurePowerLaw)
    )
    return (
        bent if bent.keys() == straight.keys() and all(map(determines_exponent, bent.values())) else straight
    )


def _largest_common(peers: Peers, means: Mapping[str, SizeMeans]) -> tuple[int, int] | None:
    common = set.intersection(*(set(means[arm].points) for arm in peers.arms))
    return max(common, default=None)


def of_arms(table: pl.DataFrame, arms: Collection[str]) -> pl.DataFrame:
    """Rows of some arms."""
    return table.filter(pl.col("arm").is_in(list(arms)))


def runs_at(table: pl.DataFrame, point: tuple[int, int] | None) -> pl.DataFrame:
    """Rows of one size and token budget."""
    if point is None:
        return table.clear()
    return table.filter(pl.col("parameters") == point[0], pl.col("tokens") == point[1])


def _gaps(peers: Peers, means: Mapping[str, SizeMeans]) -> list[Gap]:
    reference = peers.centralised
    if not reference:
        return []
    return [
        gap
        for arm in peers.arms
        if arm != reference
        for gap in gaps(arm, means[arm], reference, means[reference])
    ]


def _differences(peers: Peers, curves: Mapping[str, Fit]) -> dict[str, Interval]:
    """Exponents are compared under one law only."""
    reference = curves.get(peers.centralised)
    if reference is None:
        return {}
    return {
        arm: exponent_difference(curves[arm], reference)
        for arm in peers.arms
        if arm in curves and arm != peers.centralised and type(curves[arm].law) is type(reference.law)
    }


def _closed(
    peers: Peers, means: Mapping[str, SizeMeans], largest: tuple[int, int] | None
) -> dict[str, Interval]:
    if largest is None or not (peers.centralised and peers.local):
        return {}
    shares = {
        arm: closed_share(means[arm], means[peers.local], means[peers.centralised], largest)
        for arm in peers.arms
        if arm not in (peers.centralised, peers.local)
    }
    return {arm: share for arm, share in shares.items() if share is not None}
