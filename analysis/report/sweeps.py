"""Settings that a study tries several values of: which of them gave the lowest loss."""

from dataclasses import dataclass

import polars as pl

from analysis.tables.arms import effective_settings
from analysis.tables.noise_axis import curve_name
from analysis.tables.records import Runs, at_largest_budget


@dataclass(frozen=True)
class Sweep:
    """Loss against the values of one setting.

    Attributes
    ----------
    setting : str
        Dotted key, say ``train.learning-rate``.
    table : polars.DataFrame
        ``arm`` (topology or strategy, and S), ``parameters``, ``tokens``, ``value`` (as text), ``seeds``,
        ``loss`` (mean over seeds), ``percent`` above the arm's lowest at that size and budget,
        ``at_edge`` (whether the value is the smallest or largest number tried there); in the order
        of the values.
    """

    setting: str
    table: pl.DataFrame

    @property
    def lowest(self) -> pl.DataFrame:
        """Rows with the lowest loss of their arm, size and budget."""
        return self.table.filter(pl.col("percent") == 0)


def find_sweeps(runs: Runs, loss: str) -> tuple[Sweep, ...]:
    """Sweeps of a study: of each setting that alone splits a topology or strategy into arms.

    Parameters
    ----------
    runs : Runs
    loss : {"loss_per_token", "loss_per_event"}
    """
    swept: dict[str, list[str]] = {}
    for arm, settings in runs.splitting.items():
        if len(settings) == 1:
            swept.setdefault(settings[0], []).append(arm)
    return tuple(Sweep(setting, _sweep_table(runs, setting, arms, loss)) for setting, arms in swept.items())


def _sweep_table(runs: Runs, setting: str, arms: list[str], loss: str) -> pl.DataFrame:
    swept = at_largest_budget(runs.table).filter(pl.col("base_arm").is_in(arms))
    settings = {run: effective_settings(runs.records[run].config) for run in swept["run"]}
    chosen = swept.filter(pl.col("run").is_in([run for run in settings if setting in settings[run]]))
    values = [str(settings[run][setting]) for run in chosen["run"]]
    names = [curve_name(*row) for row in chosen.select("base_arm", "noise").iter_rows()]
    point = ("arm", "parameters", "tokens")
    number = pl.col("value").cast(pl.Float64, strict=False)
    order = {arm: place for place, arm in enumerate(dict.fromkeys(names))}
    return (
        chosen.with_columns(value=pl.Series(values), arm=pl.Series(names))
        .group_by(*point, "value")
        .agg(seeds=pl.len(), loss=pl.col(loss).mean())
        .with_columns(
            percent=100 * (pl.col("loss") / pl.col("loss").min().over(point) - 1),
            at_edge=((number == number.min().over(point)) | (number == number.max().over(point))).fill_null(
                value=False
            ),
        )
        .sort(pl.col("arm").replace_strict(order), "parameters", "tokens", number, "value")
    )
