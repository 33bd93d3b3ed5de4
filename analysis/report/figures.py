"""The report's figures, each drawn from the very tables that the page offers to download."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.report.svg import GRID, INK, MARKERS, MUTED, PALETTE, PAPER, STYLE, WIDTH
from analysis.report.ticks import log_counts
from analysis.tables.arms import LOCAL

# What fits across a figure.
_LETTERS = 110


def arm_styles(arms: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each arm; where colours repeat, markers differ."""
    return {
        arm: (PALETTE[place % len(PALETTE)], MARKERS[(place + place // len(PALETTE)) % len(MARKERS)])
        for place, arm in enumerate(arms)
    }


def draw_loss_by_size(points: pl.DataFrame, curves: pl.DataFrame, up: str, floor: float | None) -> Figure:
    """Loss against parameters: a point a run, the fitted law with its band.

    Parameters
    ----------
    points : polars.DataFrame
        ``arm``, ``parameters``, ``loss``.
    curves : polars.DataFrame
        ``arm``, ``parameters``, ``loss``, ``low``, ``high``.
    up : str
        Label of the loss.
    floor : float or None
        Irreducible loss of the generating process.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 4.3))
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
        if floor is not None:
            _draw_floor(axes, floor)
        log_counts(axes, points["parameters"])
        axes.set_xlabel("Parameters N (embeddings included)")
        axes.set_ylabel(up)
        _draw_legend(figure, _arm_handles(_in_order(points)))
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
        figure = Figure(figsize=(WIDTH, 3.4))
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
        _draw_legend(figure, panels[0].get_legend_handles_labels()[0])
        panels[-1].set_title("Federated arms only" if both else "")
        figure.supxlabel("Parameters N (embeddings included)", fontsize=9.5)
        figure.supylabel("Loss above centralised (%)", fontsize=9.5)
    return figure


def draw_sites(sites: pl.DataFrame, across: str, styles: Mapping[str, tuple[str, str]]) -> Figure:
    """Held-out loss at each site, a row a site and a mark an arm.

    Parameters
    ----------
    sites : polars.DataFrame
        ``arm``, ``site``, ``loss``, ``low``, ``high`` (smallest and largest over seeds).
    across : str
        Label of the loss.
    styles : dict of str to (colour, marker)
        By arm.
    """
    names = sites.group_by("site").agg(pl.col("loss").mean()).sort("loss", "site")["site"].to_list()
    arms = _in_order(sites)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 1.3 + max(0.34, 0.07 * len(arms)) * len(names)))
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
        axes.set_xlabel(across)
        _draw_legend(figure, axes.get_legend_handles_labels()[0])
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


def _draw_legend(figure: Figure, handles: Sequence[Artist]) -> None:
    """All arms above the axes, in as many columns as their names leave room for."""
    longest = max(len(str(handle.get_label())) for handle in handles)
    figure.legend(handles=handles, loc="outside upper left", ncols=max(1, _LETTERS // (longest + 5)))


def _draw_floor(axes: Axes, loss: float) -> None:
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


def _in_order(table: pl.DataFrame) -> list[str]:
    arms: list[str] = table["arm"].unique(maintain_order=True).to_list()
    return arms
