"""How an arm's law predicts runs that it was not fitted to: the plan's own hold-out."""

from dataclasses import dataclass

import polars as pl

from analysis.fits.predictions import judge_holdout
from analysis.planner.arm import Arm, fit_arm
from analysis.planner.evidence import Evidence
from analysis.tables.sample import take_sample
from analysis.wording import count
from wardlaw.errors import RecordError

# Whether a run lies inside hangs little on the number of replicates, and a plan makes some thirty such fits.
_REPLICATES = 300


@dataclass(frozen=True)
class Backtest:
    """One arm fitted without some of its runs, and judged on them.

    Attributes
    ----------
    arm : str
    held_out : str
        Which runs were kept out.
    runs : int
    covered : int or None
        Of them, inside the interval of a run; None where there was no interval.
    mean_relative_error : float or None
        Of their losses; None where the rest has no law.
    note : str
        Why there is none.
    """

    arm: str
    held_out: str
    runs: int
    covered: int | None
    mean_relative_error: float | None
    note: str = ""


def backtest_arms(evidence: Evidence) -> tuple[Backtest, ...]:
    """Each arm without its largest size, its largest token budget, and each size in turn."""
    found = []
    for arm in evidence.arms.values():
        rows = arm.rows
        for letter in ("N", "D") if arm.is_joint else ("N",):
            largest = pl.col(letter) == pl.col(letter).max()
            what = f"largest {letter}, {count(float(rows.filter(largest)[letter][0]))}"
            found.append(_backtest(evidence, arm, what, [(rows.filter(~largest), rows.filter(largest))]))
        sizes = [pl.col("N") == size for size in rows["N"].unique(maintain_order=True)]
        found.append(
            _backtest(
                evidence, arm, "each size in turn", [(rows.filter(~at), rows.filter(at)) for at in sizes]
            )
        )
    return tuple(found)


def _backtest(
    evidence: Evidence, arm: Arm, what: str, folds: list[tuple[pl.DataFrame, pl.DataFrame]]
) -> Backtest:
    replicates, seed = min(evidence.replicates, _REPLICATES), evidence.seed
    runs = sum(len(held) for _, held in folds)
    judged = []
    for rest, held in folds:
        try:
            fit = fit_arm(rest, arm.name, type(arm.fit.law), replicates=replicates, seed=seed)
        except RecordError as error:
            return Backtest(arm.name, what, runs, None, None, error.what)
        sample = take_sample(held, fit.law.inputs, "L")
        judged.append(judge_holdout(fit, what, sample.inputs, sample.target, None, seed=seed))
    covered = [None if fold.covered is None else round(fold.covered * fold.n) for fold in judged]
    mean = sum(fold.mean_relative_error * fold.n for fold in judged) / runs
    inside = None if None in covered else sum(number for number in covered if number is not None)
    return Backtest(arm.name, what, runs, inside, mean)
