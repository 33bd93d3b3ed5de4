"""Loss on hospitals outside the federation, from the records that hold ``transfer.parquet``."""

import logging
from collections.abc import Mapping

import polars as pl

from analysis.tables.records import LOSSES, Runs, site_losses
from wardlaw.errors import RecordError
from wardlaw.records import RunRecord

_logger = logging.getLogger(__name__)
_UNITS = tuple(f"per_{unit}" for unit in LOSSES)
# Runs that were scored on the same patients may be compared.
_POINT = ("parameters", "tokens", "outside_sites", "patients")


def transfer_table(runs: Runs, chosen: pl.DataFrame, loss: str) -> pl.DataFrame:
    """A row an arm and size: loss outside, and its gap to centralised training of the same model.

    All patients of these sites count, whatever their split, since none was trained on. A run's loss
    is all nats over all tokens (or events) of a model, in the mean over its models; a row is the mean
    over seeds. A run without the file has no part; a file without the sums, or with a site of the
    run's own federation, is logged and left out.

    Parameters
    ----------
    runs : Runs
    chosen : polars.DataFrame
        Rows of ``runs.table`` to show.
    loss : {"loss_per_token", "loss_per_event"}
        Unit of the gap.

    Returns
    -------
    polars.DataFrame
        ``arm``, ``parameters``, ``tokens``, ``outside_sites``, ``patients``, ``seeds``, ``models`` (a
        run); for each unit ``loss_per_<unit>`` with ``_low`` and ``_high`` (smallest and largest
        seed), and ``best_model_per_<unit>`` and ``worst_model_per_<unit>`` over models and seeds;
        ``percent`` above centralised with ``percent_low`` and ``percent_high`` over the seeds that
        both have (null without any); ``percent_inside``, the same runs' gap on the federation's own
        patients. Empty where no run has the file.
    """
    rows = [row for run in chosen["run"] if (row := _run_losses(runs.records[run], run))]
    if not rows:
        return pl.DataFrame()
    scored = pl.DataFrame(rows).join(
        chosen.select("run", "arm", "parameters", "tokens", "seed", inside=loss), on="run"
    )
    ends = {"loss_{}": pl.Expr.mean, "loss_{}_low": pl.Expr.min, "loss_{}_high": pl.Expr.max}
    means = scored.group_by("arm", *_POINT).agg(
        pl.col("models").max(),
        *(pl.col(f"best_model_{unit}").min() for unit in _UNITS),
        *(pl.col(f"worst_model_{unit}").max() for unit in _UNITS),
        seeds=pl.len(),
        **{
            name.format(unit): summary(pl.col(f"loss_{unit}"))
            for unit in _UNITS
            for name, summary in ends.items()
        },
    )
    order = {arm: place for place, arm in enumerate(runs.arms)}
    references = {
        arm: peers.centralised for peers in runs.peers for arm in peers.arms if arm != peers.centralised
    }
    return means.join(_gaps(scored, references, loss), on=("arm", *_POINT), how="left").sort(
        pl.col("arm").replace_strict(order), *_POINT
    )


def _run_losses(record: RunRecord, run: str) -> dict[str, object] | None:
    path = record.folder / "transfer.parquet"
    if not path.exists():
        return None
    try:
        sums = pl.read_parquet(path, columns=["replica", "site", "nats", "tokens", "events", "patients"])
        if inside := set(sums["site"]) & set(site_losses(record)["site"]):
            raise RecordError(f"{', '.join(sorted(inside))} took part in the run")
        models = sums.group_by("replica").agg(pl.col("nats", "tokens", "events", "patients").sum())
        losses = {unit: models["nats"] / models[f"{unit.removeprefix('per_')}s"] for unit in _UNITS}
        return {
            "run": run,
            "models": len(models),
            "outside_sites": sums["site"].n_unique(),
            "patients": models["patients"][0],
            **{f"loss_{unit}": of_model.mean() for unit, of_model in losses.items()},
            **{f"best_model_{unit}": of_model.min() for unit, of_model in losses.items()},
            **{f"worst_model_{unit}": of_model.max() for unit, of_model in losses.items()},
        }
    except (OSError, IndexError, RecordError, pl.exceptions.PolarsError) as error:
        _logger.warning("%s is left out: %s", path, error)
        return None


def _gaps(scored: pl.DataFrame, references: Mapping[str, str], loss: str) -> pl.DataFrame:
    """Per cent above the reference arm at the same seed: mean and range over seeds."""
    others = scored.filter(pl.col("arm").is_in(list(references))).with_columns(
        reference=pl.col("arm").replace_strict(references, return_dtype=pl.String)
    )
    paired = others.join(
        scored.rename({"arm": "reference"}), on=("reference", *_POINT, "seed"), suffix="_pooled"
    )
    percent = 100 * (pl.col(loss) / pl.col(f"{loss}_pooled") - 1)
    return paired.group_by("arm", *_POINT).agg(
        percent=percent.mean(),
        percent_low=percent.min(),
        percent_high=percent.max(),
        percent_inside=(100 * (pl.col("inside") / pl.col("inside_pooled") - 1)).mean(),
    )
