"""The report's figures, each drawn from the very tables that the page offers to download."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from analysis.runs import Oracle
from analysis.svg import INK, MARKERS, MUTED, PALETTE, PAPER, STYLE
from analysis.wording import count

_WIDTH = 7.2


def arm_styles(arms: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each arm."""
    return {
        arm: (PALETTE[place % len(PALETTE)], MARKERS[place % len(MARKERS)]) for place, arm in enumerate(arms)
    }


def draw_loss_by_size(points: pl.DataFrame, curves: pl.DataFrame, unit: str, oracle: Oracle | None) -> Figure:
    """Loss against parameters: a point a run, the fitted law with its band.

    Parameters
    ----------
    points : polars.DataFrame
        ``arm``, ``parameters``, ``loss``.
    curves : polars.DataFrame
        ``arm``, ``parameters``, ``loss``, ``low``, ``high``.
    unit : str
        Unit of the loss.
    oracle : Oracle or None
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(_WIDTH, 4.3))
        axes = figure.subplots()
        for arm, (colour, marker) in arm_styles(_in_order(points)).items():
            of_arm, curve = (table.filter(pl.col("arm") == arm) for table in (points, curves))
            axes.plot(
                of_arm["parameters"],
                of_arm["loss"],
                marker,
                color=colour,
                markeredgecolor=PAPER,
                markeredgewidth=0.6,
                markersize=6,
                label=arm,
                zorder=3,
            )
            if not curve.is_empty():
                axes.plot(curve["parameters"], curve["loss"], color=colour)
                axes.fill_between(
                    curve["parameters"], curve["low"], curve["high"], color=colour, alpha=0.18, linewidth=0
                )
        if oracle is not None:
            _draw_oracle(axes, oracle.loss(unit))
        _log_counts(axes, "x", points["parameters"])
        axes.set_xlabel("Parameters N (embeddings included)")
        axes.set_ylabel(f"Held-out loss (nats per {unit})")
        axes.legend()
    return figure


def draw_gaps(gaps: pl.DataFrame) -> Figure:
    """Loss above centralised training, in per cent, against parameters.

    Parameters
    ----------
    gaps : polars.DataFrame
        ``arm``, ``parameters``, ``percent``, ``percent_low``, ``percent_high``.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(_WIDTH, 3.4))
        axes = figure.subplots()
        # Centralised training has the first style, here it is the line at zero.
        styles = arm_styles(["", *_in_order(gaps)])
        axes.axhline(0, color=MUTED, linewidth=1)
        for place, arm in enumerate(_in_order(gaps)):
            colour, marker = styles[arm]
            of_arm = gaps.filter(pl.col("arm") == arm)
            # A few per cent aside, so that intervals at one size do not cover each other.
            aside = of_arm["parameters"].to_numpy() * 1.04 ** (place - (gaps["arm"].n_unique() - 1) / 2)
            middle = of_arm["percent"].to_numpy()
            low, high = (of_arm[f"percent_{end}"].fill_null(np.nan).to_numpy() for end in ("low", "high"))
            ends = np.nan_to_num(np.stack([middle - low, high - middle])).clip(min=0)
            axes.errorbar(
                aside, middle, ends, fmt=f"{marker}-", color=colour, markersize=5, capsize=2.5, label=arm
            )
        _log_counts(axes, "x", gaps["parameters"])
        axes.set_xlabel("Parameters N (embeddings included)")
        axes.set_ylabel("Loss above centralised (%)")
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
        axes.legend()
    return figure


def draw_training(curves: pl.DataFrame) -> Figure:
    """Training loss against tokens, a panel an arm and a line a size.

    Parameters
    ----------
    curves : polars.DataFrame
        ``arm``, ``parameters``, ``tokens``, ``loss`` (mean over replicas and seeds).
    """
    arms = _in_order(curves)
    sizes = sorted(curves["parameters"].unique())
    columns = min(len(arms), 4)
    rows = -(-len(arms) // columns)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(_WIDTH, 2.7 * rows + 0.4))
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        shades = mpl.colormaps["viridis"](np.linspace(0.05, 0.85, len(sizes)))
        for axes, arm in zip(panels, arms, strict=False):
            for size, shade in zip(sizes, shades, strict=True):
                curve = curves.filter((pl.col("arm") == arm) & (pl.col("parameters") == size))
                axes.plot(curve["tokens"], curve["loss"], color=shade, linewidth=1.3, label=count(size))
            axes.set_title(arm)
            axes.xaxis.set_major_locator(MaxNLocator(3))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count(value) if value else "0"))
        for axes in panels[len(arms) :]:
            axes.set_visible(False)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(
            handles, labels, title="Parameters", loc="outside lower center", ncols=min(len(sizes), 8)
        )
        figure.supxlabel("Tokens trained on, all replicas together", fontsize=9.5)
        figure.supylabel("Training loss (nats per token)", fontsize=9.5)
    return figure


