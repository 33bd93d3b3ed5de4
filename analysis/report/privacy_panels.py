"""The panels about privacy: what noise costs by size, batch and sites, the laws, and prices of epsilon."""

from typing import Any

from analysis.charts.chart import Axis
from analysis.privacy.findings import PrivacyFindings
from analysis.report.findings import Findings
from analysis.report.loss_axes import loss_axes, size_label
from analysis.report.panel import Panel
from analysis.report.privacy_chart import chart_by_batch, chart_by_noise, chart_by_size
from analysis.report.privacy_law_panels import comparison_panel, parameter_panel
from analysis.report.privacy_price_panels import price_panel, stated_panel
from analysis.report.privacy_sentences import baseline, interval_of, percent_text
from analysis.report.privacy_site_chart import chart_by_sites
from analysis.tables.noise_axis import on_the_surface
from analysis.tables.records import Runs
from analysis.uncertainty.interval_text import interval_text
from analysis.wording import count, significant


def privacy_panels(runs: Runs, findings: Findings) -> list[Panel]:
    """Everything about noise and epsilon, where some arm has runs at several noise-batch ratios."""
    found = findings.privacy
    if not found.surfaces:
        return []
    panels = (
        _by_noise(runs, findings),
        _by_size(runs, findings),
        _by_batch(runs, findings),
        _by_sites(runs, findings),
        parameter_panel(found),
        comparison_panel(found),
        stated_panel(found),
        price_panel(found),
    )
    return [panel for panel in panels if panel is not None]


def _axes(runs: Runs, findings: Findings) -> dict[str, Axis]:
    """Axis of the loss of each surface."""
    surface = dict(runs.table.select("arm", "surface").iter_rows())
    return {surface[arm]: Axis(axis.label) for axis in loss_axes(runs, findings) for arm in axis.arms}


def _synthetic(runs: Runs) -> str:
    return " Synthetic patients." if runs.table["synthetic"].all() else ""


def _laws(found: PrivacyFindings) -> str:
    formulas = dict.fromkeys(surface.fit.law.formula for surface in found.surfaces if surface.fit is not None)
    refused = [
        f"{surface.name} has no line: {surface.refusal}" for surface in found.surfaces if surface.fit is None
    ]
    drawn = [
        f"Lines: {formula}, fitted to the runs at every S, 95 % bands over seeds" for formula in formulas
    ]
    return ". ".join([*drawn, *refused])


def _by_noise(runs: Runs, findings: Findings) -> Panel:
    found = findings.privacy
    quiet = dict.fromkeys(filter(None, map(baseline, found.surfaces)))
    left = f" S = 0, at the left, is {' or '.join(quiet)}." if quiet else ""
    return Panel(
        "privacy",
        "Privacy: loss against the noise-batch ratio",
        "S = sigma / B, the noise on a step's mean gradient of a replica over the clipping norm (arXiv "
        f"2501.18914).{left} A mark is the geometric mean over seeds of the runs with most steps, with its "
        f"interval over seeds. {_laws(found)}; a line is at the budget of its private runs. In the table, "
        "measured costs are against S = 0 of as many steps and patients a step, and those of the law on an "
        f"equal budget.{_synthetic(runs)}",
        chart_by_noise(found.surfaces, found.costs.filter(on_the_surface()), _axes(runs, findings)),
        {"costs": found.costs},
        [_cost_row(row, runs.counted.capitalize()) for row in found.costs.iter_rows(named=True)],
        ["Arm", "Noise"],
    )


def _cost_row(row: dict[str, Any], counted: str) -> dict[str, str]:
    return {
        "Arm": row["surface"],
        "Noise": row["noise"] or "no privacy",
        "A step": "" if row["batch_patients"] is None else f"{row['batch_patients']:,}",
        "Parameters": count(row["parameters"]),
        counted: count(row["tokens"]),
        "Loss": interval_text(interval_of(row, "loss")),
        "Above S = 0": percent_text(row),
        "By the law": percent_text(row, "fitted_percent"),
        "Seeds": str(row["seeds"]),
    }


def _by_size(runs: Runs, findings: Findings) -> Panel:
    found = findings.privacy
    drawn = found.costs.filter(on_the_surface())
    return Panel(
        "privacy-by-size",
        "Privacy: loss against size, by noise-batch ratio",
        f"The same marks and law along sizes. {_laws(found)}.{_synthetic(runs)}",
        chart_by_size(found.surfaces, drawn, _axes(runs, findings), size_label(runs)),
        {"costs": drawn},
    )


def _by_batch(runs: Runs, findings: Findings) -> Panel | None:
    found = findings.privacy
    drawn = found.costs.filter("shared")
    if drawn.is_empty():
        return None
    return Panel(
        "privacy-by-batch",
        "Privacy: loss against patients a step, by noise-batch ratio",
        "Who is drawn is noise, too: a step of P patients has c / sqrt(P) of it, which adds in squares to "
        "S, so that at one S a larger batch has the lower loss and pays the larger price. Marks at the "
        "number of steps that most batches share, with the interval over seeds. "
        f"{_laws(found)}.{_synthetic(runs)}",
        chart_by_batch(found.surfaces, drawn, _axes(runs, findings)),
        {"costs": drawn},
    )


def _by_sites(runs: Runs, findings: Findings) -> Panel | None:
    sites = findings.privacy.sites
    if sites.is_empty():
        return None
    label = next(iter(_axes(runs, findings).values())).label
    return Panel(
        "privacy-by-sites",
        "Privacy: loss against the number of sites",
        "Training averaged over sites, and pooled training of the same sites with as many patients a step "
        "together and the same noise multiplier sigma: one epsilon, where each site draws the same share of "
        "its patients. S of a site is then the pooled one times the number of sites, that of the mean over "
        "sites times its root. By the law: loss of pooled training at the noise of the mean; what an arm "
        "lies above it is what averaging costs besides noise. One site alone stands for both. Losses are on "
        f"the {runs.evaluated} patients of the sites that took part. Intervals: Student's, the spread "
        f"between seeds pooled over an arm's points.{_synthetic(runs)}",
        chart_by_sites(sites, label),
        {"sites": sites},
        [_site_row(row) for row in sites.iter_rows(named=True)],
        ["Parameters", "Steps", "sigma"],
    )


def _site_row(row: dict[str, Any]) -> dict[str, str]:
    return {
        "Parameters": count(row["parameters"]),
        "Steps": f"{row['steps']:,}",
        "sigma": significant(row["sigma"]) if row["sigma"] else "none",
        "Sites": f"{row['sites']}",
        "Arm": row["arm"],
        "A step, all sites": f"{row['step_patients']:,}",
        "S of a site": f"{row['ratio']:.3g}",
        "S of the mean": f"{row['averaged_ratio']:.3g}",
        "Loss": interval_text(interval_of(row, "loss")),
        "Above pooled": percent_text(row),
        "By the law": "" if row["by_law"] is None else significant(row["by_law"], 4),
        "Seeds": str(row["seeds"]),
    }
