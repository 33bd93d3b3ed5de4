"""The panel about hospitals outside the federation."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from analysis.report.figures import chart_gaps
from analysis.report.findings import Findings
from analysis.report.loss_axes import loss_axes, size_label
from analysis.report.loss_words import loss_headings
from analysis.report.panel import Panel
from analysis.report.transfer import transfer_table
from analysis.tables.arms import LOCAL
from analysis.tables.records import LOSSES, Runs
from analysis.wording import count


def transfer_panel(runs: Runs, findings: Findings) -> Panel | None:
    """Loss outside the federation, where the records hold it."""
    table = transfer_table(runs, findings.curve_runs, findings.loss)
    if table.is_empty():
        return None
    gaps = table.filter(pl.col("percent").is_not_null())
    drawn = gaps["parameters"].n_unique() > 1
    local = (
        f" '{LOCAL}' is the mean over the hospitals' own models, the best and worst of which stand beside it."
        if any(peers.local for peers in runs.peers)
        else ""
    )
    compared = (
        " Gaps to centralised training are of matched seeds, mean and range (the bars); 'inside' is the same "
        f"runs' gap on the federation's own {runs.evaluated} patients."
        if len(gaps)
        else ""
    )
    return Panel(
        "outside",
        "Out of federation: hospitals that took no part",
        f"All patients of {_numbers(table, 'outside_sites')} sites whose records no run trained on: "
        f"{_numbers(table, 'patients')} patients. Mean loss over seeds, in brackets the smallest and largest "
        f"seed.{local}{compared} Losses inside and outside are of different patients: compare gaps, not "
        "levels.",
        chart_gaps(
            gaps,
            loss_axes(runs, findings),
            [peers.local for peers in runs.peers],
            "Loss above centralised, outside",
            size_label(runs),
        )
        if drawn
        else None,
        {"losses": table},
        [_row(row, loss_headings(runs)) for row in table.iter_rows(named=True)],
        ["Arm"],
    )


def _numbers(table: pl.DataFrame, column: str) -> str:
    return " or ".join(f"{number:,}" for number in sorted(table[column].unique()))


def _row(row: dict[str, Any], headings: Sequence[str]) -> dict[str, str]:
    losses = {
        heading: _mean(row, column, row["seeds"], decimals=3)
        for heading, column in zip(headings, LOSSES.values(), strict=True)
    }
    ends = (row["best_model_per_token"], row["worst_model_per_token"])
    return {
        "Arm": row["arm"],
        "Parameters": count(row["parameters"]),
        **losses,
        "Best and worst model": "{:.3f} to {:.3f}".format(*ends) if row["models"] > 1 else "",
        "Above centralised": "" if row["percent"] is None else _mean(row, "percent", row["seeds"], 1, " %"),
        "Inside": "" if row["percent_inside"] is None else f"{row['percent_inside']:.1f} %",
        "Seeds": str(row["seeds"]),
        "Patients": f"{row['patients']:,}",
    }


def _mean(row: dict[str, Any], name: str, seeds: int, decimals: int, unit: str = "") -> str:
    mean, low, high = (f"{row[f'{name}{end}']:.{decimals}f}" for end in ("", "_low", "_high"))
    return f"{mean}{unit} ({low} to {high})" if seeds > 1 else f"{mean}{unit}"
