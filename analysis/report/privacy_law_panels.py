"""The panels about the private laws: their parameters, and how they compare."""

import math
from typing import Any

import polars as pl

from analysis.fits.fit import Fit
from analysis.privacy.findings import PrivacyFindings
from analysis.report.panel import Panel
from analysis.uncertainty.interval_text import interval_text
from analysis.wording import count

_LEAST_P = 0.001


def parameter_panel(found: PrivacyFindings) -> Panel | None:
    """Parameters of each law with their intervals."""
    fits = [(surface.name, fit) for surface in found.surfaces for fit in surface.fits]
    if not fits:
        return None
    formulas = dict.fromkeys(f"{fit.law.name}: {fit.law.formula}" for _, fit in fits)
    return Panel(
        "privacy-laws",
        "Privacy: the laws",
        "Parameters of each law from all runs of an arm, with 95 % intervals. T are steps, D tokens, P "
        f"patients a step. {'; '.join(formulas)}.",
        None,
        {},
        [
            {"Arm": arm, "Law": fit.law.name, "Parameters": _parameters(fit), "Runs": str(fit.law.n_)}
            for arm, fit in fits
        ],
        ["Arm", "Law"],
    )


def comparison_panel(found: PrivacyFindings) -> Panel | None:
    """How far each law is off its own runs, and off sizes and batches that it was not fitted to."""
    if found.laws.is_empty():
        return None
    batches = not found.holdouts.is_empty() and "P" in found.holdouts["letter"].to_list()
    return Panel(
        "privacy-law-comparison",
        "Privacy: the laws against each other",
        "Off: root mean square residual, in per cent of the loss. AIC: Akaike's criterion above that of the "
        "arm's best; laws of other runs have none. Fits: p of the lack of fit against the spread between "
        "seeds; of a special case, p of the F test against its law. Held out: mean error on the runs of "
        "a size or a number of patients a step that the law was not fitted to, in per cent of the loss, "
        "and the largest in brackets. The largest value is what a study extrapolates to; the smaller "
        "ones in turn say how much hangs on one.",
        None,
        {"laws": found.laws, "held-out": found.holdouts},
        [
            _compared(row, found, batches=batches)
            for part in found.laws.partition_by("surface", maintain_order=True)
            for row in _with_aic(part).iter_rows(named=True)
        ],
        ["Arm", "Law"],
    )


def _parameters(fit: Fit) -> str:
    told = [
        f"{name} {'0 (held)' if name in fit.law.fixed_ else interval_text(fit.intervals[name])}"
        for name in fit.law.parameters
        if name != "beta" or name not in fit.law.fixed_
    ]
    return ", ".join(told)


def _with_aic(laws: pl.DataFrame) -> pl.DataFrame:
    """AIC above the least, among laws that were fitted to as many runs as the first."""
    alike = pl.col("runs") == pl.col("runs").first()
    least = pl.col("aic").filter(alike).min()
    return laws.with_columns(above=pl.when(alike).then(pl.col("aic") - least))


def _compared(row: dict[str, Any], found: PrivacyFindings, *, batches: bool) -> dict[str, str]:
    own = not row["case"]
    shown = {
        "Arm": row["surface"],
        "Law": row["law"] + ("" if own else f", {row['case']}"),
        "Free": str(row["free"]),
        "Off": "" if row["percent"] is None else f"{row['percent']:.2f} %",
        "AIC": "" if row["above"] is None else f"{row['above']:.1f}",
        "Fits": _p_text(row["lack_of_fit_p"] if own else row["p"]),
    }
    held = {"Largest size": ("N", True), "Each smaller size": ("N", False)}
    if batches:
        held |= {"Largest batch": ("P", True), "Each smaller batch": ("P", False)}
    return shown | {
        heading: _errors(found.holdouts, row, letter, largest=largest) if own else ""
        for heading, (letter, largest) in held.items()
    }


def _p_text(p: float | None) -> str:
    if p is None or math.isnan(p):
        return ""
    return f"p < {_LEAST_P}" if p < _LEAST_P else f"p = {p:.2g}"


def _errors(holdouts: pl.DataFrame, law: dict[str, Any], letter: str, *, largest: bool) -> str:
    if holdouts.is_empty():
        return ""
    rows = holdouts.filter(
        pl.col("surface") == law["surface"],
        pl.col("law") == law["law"],
        pl.col("letter") == letter,
        pl.col("is_largest") == largest,
    )
    return ", ".join(_error(row) for row in rows.iter_rows(named=True))


def _error(row: dict[str, Any]) -> str:
    value = count(row["value"]) if row["letter"] == "N" else f"{row['value']:,}"
    if row["percent"] is None:
        return f"{value}: not fitted"
    return f"{value}: {row['percent']:.2f} % ({row['largest_percent']:.2f})"
