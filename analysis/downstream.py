"""Discrimination on clinical tasks, from the records that hold ``downstream.parquet``."""

import logging

import polars as pl

from analysis.runs import Runs

_logger = logging.getLogger(__name__)
_NUMBERS = (
    "auroc",
    "auroc_low",
    "auroc_high",
    "auprc",
    "auprc_low",
    "auprc_high",
    "prevalence",
    "n",
)


def downstream_table(runs: Runs) -> pl.DataFrame:
    """A row a run, task and site: AUROC and AUPRC with their intervals, prevalence and patients.

    Prevalence is the AUPRC of a classifier that knows nothing, as 0.5 is its AUROC. A run without the
    file has no rows; a file without the columns is logged and left out.
    """
    pieces = []
    for row in runs.table.iter_rows(named=True):
        path = runs.records[row["run"]].folder / "downstream.parquet"
        if not path.exists():
            continue
        try:
            found = pl.read_parquet(path)
            places = [name for name in ("replica", "site") if name in found.columns]
            scores = found.select("task", *places, *(pl.col(name).cast(pl.Float64) for name in _NUMBERS))
        except (OSError, pl.exceptions.PolarsError) as error:
            _logger.warning("%s is left out: %s", path, error)
            continue
        pieces.append(
            scores.select(
                arm=pl.lit(row["arm"]),
                parameters=pl.lit(row["parameters"]),
                tokens=pl.lit(row["tokens"]),
                seed=pl.lit(row["seed"]),
                task="task",
                where=pl.concat_str([pl.col(name).cast(pl.String) for name in places], separator=" / ")
                if places
                else pl.lit("all"),
                **{name: pl.col(name) for name in _NUMBERS},
            )
        )
    return pl.concat(pieces) if pieces else pl.DataFrame()
