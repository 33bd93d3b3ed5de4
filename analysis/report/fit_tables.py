"""The fits as the page shows them."""

from typing import Any

from analysis.fits.fit import Fit
from analysis.report.findings import Findings
from analysis.wording import interval_text


def fit_tables(findings: Findings) -> list[dict[str, Any]]:
    """The fits as the page shows them: a table a law and way of counting N, warnings gathered below."""
    groups: dict[tuple[str, str], list[Fit]] = {}
    for fit in findings.fits:
        counted = "without embeddings" if "non_embedding_parameters" in fit.columns else "all parameters"
        groups.setdefault((fit.law.formula, counted), []).append(fit)
    drawn = {id(fit) for fit in findings.curves.values()}
    tables = [
        {
            "formula": formula,
            "counted": counted,
            "drawn": any(id(fit) in drawn for fit in fits),
            "source": fits[0].law.source,
            "parameters": fits[0].law.parameters,
            "rows": [_fit_row(fit) for fit in fits],
            "warnings": _gathered_warnings(fits),
        }
        for (formula, counted), fits in groups.items()
    ]
    return sorted(tables, key=lambda table: not table["drawn"])


def _fit_row(fit: Fit) -> dict[str, Any]:
    convergence = fit.law.convergence_
    return {
        "arm": fit.group,
        "params": [interval_text(fit.intervals[name]) for name in fit.law.parameters],
        "n": fit.law.n_,
        "points": fit.points,
        "objective": f"{fit.law.objective_:.3g}",
        "reached": f"{100 * convergence.reached_best:.0f} % of {convergence.starts}",
        "gradient": f"{convergence.gradient_norm:.0e}",
        "misfit": "" if fit.misfit is None else f"{fit.misfit:.2g}",
    }


def _gathered_warnings(fits: list[Fit]) -> list[str]:
    by_text: dict[str, list[str]] = {}
    for fit in fits:
        for warning in fit.warnings:
            by_text.setdefault(warning, []).append(fit.group)
    return [f"{', '.join(arms)}: {text}." for text, arms in by_text.items()]


def refused(findings: Findings) -> list[str]:
    """Laws that were not fitted and why, arms with the same reason together."""
    by_reason: dict[tuple[str, str], list[str]] = {}
    for refusal in findings.refusals:
        by_reason.setdefault((refusal.law, refusal.reason), []).append(refusal.arm)
    return [f"{law} ({', '.join(arms)}): {reason}." for (law, reason), arms in by_reason.items()]


def seed_noise_text(findings: Findings) -> str:
    """Spread between seeds, by arm: the floor below which no difference means anything."""
    return "; ".join(
        f"{arm} unknown (no size has two seeds)"
        if fit.noise.deviation is None
        else f"{arm} {100 * fit.noise.deviation:.2g} % ({fit.noise.degrees} degrees of freedom)"
        for arm, fit in findings.curves.items()
    )
