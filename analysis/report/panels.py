"""The report's panels about loss, and all of them in the order of the page."""

from dataclasses import replace

import polars as pl

from analysis.charts.styles import group_styles
from analysis.report import figures, small_multiples, tables
from analysis.report.diagnosis_panel import diagnosis_panel
from analysis.report.family_panels import family_panels
from analysis.report.findings import Findings
from analysis.report.loss_axes import (
    axis_of_arm,
    chance_sentence,
    loss_axes,
    references,
    size_label,
    training_axes,
)
from analysis.report.panel import Panel
from analysis.report.privacy_panels import privacy_panels
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
        *privacy_panels(runs, findings),
        _gaps(runs, findings),
        *family_panels(findings.families),
        _loss_by_tokens(runs, findings),
        _sites(runs, findings),
        transfer_panel(runs, findings),
        diagnosis_panel(runs),
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
    points, curves = tables.loss_points(findings), tables.loss_curves(runs, findings)
    axes = loss_axes(runs, findings)
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
    return Panel(
        "loss-by-size",
        f"{runs.evaluated.capitalize()} loss against model size",
        f"A point is a run on patients never trained on. {law}{band}{dashed}{chance_sentence(axes, findings)}"
        f"{_describe_runs(points)}.",
        figures.chart_loss_by_size(
            points, curves, {axis: references(axis, runs, findings) for axis in axes}, size_label(runs)
        ),
        {"runs": points, "curves": curves},
    )


def _gaps(runs: Runs, findings: Findings) -> Panel | None:
    table = tables.gap_table(findings)
    if table.is_empty():
        return None
    budget = runs.counted.removesuffix("s")
    return Panel(
        "gap",
        "What it costs not to pool the data",
        f"Geometric mean loss over seeds above that of centralised training{_of_the_same_model(runs)} at the "
        f"same size and {budget} budget. Bars: {interval_method(findings)}, seeds paired where both arms "
        "have them. "
        f"Seeds a point: {', '.join(str(seeds) for seeds in sorted(table['seeds'].unique()))}.",
        figures.chart_gaps(
            table,
            loss_axes(runs, findings),
            [peers.local for peers in runs.peers],
            "Loss above centralised training against parameters",
            size_label(runs),
        ),
        {"gaps": table},
    )


def _of_the_same_model(runs: Runs) -> str:
    model = "family and objective" if runs.models > 1 else ""
    noise = "noise-batch ratio S" if len(runs.peers) > runs.models else ""
    same = " and ".join(filter(None, (model, noise)))
    return f" of the same {same}" if same else ""


def _loss_by_tokens(runs: Runs, findings: Findings) -> Panel | None:
    points, curves = tables.joint_curves(runs, findings)
    if curves.is_empty():
        return None
    return Panel(
        "loss-by-tokens",
        f"{runs.evaluated.capitalize()} loss against {runs.counted}",
        "Lines: L(N, D) = E + A / N^alpha + B / D^beta, fitted to all runs of an arm; D is the "
        f"{runs.counted.removesuffix('s')} budget, in which repeated {runs.counted} count each time. "
        f"{_describe_runs(points)}.",
        small_multiples.chart_loss_by_tokens(
            points, curves, runs.counted, axis_of_arm(loss_axes(runs, findings))
        ),
        {"runs": points, "curves": curves},
    )


def _sites(runs: Runs, findings: Findings) -> Panel | None:
    table = tables.site_table(runs, findings)
    if table.is_empty():
        return None
    own = {peers.local: tables.own_site(peers.local) for peers in runs.peers if peers.local}
    axes = [
        replace(axis, arms=(*axis.arms, *(own[arm] for arm in axis.arms if arm in own)))
        for axis in loss_axes(runs, findings)
    ]
    local = (
        f" '{LOCAL}' is the mean over all sites' models, '{tables.own_site(LOCAL)}' the model that the site "
        "trained on its own patients."
        if own
        else ""
    )
    return Panel(
        "sites",
        "The same, hospital by hospital",
        f"Loss on each site's own {runs.evaluated} patients at {_largest_sizes(findings)} parameters, "
        f"mean over seeds; the line spans the seeds.{local}",
        figures.chart_sites(table, axes, group_styles([*runs.arms, *own.values()])),
        {"sites": table},
    )


def _largest_sizes(findings: Findings) -> str:
    """The largest size of each model and noise; the size alone where it is that of all."""
    models: dict[int, list[str]] = {}
    for model, (parameters, _) in findings.largest.items():
        models.setdefault(parameters, []).append(model or "without privacy")
    return " or ".join(
        f"{count(parameters)} ({', '.join(names)})" if len(findings.largest) > 1 else count(parameters)
        for parameters, names in models.items()
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
        small_multiples.chart_training(table, runs.counted, training_axes(runs)),
        {"training": table},
    )
