"""The report's panels about loss, and all of them in the order of the page."""

import polars as pl

from analysis.charts.styles import group_styles
from analysis.report import figures, small_multiples, tables
from analysis.report.findings import Findings
from analysis.report.panel import Panel
from analysis.report.sentences import best_settings, interval_method
from analysis.report.sweeps import Sweep
from analysis.report.task_panel import task_panel
from analysis.report.transfer_panel import transfer_panel
from analysis.tables.arms import LOCAL
from analysis.tables.records import Runs
from analysis.wording import count


def build_panels(runs: Runs, findings: Findings) -> list[Panel]:
    """Every figure that these runs support, in the order of the page."""
    panels = (
        *(_sweep(sweep) for sweep in findings.sweeps),
        _loss_by_size(runs, findings),
        _gaps(runs, findings),
        _loss_by_tokens(runs, findings),
        _sites(runs, findings),
        transfer_panel(runs, findings),
        task_panel(runs),
        _training(runs, findings),
    )
    return [panel for panel in panels if panel is not None]


def _describe_runs(table: pl.DataFrame) -> str:
    """Number of runs, sizes and seeds, for captions."""
    seeds = sorted(table["seed"].unique())
    return (
        f"{len(table)} runs, {table['parameters'].n_unique()} sizes, "
        f"seeds {', '.join(str(seed) for seed in seeds)}"
    )


def _axis(runs: Runs, findings: Findings) -> str:
    return f"{runs.evaluated.capitalize()} loss (nats per {findings.unit})"


def _any_intervals(findings: Findings) -> bool:
    return any(fit.resamples for fit in findings.curves.values())


def _sweep(sweep: Sweep) -> Panel:
    name = sweep.setting.split(".")[-1]
    seeds = ", ".join(str(number) for number in sorted(sweep.table["seeds"].unique()))
    return Panel(
        f"sweep-{name}",
        f"Values tried: {name}",
        f"Loss above the lowest of the same arm and size. Seeds a point: {seeds}. {best_settings(sweep)}",
        small_multiples.chart_sweep(sweep.table, name, "Loss above the lowest (%)"),
        {"losses": sweep.table},
    )


def _loss_by_size(runs: Runs, findings: Findings) -> Panel:
    points, curves = tables.loss_points(findings), tables.loss_curves(findings)
    formulas = sorted({fit.law.formula for fit in findings.curves.values()})
    law = (
        f"Lines: {' or '.join(formulas)}, fitted to each arm; dotted beyond the sizes trained. "
        if formulas
        else "No curve could be fitted. "
    )
    band = f"Bands, pointwise: {interval_method(findings)}. " if _any_intervals(findings) else ""
    dashed = (
        "Dashed: the loss below which no model of these patients can go, known because they are generated. "
        if runs.oracle
        else ""
    )
    floor = runs.oracle.loss(findings.unit) if runs.oracle else None
    return Panel(
        "loss-by-size",
        f"{runs.evaluated.capitalize()} loss against model size",
        f"A point is a run on patients never trained on. {law}{band}{dashed}{_describe_runs(points)}.",
        figures.chart_loss_by_size(points, curves, _axis(runs, findings), floor),
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
        figures.chart_gaps(
            table, group_styles(runs.arms), "Loss above centralised training against parameters"
        ),
        {"gaps": table},
    )


def _loss_by_tokens(runs: Runs, findings: Findings) -> Panel | None:
    points, curves = tables.joint_curves(runs, findings)
    if curves.is_empty():
        return None
    return Panel(
        "loss-by-tokens",
        f"{runs.evaluated.capitalize()} loss against tokens",
        "Lines: L(N, D) = E + A / N^alpha + B / D^beta, fitted to all runs of an arm; D is the token "
        f"budget, in which repeated tokens count each time. {_describe_runs(points)}.",
        small_multiples.chart_loss_by_tokens(points, curves, _axis(runs, findings)),
        {"runs": points, "curves": curves},
    )


def _sites(runs: Runs, findings: Findings) -> Panel | None:
    table = tables.site_table(runs, findings)
    if table.is_empty() or findings.largest is None:
        return None
    styles = group_styles([*runs.arms, tables.OWN_SITE])
    local = (
        f" '{LOCAL}' is the mean over all sites' models, '{tables.OWN_SITE}' the model that the site trained "
        "on its own patients."
        if LOCAL in runs.arms
        else ""
    )
    return Panel(
        "sites",
        "The same, hospital by hospital",
        f"Loss on each site's own {runs.evaluated} patients at {count(findings.largest[0])} parameters, "
        f"mean over seeds; the line spans the seeds.{local}",
        figures.chart_sites(table, _axis(runs, findings), styles),
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
        "evaluation loss, and in the local and federated arms each replica sees its own site only.",
        small_multiples.chart_training(table),
        {"training": table},
    )
