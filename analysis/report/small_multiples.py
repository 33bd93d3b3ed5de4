"""Small multiples: a panel an arm and a line a size."""

from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.report.svg import STYLE, WIDTH
from analysis.report.ticks import linear_counts, log_counts
from analysis.wording import count

Colour = tuple[float, ...]


def draw_training(curves: pl.DataFrame) -> Figure:
    """Training loss against tokens, a panel an arm and a line a size.

    Parameters
    ----------
    curves : polars.DataFrame
        ``arm``, ``parameters``, ``tokens``, ``loss`` (mean over replicas and seeds).
    """

    def draw(axes: Axes, arm: str, size: int, shade: Colour) -> None:
        curve = curves.filter((pl.col("arm") == arm) & (pl.col("parameters") == size))
        axes.plot(curve["tokens"], curve["loss"], color=shade, linewidth=1.3, label=count(size))
        linear_counts(axes)

    return _panel_an_arm(
        curves, draw, "Tokens trained on, all replicas together", "Training loss (nats per token)"
    )


def draw_loss_by_tokens(points: pl.DataFrame, curves: pl.DataFrame, up: str) -> Figure:
    """Loss against tokens at each size with the fitted L(N, D), a panel an arm.

    Parameters
    ----------
    points, curves : polars.DataFrame
        ``arm``, ``parameters``, ``tokens``, ``loss``.
    up : str
        Label of the loss.
    """

    def draw(axes: Axes, arm: str, size: int, shade: Colour) -> None:
        here = (pl.col("arm") == arm) & (pl.col("parameters") == size)
        run, curve = points.filter(here), curves.filter(here)
        axes.plot(curve["tokens"], curve["loss"], color=shade, linewidth=1.2, label=count(size))
        axes.plot(run["tokens"], run["loss"], "o", color=shade, markersize=4.5)
        log_counts(axes, points["tokens"])

    return _panel_an_arm(curves, draw, "Token budget D", up)


def draw_sweep(table: pl.DataFrame, setting: str, up: str) -> Figure:
    """Loss above the lowest of each size against the values of a setting, a panel an arm.

    Parameters
    ----------
    table : polars.DataFrame
        ``arm``, ``parameters``, ``value`` (text), ``percent``.
    setting : str
        Name of the setting.
    up : str
        Label of the loss above the lowest.
    """
    ordered = table.sort(pl.col("value").cast(pl.Float64, strict=False), "value")
    values = {value: place for place, value in enumerate(ordered["value"].unique(maintain_order=True))}

    def draw(axes: Axes, arm: str, size: int, shade: Colour) -> None:
        tried = table.filter((pl.col("arm") == arm) & (pl.col("parameters") == size))
        places = [values[value] for value in tried["value"]]
        axes.plot(places, tried["percent"], "o-", color=shade, markersize=4.5, label=count(size))
        axes.set_xticks(range(len(values)), list(values))

    return _panel_an_arm(table, draw, setting, up)


def _panel_an_arm(
    table: pl.DataFrame, draw: Callable[[Axes, str, int, Colour], None], across: str, up: str
) -> Figure:
    """Small multiples: ``draw(axes, arm, size, shade)`` for each arm's panel and each size."""
    arms, sizes = table["arm"].unique(maintain_order=True).to_list(), sorted(table["parameters"].unique())
    columns = min(len(arms), 4)
    rows = -(-len(arms) // columns)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 2.7 * rows + 0.6))
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        shades = mpl.colormaps["viridis"](np.linspace(0.25, 0.85, len(sizes)))
        for axes, arm in zip(panels, arms, strict=False):
            for size, shade in zip(sizes, shades, strict=True):
                draw(axes, arm, size, tuple(shade))
            axes.set_title(arm.replace(", ", "\n"))
        for axes in panels[len(arms) :]:
            axes.set_visible(False)
        handles, labels = panels[0].get_legend_handles_labels()
        labels = [f"{label} parameters" if place == 0 else label for place, label in enumerate(labels)]
        figure.legend(handles, labels, loc="outside upper left", ncols=min(len(sizes), 8))
        figure.supxlabel(across, fontsize=9.5)
        figure.supylabel(up, fontsize=9.5)
    return figure
