"""The panel about clinical tasks."""

from typing import Any

import polars as pl

from analysis.report.downstream import downstream_table
from analysis.report.panel import Panel
from analysis.report.scores import score_text
from analysis.tables.records import Runs
from analysis.wording import count


def task_panel(runs: Runs) -> Panel | None:
    """Discrimination on clinical tasks, where the records hold it."""
    table = downstream_table(runs)
    if table.is_empty():
        return None
    answered = _diagnoses(runs) if runs.counted == "samples" else _questions(runs, table)
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
        f"{answered}{several} All arms answer the same questions, so overlapping intervals do not mean that "
        f"arms are equal.{probe}",
        None,
        {"scores": table},
        [_row(row) for row in table.iter_rows(named=True)],
        ["Task", "Arm"],
    )


def _questions(runs: Runs, table: pl.DataFrame) -> str:
    resamples = " or ".join(f"{number:,}" for number in sorted(table["resamples"].unique()))
    return (
        f"A row a run, on {runs.evaluated} patients of all sites. Majority baseline: AUROC 0.5, AUPRC = "
        f"prevalence. Brackets: 95 % percentile intervals of {resamples} bootstrap samples of patients, all "
        "questions of a patient together; samples with one class have no AUROC and are left out of it."
    )


def _diagnoses(runs: Runs) -> str:
    return (
        f"A row a run, on {runs.evaluated} records of its sites, or on all records of sites that it never "
        "saw. Figures are means over the classes that have positives and negatives there (macro); a positive "
        "is a label of a record. Majority baseline: AUROC 0.5, AUPRC = prevalence, each the mean over "
        "classes. Brackets: 95 % intervals of bootstrap samples of patients, all records of a patient "
        "together; a class that a sample lacks is left out of it."
    )


def _row(row: dict[str, Any]) -> dict[str, str]:
    return {
        "Task": row["task"].replace("_", " "),
        "Arm": row["arm"],
        "Parameters": count(row["parameters"]),
        "Seed": str(row["seed"]),
        "Models": str(row["models"]),
        "AUROC": score_text(row, "auroc"),
        "AUPRC": score_text(row, "auprc"),
        "Prevalence": f"{row['prevalence']:.3f}",
        "Positives": f"{row['positives']:,} of {row['n']:,}",
        "Patients": f"{row['patients']:,}",
    }
