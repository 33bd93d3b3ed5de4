"""The panel about clinical tasks."""

from typing import Any

from analysis.report.downstream import downstream_table
from analysis.report.panel import Panel
from analysis.tables.records import Runs
from analysis.wording import count


def task_panel(runs: Runs) -> Panel | None:
    """Discrimination on clinical tasks, where the records hold it."""
    table = downstream_table(runs)
    if table.is_empty():
        return None
    resamples = " or ".join(f"{number:,}" for number in sorted(table["resamples"].unique()))
    several = (
        " A row of several models (one a hospital) is their mean, with the lowest and highest of them in "
        "place of an interval."
        if table["models"].to_numpy().max() > 1
        else ""
    )
    probe = (
        " The probe reads frozen features and is fitted to the labelled training patients of all sites in "
        "every arm: the arms differ in what the features learnt."
        if table["task"].str.contains("(probe)", literal=True).any()
        else ""
    )
    return Panel(
        "tasks",
        "Clinical tasks",
        f"A row a run, on {runs.evaluated} patients of all sites. Majority baseline: AUROC 0.5, AUPRC = "
        f"prevalence. Brackets: 95 % percentile intervals of {resamples} bootstrap samples of patients, all "
        "questions of a patient together; samples with one class have no AUROC and are left out of it."
        f"{several} All arms answer the same questions, so overlapping intervals do not mean that arms are "
        f"equal.{probe}",
        None,
        {"scores": table},
        [_row(row) for row in table.iter_rows(named=True)],
        ["Task", "Arm"],
    )


def _row(row: dict[str, Any]) -> dict[str, str]:
    return {
        "Task": row["task"].replace("_", " "),
        "Arm": row["arm"],
        "Parameters": count(row["parameters"]),
        "Seed": str(row["seed"]),
        "Models": str(row["models"]),
        "AUROC": _score(row, "auroc"),
        "AUPRC": _score(row, "auprc"),
        "Prevalence": f"{row['prevalence']:.3f}",
        "Positives": f"{row['positives']:,} of {row['n']:,}",
        "Patients": f"{row['patients']:,}",
    }


def _score(row: dict[str, Any], metric: str) -> str:
    value, low, high = (row[f"{metric}{end}"] for end in ("", "_low", "_high"))
    if value is None:
        return "not defined (one class)"
    if low is None or high is None:
        return f"{value:.3f} (no interval)"
    return f"{value:.3f} ({low:.3f} to {high:.3f})"
