"""The panels about epsilon: what the runs' noise was worth, and what an epsilon would cost."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from analysis.privacy.findings import PrivacyFindings
from analysis.privacy.price_text import above_text, batch_note
from analysis.privacy.statements import epsilon_words
from analysis.report.panel import Panel
from analysis.report.privacy_sentences import holds_for
from analysis.wording import count, significant


def stated_panel(found: PrivacyFindings) -> Panel | None:
    """Epsilons by the statements in the records."""
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
        {"Stands for": epsilon_words(row["stands_for_epsilon"]) if row["stands_for"] > 1 else ""}
        if standing
        else {}
    )
    fewest, most = row["patients"], row["most_patients"]
    several = fewest is not None and most > fewest
    return {
        "Arm": row["surface"],
        "S": f"{row['ratio']:.4g}",
        "Epsilon": epsilon_words(row["epsilon"]),
        **stood,
        "Delta": "not told" if row["delta"] is None else f"{row['delta']:.3g}",
        "Patients a site (n)": "not told" if fewest is None else f"{fewest:,}" + f" to {most:,}" * several,
        "A step (B)": f"{row['batch_patients']:,}",
        "Steps (T)": f"{row['steps']:,}",
        "Runs": str(row["runs"]),
    }


def price_panel(found: PrivacyFindings) -> Panel | None:
    """Loss under epsilons, by the fitted laws."""
    if found.prices.is_empty():
        return None
    notes = [note for part in found.prices.partition_by("surface") for note in batch_note(part)]
    return Panel(
        "privacy-price",
        "Privacy: what an epsilon would cost",
        "The noise that the accountant asks of every site of n patients for an epsilon, and the loss that "
        "the fitted law gives at that S, with the loss above no noise in per cent. n is that of the runs' "
        "smallest site, and ten and a hundred times as many; where the law knows both noises, a step draws "
        "the most patients that were run. Above the largest S that was run only its cost is known, as "
        "a bound; between S = 0 and the smallest above it the law's form decides. For other n, batches and "
        f"steps: wardlaw analysis privacy. {'. '.join(dict.fromkeys(notes))}".strip(),
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
    above = f", {above_text(row)} above" if row["percent"] is not None else ""
    return f"{significant(row['loss'], 4)}{above}"


def _number(value: float | None) -> str:
    return "" if value is None else significant(value)


def _of(table: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    return table.filter(pl.col("surface").is_in(list(names)))
