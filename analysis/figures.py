"""The report's figures, each drawn from the very tables that the page offers to download."""

from collections.abc import Callable, Mapping, Sequence

import matplotlib as mpl
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.arms import LOCAL
from analysis.runs import Oracle
from analysis.svg import GRID, INK, MARKERS, MUTED, PALETTE, PAPER, STYLE
from analysis.ticks import linear_counts, log_counts
from analysis.wording import count

_WIDTH = 8.4
Colour = tuple[float, ...]


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
                zorder=3,
            )
            if not curve.is_empty():
                trained = curve["parameters"].to_numpy() <= points["parameters"].to_numpy().max()
                for part, dashes in ((trained, "-"), (~trained, ":")):
                    axes.plot(
                        curve["parameters"].filter(part), curve["loss"].filter(part), dashes, color=colour
                    )
                axes.fill_between(
                    curve["parameters"], curve["low"], curve["high"], color=colour, alpha=0.18, linewidth=0
                )
        if oracle is not None:
            _draw_oracle(axes, oracle.loss(unit))
        log_counts(axes, points["parameters"])
        axes.set_xlabel("Parameters N (embeddings included)")
        axes.set_ylabel(f"Held-out loss (nats per {unit})")
        axes.legend(handles=_arm_handles(_in_order(points)))
    return figure


def draw_gaps(gaps: pl.DataFrame, styles: Mapping[str, tuple[str, str]]) -> Figure:
    """Loss above centralised training, in per cent, against parameters.

    Where training alone and federated training are both there, a second panel shows the federated
    arms on their own scale.

    Parameters
    ----------
    gaps : polars.DataFrame
        ``arm``, ``parameters``, ``percent``, ``percent_low``, ``percent_high``.
    styles : dict of str to (colour, marker)
        By arm.
    """
    federated = gaps.filter(pl.col("arm") != LOCAL)
    both = 0 < len(federated) < len(gaps)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(_WIDTH, 3.4))
        panels = figure.subplots(1, 1 + both, squeeze=False)[0]
        for axes, shown in zip(panels, (gaps, federated), strict=False):
            axes.axhline(0, color=MUTED, linewidth=1)
            arms = _in_order(shown)
            for place, arm in enumerate(arms):
                of_arm = shown.filter(pl.col("arm") == arm)
                # A few per cent aside, so that intervals at one size do not cover each other.
                aside = 1.05 ** (place - (len(arms) - 1) / 2)
                _draw_with_intervals(axes, of_arm, aside, arm, styles[arm])
            log_counts(axes, shown["parameters"])
            axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
            axes.legend(loc="best")
        panels[-1].set_title("Federated arms only" if both else "")
        figure.supxlabel("Parameters N (embeddings included)", fontsize=9.5)
        figure.supylabel("Loss above centralised (%)", fontsize=9.5)
    return figure


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


def draw_loss_by_tokens(points: pl.DataFrame, curves: pl.DataFrame, unit: str) -> Figure:
    """Loss against tokens at each size with the fitted L(N, D), a panel an arm.

    Parameters
    ----------
    points, curves : polars.DataFrame
        ``arm``, ``parameters``, ``tokens``, ``loss``.
    unit : str
    """

    def draw(axes: Axes, arm: str, size: int, shade: Colour) -> None:
        here = (pl.col("arm") == arm) & (pl.col("parameters") == size)
        run, curve = points.filter(here), curves.filter(here)
        axes.plot(curve["tokens"], curve["loss"], color=shade, linewidth=1.2, label=count(size))
        axes.plot(run["tokens"], run["loss"], "o", color=shade, markersize=4.5)
        log_counts(axes, points["tokens"])

    return _panel_an_arm(curves, draw, "Token budget D", f"Held-out loss (nats per {unit})")


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
        for row in range(0, len(names), 2):
            axes.axhspan(row - 0.5, row + 0.5, color=GRID, alpha=0.35, linewidth=0)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(-0.5, len(names) - 0.5)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(f"Held-out loss (nats per {unit})")
        figure.legend(loc="outside upper left", ncols=min(len(arms), 5))
    return figure


def _panel_an_arm(
    table: pl.DataFrame, draw: Callable[[Axes, str, int, Colour], None], across: str, up: str
) -> Figure:
    """Small multiples: ``draw(axes, arm, size, shade)`` for each arm's panel and each size."""
    arms, sizes = _in_order(table), sorted(table["parameters"].unique())
    columns = min(len(arms), 4)
    rows = -(-len(arms) // columns)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(_WIDTH, 2.7 * rows + 0.6))
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        shades = mpl.colormaps["viridis"](np.linspace(0.25, 0.85, len(sizes)))
        for axes, arm in zip(panels, arms, strict=False):
            for size, shade in zip(sizes, shades, strict=True):
                draw(axes, arm, size, tuple(shade))
            axes.set_title(arm)
        for axes in panels[len(arms) :]:
            axes.set_visible(False)
        handles, labels = panels[0].get_legend_handles_labels()
        labels = [f"{label} parameters" if place == 0 else label for place, label in enumerate(labels)]
        figure.legend(handles, labels, loc="outside upper left", ncols=min(len(sizes), 8))
        figure.supxlabel(across, fontsize=9.5)
        figure.supylabel(up, fontsize=9.5)
    return figure


def _draw_with_intervals(
    axes: Axes, gaps: pl.DataFrame, aside: float, label: str, style: tuple[str, str]
) -> None:
    middle = gaps["percent"].to_numpy()
    low, high = (gaps[f"percent_{end}"].fill_null(np.nan).to_numpy() for end in ("low", "high"))
    ends = np.nan_to_num(np.stack([middle - low, high - middle])).clip(min=0)
    colour, marker = style
    axes.errorbar(
        aside * gaps["parameters"].to_numpy(),
        middle,
        ends,
        fmt=f"{marker}-",
        color=colour,
        markersize=5,
        capsize=2.5,
        linewidth=1.2,
        label=label,
    )


def _arm_handles(arms: Sequence[str]) -> list[Line2D]:
    return [
        Line2D([], [], color=colour, marker=marker, markersize=6, label=arm)
        for arm, (colour, marker) in arm_styles(arms).items()
    ]


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
