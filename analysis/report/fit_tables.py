"""The fits as the page shows them."""

from collections.abc import Collection, Sequence
from typing import Any

from analysis.fits.fit import Fit
from analysis.report.findings import Findings, Refusal
from analysis.uncertainty.interval_text import interval_text
from analysis.wording import significant


def fit_tables(
    fits: Sequence[Fit], drawn: Collection[Fit], apart: str = "embeddings"
) -> list[dict[str, Any]]:
    """The fits as a page shows them: a table a law and way of counting N, warnings gathered below.

    ``apart`` says what is not counted in ``non_embedding_parameters``.
    """
    groups: dict[tuple[str, str], list[Fit]] = {}
    for fit in fits:
        left_out = apart if "non_embedding_parameters" in fit.columns else ""
        groups.setdefault((fit.law.formula, left_out), []).append(fit)
    shown = {id(fit) for fit in drawn}
    tables = [
        {
            "formula": formula,
            "apart": left_out,
            "drawn": any(id(fit) in shown for fit in together),
            "source": together[0].law.source,
            "how": _how(together),
            "parameters": together[0].law.parameters,
            "rows": [_fit_row(fit) for fit in together],
            "warnings": _gathered_warnings(together),
        }
        for (formula, left_out), together in groups.items()
    ]
    return sorted(tables, key=lambda table: not table["drawn"])


def _how(fits: list[Fit]) -> str:
    """How fits of one law were made: what (Mis)Fitting (arXiv 2502.18969) asks every fit to say."""
    law = fits[0].law
    methods = " and ".join(dict.fromkeys(fit.interval_method for fit in fits))
    return (
        f"Objective: {law.objective}. Solver: {law.convergence_.solver}. Bounds: {law.bounds}. "
        f"Intervals: {methods}."
    )


def _fit_row(fit: Fit) -> dict[str, Any]:
    convergence = fit.law.convergence_
    return {
        "group": fit.group,
        "params": [
            f"{significant(fit.law.params_[name], 6)} (held)"
            if name in fit.law.fixed_
            else interval_text(fit.intervals[name])
            for name in fit.law.parameters
        ],
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
    return [
        f"{', '.join(named)}: {text}." if (named := [group for group in groups if group]) else f"{text}."
        for text, groups in by_text.items()
    ]


def refused(refusals: Sequence[Refusal]) -> list[str]:
    """Laws that were not fitted and why, groups with the same reason together."""
    by_reason: dict[tuple[str, str], list[str]] = {}
    for refusal in refusals:
        by_reason.setdefault((refusal.law, refusal.reason), []).append(refusal.arm)
    return [
        f"{law} ({', '.join(named)}): {reason}."
        if (named := [group for group in groups if group])
        else f"{law}: {reason}."
        for (law, reason), groups in by_reason.items()
    ]


def seed_noise_text(findings: Findings) -> str:
    """Spread between seeds, by arm: the floor below which no difference means anything."""
    return "; ".join(
        f"{arm} unknown (no size has two seeds)"
        if fit.noise.deviation is None
        else f"{arm} {100 * fit.noise.deviation:.2g} % ({fit.noise.degrees} degrees of freedom)"
        for arm, fit in findings.curves.items()
    )
