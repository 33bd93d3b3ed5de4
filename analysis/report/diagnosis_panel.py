"""The panel about diagnoses in and out of distribution."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from analysis.report.diagnoses import SEEN, UNSEEN, diagnosis_table, everywhere
from analysis.report.panel import Panel
from analysis.report.scores import score_text
from analysis.tables.records import Runs
from analysis.wording import count

_RUN = ("arm", "parameters", "seed", "method")


def diagnosis_panel(runs: Runs) -> Panel | None:
    """Macro figures at the run's sites beside those at sites never seen, where the records hold them."""
    table = diagnosis_table(runs)
    if table.is_empty():
        return None
    together = everywhere(table)
    resamples = " or ".join(f"{number:,}" for number in sorted(table["resamples"].unique()))
    several = (
        " A row of several models (one a hospital) is their mean, with the lowest and highest of them in "
        "place of an interval."
        if together["models"].to_numpy().max() > 1
        else ""
    )
    return Panel(
        "diagnoses",
        "Diagnoses in and out of distribution",
        "A row a run and a way to use its features. In: held-out records of the run's sites. Out: all "
        "records of sites that no part of the run saw. AUROC is the mean over the classes that have "
        "positives and negatives among the records scored, which may be other classes in than out; knowing "
        "nothing has 0.5. The Challenge metric counts all classes, by thresholds of the run's tuning "
        f"split. Brackets: 95 % intervals of {resamples} bootstrap samples of patients, for fixed sites and "
        "seed; a class that a sample lacks is left out of it, not counted as zero."
        f"{several}",
        None,
        {"scores": table},
        [_row(rows) for rows in _by_run(together)],
        ["Arm", "Parameters", "Seed", "Method"],
    )


def _by_run(together: pl.DataFrame) -> list[dict[str, Mapping[str, Any]]]:
    """Rows of each run and method, by where."""
    return [
        {row["where"]: row for row in rows.iter_rows(named=True)}
        for _, rows in together.group_by(_RUN, maintain_order=True)
    ]


def _row(places: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    run = next(iter(places.values()))
    inside, outside = (places.get(where) for where in (SEEN, UNSEEN))
    return {
        "Arm": run["arm"],
        "Parameters": count(run["parameters"]),
        "Seed": str(run["seed"]),
        "Method": run["method"],
        "AUROC in": _score(inside, "auroc"),
        "AUROC out": _score(outside, "auroc"),
        "Challenge in": _score(inside, "challenge_metric"),
        "Challenge out": _score(outside, "challenge_metric"),
        "Classes": _both(inside, outside, "classes"),
        "Records": _both(inside, outside, "records"),
    }


def _score(place: Mapping[str, Any] | None, figure: str) -> str:
    return score_text(place, figure, decimals=2) if place else ""


def _both(inside: Mapping[str, Any] | None, outside: Mapping[str, Any] | None, column: str) -> str:
    return ", ".join(f"{place[column]:,}" for place in (inside, outside) if place)
