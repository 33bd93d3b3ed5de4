"""Discrimination on clinical tasks, from the records that hold ``downstream.parquet``."""

import logging

import polars as pl

from analysis.report.scores import over_models
from analysis.tables.records import Runs

_logger = logging.getLogger(__name__)
_METRICS = tuple(f"{metric}{end}" for metric in ("auroc", "auprc") for end in ("", "_low", "_high"))
_COUNTS = ("prevalence", "n", "positives", "patients")


def downstream_table(runs: Runs) -> pl.DataFrame:
    """A row a task and run.

    A run without the file has no rows; a file without the columns is logged and left out.

    Returns
    -------
    polars.DataFrame
        ``task``, ``arm``, ``parameters``, ``tokens``, ``seed``, ``models`` (replicas that answered);
        ``auroc`` and ``auprc``, in the mean over models, with ``_low`` and ``_high``: of one model
        the interval that the record holds, of several the lowest and highest model; ``prevalence``
        (the AUPRC of the majority baseline, whose AUROC is 0.5), ``n`` questions, ``positives``,
        ``patients``, ``resamples`` (of patients, behind the interval of one model).
    """
    pieces = []
    for row in runs.table.iter_rows(named=True):
        record = runs.records[row["run"]]
        path = record.folder / "downstream.parquet"
        if not path.exists():
            continue
        try:
            scores = pl.read_parquet(path).select(
                "task",
                "replica",
                *(pl.col(name).cast(pl.Float64).fill_nan(None) for name in (*_METRICS, "prevalence")),
                *(pl.col(name).cast(pl.Int64) for name in ("n", "positives", "patients")),
            )
        except (OSError, pl.exceptions.PolarsError) as error:
            _logger.warning("%s is left out: %s", path, error)
            continue
        identity = {name: pl.lit(row[name]) for name in ("arm", "parameters", "tokens", "seed")}
        pieces.append(
            over_models(scores, ("task",), ("auroc", "auprc"), _COUNTS).select(
                "task",
                **identity,
                models="models",
                **{name: pl.col(name) for name in (*_METRICS, *_COUNTS)},
                resamples=pl.lit(record.config.evaluation.bootstrap),
            )
        )
    if not pieces:
        return pl.DataFrame()
    order = {arm: place for place, arm in enumerate(runs.arms)}
    return pl.concat(pieces).sort("task", pl.col("arm").replace_strict(order), "parameters", "tokens", "seed")