def draw_sites(sites: pl.DataFrame, unit: str, styles: Mapping[str, tuple[str, str]]) -> Figure:
    """Held-out loss at each site, a row a site and a mark an arm.

    Parameters
    ----------
    sites : polars.DataFrame
        ``arm``, ``site``, ``loss``, ``low``, ``high`` (smallest and largest over seeds).
    unit : str
    styles : dict of str to (colour, marker)
        By arm.
    """
    names = sites.group_by("site").agg(pl.col("loss").mean()).sort("loss", "site")["site"].to_list()
    arms = _in_order(sites)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(_WIDTH, 1.3 + 0.34 * len(names)))
        axes = figure.subplots()
        for place, arm in enumerate(arms):
            colour, marker = styles[arm]
            of_arm = sites.filter(pl.col("arm") == arm)
            rows = np.array([names.index(site) for site in of_arm["site"]])
            rows = rows + 0.5 * (place / max(1, len(arms) - 1) - 0.5)
            axes.hlines(rows, of_arm["low"], of_arm["high"], color=colour, linewidth=1.2)
            axes.plot(of_arm["loss"], rows, marker, color=colour, markersize=5, label=arm)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(-0.6, len(names) - 0.4)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(f"Held-out loss (nats per {unit})")
        figure.legend(loc="outside upper left", ncols=min(len(arms), 5))
    return figure


def draw_loss_by_tokens(points: pl.DataFrame, curves: pl.DataFrame, unit: str) -> Figure:
    """Loss against tokens at each size with the fitted L(N, D), a panel an arm.

    Parameters
    ----------
    points, curves : polars.DataFrame
        ``arm``, ``parameters``, ``tokens``, ``loss``.
    unit : str
    """
    arms = _in_order(curves)
    sizes = sorted(curves["parameters"].unique())
    columns = min(len(arms), 3)
    rows = -(-len(arms) // columns)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(_WIDTH, 2.9 * rows + 0.4))
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        shades = mpl.colormaps["viridis"](np.linspace(0.05, 0.85, len(sizes)))
        for axes, arm in zip(panels, arms, strict=False):
            for size, shade, marker in zip(sizes, shades, MARKERS * len(sizes), strict=False):
                here = (pl.col("arm") == arm) & (pl.col("parameters") == size)
                run, curve = points.filter(here), curves.filter(here)
                axes.plot(run["tokens"], run["loss"], marker, color=shade, markersize=4.5, label=count(size))
                axes.plot(curve["tokens"], curve["loss"], color=shade, linewidth=1.2)
            axes.set_title(arm)
            _log_counts(axes, "x", points["tokens"])
        for axes in panels[len(arms) :]:
            axes.set_visible(False)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(
            handles, labels, title="Parameters", loc="outside lower center", ncols=min(len(sizes), 8)
        )
        figure.supxlabel("Token budget D", fontsize=9.5)
        figure.supylabel(f"Held-out loss (nats per {unit})", fontsize=9.5)
    return figure


def _in_order(table: pl.DataFrame) -> list[str]:
    arms: list[str] = table["arm"].unique(maintain_order=True).to_list()
    return arms


def _draw_oracle(axes: Axes, loss: float) -> None:
    axes.axhline(loss, color=INK, linewidth=1.1, linestyle=(0, (5, 3)))
    axes.annotate(
        "irreducible loss of the generating process",
        (0.01, loss),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
        fontsize=8.5,
        color=INK,
    )


def _log_counts(axes: Axes, which: str, values: pl.Series) -> None:
    """A log axis labelled with plain counts: at the values themselves where they are few."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axes.set(**{f"{which}scale": "log"})
    distinct = sorted(values.unique())
    if len(distinct) <= 8 and all(b / a > 1.6 for a, b in pairwise(distinct)):
        axis.set_major_locator(FixedLocator(distinct))
    else:
        axis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))
    axis.set_minor_formatter(NullFormatter())
    axis.set_minor_locator(FixedLocator([]))
