"""Scaling laws of runs: fit, compare, extrapolate, plan and report. Reads run records or any table.

>>> from analysis import fit_table, read_runs  # doctest: +SKIP
>>> fitted = fit_table(read_runs("runs.csv", {"N": "params", "D": "tokens"}), "chinchilla")  # doctest: +SKIP
>>> print(fitted.summary())  # doctest: +SKIP
"""

from analysis.comparison.compare import compare
from analysis.fits.optimal_sites import optimal_sizes
from analysis.fits.selection import Candidate, select_law
from analysis.fits.table_fit import Request, fit_groups, fit_table
from analysis.importance.study import analyse_importance
from analysis.isoflop.study import IsoFlopRequest, analyse_isoflop
from analysis.laws.private_table import PrivateTable
from analysis.planner.consortium import Consortium, Privacy, read_shards
from analysis.planner.planning import plan_training
from analysis.planner.private_optimum import private_optimum
from analysis.tables.filters import drop_worst_loss, keep_where
from analysis.tables.run_table import read_runs

__all__ = [
    "Candidate",
    "Consortium",
    "IsoFlopRequest",
    "Privacy",
    "PrivateTable",
    "Request",
    "analyse_importance",
    "analyse_isoflop",
    "compare",
    "drop_worst_loss",
    "fit_groups",
    "fit_table",
    "keep_where",
    "optimal_sizes",
    "plan_training",
    "private_optimum",
    "read_runs",
    "read_shards",
    "select_law",
]
