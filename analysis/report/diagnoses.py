"""How well ECG models diagnose at the sites of their run and at others, from ``ecg_scores.parquet``."""

import logging

import polars as pl

from analysis.report.scores import over_models
from analysis.tables.records import Runs

_logger = logging.getLogger(__name__)
SEEN, UNSEEN = "seen", "unseen"
# Site of a row about several sites together.
_ALL = "all"
FIGURES = ("auroc", "auprc", "f_measure", "challenge_metric")
_ENDS = tuple(f"{figure}{end}" for figure in FIGURES for end in ("", "_low", "_high"))
_COUNTS = ("classes", "records", "patients", "resamples")
_KEYS = ("method", "where", "site")


def diagnosis_table(runs: Runs) -> pl.DataFrame:
    """A row a run, method and group of records: macro figures with their intervals.

    A run without the file has no rows; a file without the columns is logged and left out.

    Returns
    -------
    polars.DataFrame
        ``arm``, ``family``, ``objective``, ``size``, ``parameters``, ``tokens``, ``seed``, ``method``;
        ``where`` (``seen``: held-out records of the run's sites, ``unseen``: all records of sites that it
        never saw; of a hospital's own model also ``home`` and ``elsewhere``) and ``site`` (``all`` for all
        of them together); ``models`` (replicas that answered); ``auroc``, ``auprc``, ``f_measure`` and
        ``challenge_metric`` in the mean over models, with ``_low`` and ``_high``: of one model the interval
        that the record holds, of several the lowest and highest model; ``classes`` scored (of several
        models the fewest), ``records``, ``patients`` and ``resamples``.
    """
    pieces = []
    for row in runs.table.iter_rows(named=True):
        path = runs.records[row["run"]].folder / "ecg_scores.parquet"
        if not path.exists():
            continue
        try:
            scores = pl.read_parquet(path).select(
                *_KEYS,
                *(pl.col(name).cast(pl.Float64).fill_nan(None) for name in _ENDS),
                *(pl.col(name).cast(pl.Int64) for name in _COUNTS),
            )
        except (OSError, pl.exceptions.PolarsError) as error:
            _logger.warning("%s is left out: %s", path, error)
            continue
        identity = ("arm", "family", "objective", "size", "parameters", "tokens", "seed")
        pieces.append(
            over_models(scores, _KEYS, FIGURES, _COUNTS).select(
                *(pl.lit(row[name]).alias(name) for name in identity), *_KEYS, "models", *_ENDS, *_COUNTS
            )
        )
    return pl.concat(pieces) if pieces else pl.DataFrame()


def everywhere(table: pl.DataFrame) -> pl.DataFrame:
    """Rows about all of the run's sites, or all others, together."""
    return table.filter(pl.col("site") == _ALL, pl.col("where").is_in([SEEN, UNSEEN]))
