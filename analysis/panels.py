"""The report's panels: a figure, its caption and the tables behind it."""

import base64
from dataclasses import dataclass

import polars as pl

from analysis import figures, tables
from analysis.arms import LOCAL
from analysis.findings import Findings
from analysis.runs import Runs
from analysis.sentences import interval_method
from analysis.svg import inline_svg
from analysis.wording import count


@dataclass(frozen=True)
class Panel:
    """One figure of the report.

    Attributes
    ----------
    key : str
        Name of its files and anchor.
    title, caption, svg : str
    data : dict of str to polars.DataFrame
        The tables drawn, by name.
    """

    key: str
    title: str
    caption: str
    svg: str
    data: dict[str, pl.DataFrame]

    @property
    def downloads(self) -> dict[str, str]:
        """``data:`` links of the tables as CSV, by name."""
        return {name: csv_link(table) for name, table in self.data.items()}


def csv_link(table: pl.DataFrame) -> str:
    """A table as a ``data:`` link that a browser saves without any network."""
    return f"data:text/csv;base64,{base64.b64encode(table.write_csv().encode()).decode()}"


def build_panels(runs: Runs, findings: Findings) -> list[Panel]:
    """Every figure that these runs support, in the order of the page."""
    panels = (
        _loss_by_size(runs, findings),
        _gaps(runs, findings),
        _loss_by_tokens(runs, findings),
        _sites(runs, findings),
        _training(runs, findings),
    )
    return [panel for panel in panels if panel is not None]


def describe_runs(table: pl.DataFrame) -> str:
    """Number of runs, sizes and seeds, for captions."""
    seeds = sorted(table["seed"].unique())
    return (
        f"{len(table)} runs, {table['parameters'].n_unique()} sizes, "
        f"seeds {', '.join(str(seed) for seed in seeds)}"
    )


def _loss_by_size(runs: Runs, findings: Findings) -> Panel:
    points, curves = tables.loss_points(findings), tables.loss_curves(findings)
    formulas = sorted({fit.law.formula for fit in findings.curves.values()})
    law = (
        f"Lines: {' or '.join(formulas)}, fitted to each arm; dotted beyond the sizes trained. "
        if formulas
        else "No curve could be fitted. "
    )
    band = f"Bands, pointwise: {interval_method(findings)}. " if findings.curves else ""
    dashed = (
        "Dashed: the loss below which no model of these patients can go, known because they are generated. "
        if runs.oracle
        else ""
    )
    return Panel(
        "loss-by-size",
        "Held-out loss against model size",
        f"A point is a run on patients never trained on. {law}{band}{dashed}{describe_runs(points)}.",
        inline_svg(
            figures.draw_loss_by_size(points, curves, findings.unit, runs.oracle),
            "loss-by-size",
            "Held-out loss against parameters, by arm",
        ),
        {"runs": points, "curves": curves},
    )


def _gaps(runs: Runs, findings: Findings) -> Panel | None:
    table = tables.gap_table(findings)
    if table.is_empty():
        return None
    return Panel(
        "gap",
        "What it costs not to pool the data",
        "Geometric mean loss over seeds above that of centralised training at the same size and token "
        f"budget. Bars: {interval_method(findings)}, seeds paired where both arms have them. "
        f"Seeds a point: {', '.join(str(seeds) for seeds in sorted(table['seeds'].unique()))}.",
        inline_svg(
            figures.draw_gaps(table, figures.arm_styles(runs.arms)),
            "gap",
            "Loss above centralised training against parameters",
        ),
        {"gaps": table},
    )


def _loss_by_tokens(runs: Runs, findings: Findings) -> Panel | None:
    points, curves = tables.joint_curves(runs, findings)
    if curves.is_empty():
        return None
    return Panel(
        "loss-by-tokens",
        "Held-out loss against tokens",
        "Lines: L(N, D) = E + A / N^alpha + B / D^beta, fitted to all runs of an arm; D counts tokens seen, "
        f"repeated ones included. {describe_runs(points)}.",
        inline_svg(
            figures.draw_loss_by_tokens(points, curves, findings.unit),
            "loss-by-tokens",
            "Held-out loss against tokens, by size and arm",
        ),
        {"runs": points, "curves": curves},
    )


def _sites(runs: Runs, findings: Findings) -> Panel | None:
    table = tables.site_table(runs, findings)
    if table.is_empty() or findings.largest is None:
        return None
    styles = figures.arm_styles([*runs.arms, tables.OWN_SITE])
    local = (
        f" '{LOCAL}' is the mean over all sites' models, '{tables.OWN_SITE}' the model that the site trained "
        "on its own patients."
        if LOCAL in runs.arms
        else ""
    )
    return Panel(
        "sites",
        "The same, hospital by hospital",
        f"Loss on each site's own held-out patients at {count(findings.largest[0])} parameters, mean over "
        f"seeds; the line spans the seeds.{local}",
        inline_svg(
            figures.draw_sites(table, findings.unit, styles), "sites", "Held-out loss at each site, by arm"
        ),
        {"sites": table},
    )


def _training(runs: Runs, findings: Findings) -> Panel | None:
    table = tables.training_curves(runs, findings)
    if table.is_empty():
        return None
    return Panel(
        "training",
        "Training curves",
        "Loss on training batches, mean over replicas and seeds, in groups of steps. Not comparable with "
        "held-out loss, and in the local and federated arms each replica sees its own site only.",
        inline_svg(figures.draw_training(table), "training", "Training loss against tokens, by arm and size"),
        {"training": table},
    )
