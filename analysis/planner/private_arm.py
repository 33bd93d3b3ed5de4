"""The federated arm under a privacy requirement, where private runs were made."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from analysis.arrays import Array
from analysis.laws.private import Private
from analysis.planner.arm import Arm, fit_arm
from analysis.planner.consortium import Consortium, Privacy
from analysis.planner.evidence import Evidence
from analysis.planner.noise import ratio_of_equal_sites, site_noises
from analysis.planner.schedule import Habits
from analysis.tables.noise_axis import on_the_surface
from wardlaw.errors import RecordError

PRIVATE = "federated and private"
_BUDGETS = 7


@dataclass(frozen=True)
class PrivateArm(Arm):
    """An arm whose noise follows from its tokens: more tokens are more steps, and these more noise.

    Attributes
    ----------
    budgets, ratios : ndarray (k,)
        Numbers of tokens over the runs' reach, ascending, and the noise-batch ratio S of a replica of the
        runs that is what the accountant asks of the consortium's sites there.
    """

    budgets: Array
    ratios: Array

    def ratio(self, tokens: Array) -> Array:
        """S at tokens (m,): between the accountant's answers by interpolation of the logs."""
        logs = np.interp(np.log(tokens), np.log(self.budgets), np.log(self.ratios))
        noise: Array = np.exp(logs)
        return noise

    def points(self, size: Array, tokens: Array) -> Array:
        """N, D and the S that D asks for (m, 3)."""
        return np.stack([size, tokens, self.ratio(tokens)], axis=1)


def private_arm(
    evidence: Evidence, name: str, consortium: Consortium, privacy: Privacy, habits: Habits
) -> PrivateArm:
    """The private law of an arm, with the noise that a consortium's sites need.

    Parameters
    ----------
    evidence : Evidence
    name : str
        Of the arm.
    consortium : Consortium
    privacy : Privacy
    habits : Habits
        Of the private runs.

    Raises
    ------
    RecordError
        If no run was private, the runs do not determine the law, or no noise is enough.
    """
    if name not in evidence.private:
        raise RecordError("no run was private: what the noise costs in loss cannot be told from these runs")
    found = evidence.private[name]
    known = found.filter(on_the_surface()) if {"noise", "surface"} <= set(found.columns) else found
    rows = known.with_columns(pl.col("S").fill_null(0.0))
    fit = fit_arm(rows, PRIVATE, Private, replicates=evidence.replicates, seed=evidence.seed)
    ends = rows["D"].to_numpy().min(), rows["D"].to_numpy().max()
    budgets = np.unique(np.geomspace(*ends, _BUDGETS).clip(*ends))
    batch = habits.batch_tokens / consortium.sites
    noises = [
        site_noises(consortium, privacy, batch, habits.steps(tokens), habits.batch_patients)
        for tokens in budgets
    ]
    ratios = [ratio_of_equal_sites(found, habits.replicas) for found in noises]
    return PrivateArm(PRIVATE, fit, rows, budgets, np.array(ratios))
