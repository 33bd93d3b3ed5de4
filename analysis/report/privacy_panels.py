"""The panels about privacy: what noise costs, how the laws predict, and what an epsilon costs."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from analysis.charts.chart import Axis
from analysis.privacy.findings import PrivacyFindings
from analysis.report.findings import Findings
from analysis.report.loss_axes import loss_axes, size_label
from analysis.report.panel import Panel
from analysis.report.privacy_chart import chart_by_noise, chart_by_size
from analysis.report.privacy_sentences import baseline, holds_for, interval_of, percent_text
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
        _holdouts(found),
        _stated(found),
        _prices(found),
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
        f"{surface.name} has no line: {next(iter(surface.refused.values()))}"
        for surface in found.surfaces
        if surface.fit is None
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
        f"interval over seeds. {_laws(found)}; a line is at the tokens of its private runs. In the table, "
        f"measured costs are against S = 0 of as many steps, and those of the law on equal {runs.counted}."
        f"{_synthetic(runs)}",
        chart_by_noise(found.surfaces, found.costs.filter(on_the_surface()), _axes(runs, findings)),
        {"costs": found.costs},
        [_cost_row(row, runs.counted.capitalize()) for row in found.costs.iter_rows(named=True)],
        ["Arm", "Noise"],
    )


def _cost_row(row: dict[str, Any], counted: str) -> dict[str, str]:
    return {
        "Arm": row["surface"],
        "Noise": row["noise"] or "no privacy",
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


def _holdouts(found: PrivacyFindings) -> Panel | None:
    if found.holdouts.is_empty():
        return None
    return Panel(
        "privacy-laws",
        "Privacy: the laws, and sizes that they were not fitted to",
        "Parameters of each law from all runs of an arm, with 95 % intervals, and its error on runs of a "
        "size that was left out, in per cent of the loss: mean and, in brackets, largest. The largest size "
        "is what a study extrapolates to; the smaller ones in turn say how much hangs on one.",
        None,
        {"held-out": found.holdouts},
        [
            {
                "Arm": surface.name,
                "Law": fit.law.name,
                "Parameters": ", ".join(
                    f"{name} {'0 (held)' if name in fit.law.fixed_ else interval_text(fit.intervals[name])}"
                    for name in fit.law.parameters
                    if name != "beta" or name not in fit.law.fixed_
                ),
                **_errors(found.holdouts, surface.name, fit.law.name),
                "Runs": str(fit.law.n_),
            }
            for surface in found.surfaces
            for fit in surface.fits
        ],
        ["Arm", "Law", "Parameters"],
    )


def _errors(holdouts: pl.DataFrame, surface: str, law: str) -> dict[str, str]:
    rows = holdouts.filter(pl.col("surface") == surface, pl.col("law") == law).to_dicts()
    smaller = [row for row in rows if not row["is_largest"]]
    return {
        "Largest size": ", ".join(_error(row) for row in rows if row["is_largest"]),
        "Each smaller size": ", ".join(_error(row) for row in smaller),
    }


def _error(row: dict[str, Any]) -> str:
    size = count(row["parameters"])
    if row["percent"] is None:
        return f"{size}: not fitted"
    return f"{size}: {row['percent']:.2f} % ({row['largest_percent']:.2f})"


def _stated(found: PrivacyFindings) -> Panel | None:
    names = [surface.name for surface in found.surfaces]
    if found.stated.is_empty() or (rows := _of(found.stated, names).sort("surface", "ratio")).is_empty():
        return None
    standing = (rows["stands_for"].to_numpy() > 1).any()
    stand_in = (
        " A stand-in draws 1/k of the patients with 1/k of the noise of a run that it stands for (arXiv "
        "2210.03403): its own epsilon is large, that of the run it stands for beside it."
        if standing
        else ""
    )
    return Panel(
        "privacy-epsilon",
        "Privacy: what the runs' noise was worth",
        "Epsilon by the statements of privacy in the records, the largest of a run's sites; it holds for the "
        "patients, draws and steps beside it, and one S is another epsilon for others. Unit: "
        f"{' or '.join(rows['unit'].unique(maintain_order=True))}.{stand_in}",
        None,
        {"epsilons": rows},
        [_stated_row(row, standing=bool(standing)) for row in rows.iter_rows(named=True)],
        ["Arm", "S"],
    )


def _stated_row(row: dict[str, Any], *, standing: bool) -> dict[str, str]:
    stood = (
        {"Stands for": _epsilon(row["stands_for_epsilon"]) if row["stands_for"] > 1 else ""}
        if standing
        else {}
    )
    fewest, most = row["patients"], row["most_patients"]
    several = fewest is not None and most > fewest
    return {
        "Arm": row["surface"],
        "S": f"{row['ratio']:.4g}",
        "Epsilon": _epsilon(row["epsilon"]),
        **stood,
        "Delta": "not told" if row["delta"] is None else f"{row['delta']:.3g}",
        "Patients a site (n)": "not told" if fewest is None else f"{fewest:,}" + f" to {most:,}" * several,
        "A step (B)": f"{row['batch_patients']:,}",
        "Steps (T)": f"{row['steps']:,}",
        "Runs": str(row["runs"]),
    }


def _epsilon(value: float | None) -> str:
    return "no bound" if value is None else significant(value)


def _prices(found: PrivacyFindings) -> Panel | None:
    if found.prices.is_empty():
        return None
    return Panel(
        "privacy-price",
        "Privacy: what an epsilon would cost",
        "The noise that the accountant asks of every site of n patients for an epsilon, and the loss that "
        "the fitted law gives at that S, with the loss above no noise in per cent. n is that of the runs' "
        "smallest site, and ten and a hundred times as many. Nothing is said beyond the S that were run; "
        "between S = 0 and the smallest above it the law's form decides. For another n: wardlaw analysis "
        "privacy.",
        None,
        {"prices": found.prices},
        price_rows(found.prices),
        ["Arm", "Holds for", "Epsilon"],
    )


def price_rows(prices: pl.DataFrame) -> list[dict[str, str]]:
    """A row an epsilon and setting, a column a size; text by heading."""
    sizes = sorted(prices["parameters"].unique())
    keys = ("surface", "patients", "batch_patients", "steps", "delta", "epsilon")
    rows = []
    for _, part in prices.group_by(keys, maintain_order=True):
        first = part.row(0, named=True)
        by_size = {row["parameters"]: row for row in part.iter_rows(named=True)}
        rows.append(
            {
                "Arm": first["surface"],
                "Holds for": holds_for(first),
                "Epsilon": f"{first['epsilon']:g}",
                "sigma": _number(first["noise_multiplier"]),
                "S": _number(first["ratio"]),
                **{count(size): _price(by_size.get(size)) for size in sizes},
            }
        )
    return rows


def _price(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    if row["loss"] is None:
        return row["reason"] or ""
    above = f", {percent_text(row)} above" if row["percent"] is not None else ""
    return f"{significant(row['loss'], 4)}{above}"


def _number(value: float | None) -> str:
    return "" if value is None else significant(value)


def _of(table: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    return table.filter(pl.col("surface").is_in(list(names)))
