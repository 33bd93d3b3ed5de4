"""How often each finding is labelled at each synthetic hospital."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from client.ecg.classes import CLASSES, SINUS, class_of
from client.ecg.synthetic.patient import OLDEST, YOUNGEST
from client.ecg.synthetic.rule import FINDINGS, INDEX, NOT_SINUS
from wardlaw.errors import ConfigError, DataError
from wardlaw.seeds import generator

RAREST, COMMONEST = 0.002, 0.9
_HIGHEST_SUM = 0.95
"""Share up to which findings that exclude each other are labelled together."""

Case = dict[str, Any]
"""Fields of a ``SyntheticSite`` that say who its patients are."""


def drawn_cases(sites: int, alpha: float, seed: int) -> list[Case]:
    """Prevalences of hospitals that share the findings' sum and differ in their mix.

    Each site's mix is drawn from Dirichlet(alpha p), with p the findings' own shares.

    Raises
    ------
    ConfigError
        If ``alpha`` is not a positive number.
    """
    if not (alpha > 0 and np.isfinite(alpha)):
        raise ConfigError(f"must be a positive number, is {alpha}", where="--alpha")
    prevalence = np.array([finding.prevalence for finding in FINDINGS])
    total = prevalence.sum()
    mixes = generator(seed, "ecg-hospitals", "labels").dirichlet(alpha * prevalence / total, sites)
    names = [finding.name for finding in FINDINGS]
    return [{"prevalence": _possible(dict(zip(names, (total * mix).tolist(), strict=True)))} for mix in mixes]


def measured_cases(table: Path, sites: int) -> dict[str, Case]:
    """Prevalences, ages and sexes of the largest sites of a label table, by name.

    Parameters
    ----------
    table : Path
        CSV of ``site``, ``age``, ``gender`` and a 0/1 column for each SNOMED CT code, a row a record.
    sites : int
        How many of its sites to take, the largest first.

    Raises
    ------
    DataError
        If a column is absent, a label is neither 0 nor 1, or there are fewer sites.
    """
    rows = _read(table)
    found = rows.group_by("site").len().sort(["len", "site"], descending=[True, False])["site"].to_list()
    if sites > len(found):
        raise DataError(
            f"has {len(found)} sites and not {sites}", where=str(table), remedy="Ask for fewer --sites"
        )
    return {name: _measured(rows.filter(pl.col("site") == name)) for name in found[:sites]}


def _read(table: Path) -> pl.DataFrame:
    try:
        rows = pl.read_csv(table, infer_schema_length=None)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"not a table of labels ({type(error).__name__})", where=str(table)) from None
    if absent := [name for name in ("site", "age", "gender") if name not in rows.columns]:
        raise DataError(f"has no column {', '.join(absent)}", where=str(table))
    scored = [name for name in rows.columns if class_of(name) is not None]
    if not scored:
        raise DataError("no column is a SNOMED CT code of the Challenge's classes", where=str(table))
    wrong = [name for name in scored if not rows[name].is_in([0, 1]).all()]
    if wrong:
        raise DataError("a label must be 0 or 1", where=f"{table}: {wrong[0]}")
    classes = {
        CLASSES[number]: pl.max_horizontal(name for name in scored if class_of(name) == number)
        for number in {class_of(name) for name in scored}
        if number is not None
    }
    return rows.select(
        "site",
        pl.col("age").cast(pl.Float64, strict=False),
        pl.col("gender").cast(pl.String).str.to_lowercase().str.head(1).alias("sex"),
        **classes,
    )


def _measured(rows: pl.DataFrame) -> Case:
    """One site's case mix; half a record is added to each count, so that no finding is impossible."""
    records = rows.height

    def share(code: str) -> float:
        labelled = int((rows[code] == 1).sum()) if code in rows.columns else 0
        return (labelled + 0.5) / (records + 1)

    prevalence = _possible({finding.name: share(finding.code) for finding in FINDINGS})
    # Sinus rhythm is what the other rhythms leave: a site that labels it less often says so less often.
    left = 1 - sum(prevalence[name] for name in NOT_SINUS)
    ages = rows["age"].filter(rows["age"].is_between(YOUNGEST, OLDEST))
    known = rows["sex"].filter(rows["sex"].is_in(["f", "m"]))
    case: Case = {"prevalence": prevalence, "sinus_reported": min(1.0, share(SINUS) / left)}
    if len(ages) > 1 and known.len():
        mean, spread = ages.to_numpy().mean(), ages.to_numpy().std()
        case |= {
            "age_mean": float(mean),
            "age_spread": float(np.clip(spread, 1.0, 40.0)),
            "female": float((known == "f").sum() / known.len()),
        }
    return case


def _possible(prevalence: dict[str, float]) -> dict[str, float]:
    """Shares within bounds, with the findings that exclude each other below one together."""
    bounded = {name: float(np.clip(share, RAREST, COMMONEST)) for name, share in prevalence.items()}
    for names in (NOT_SINUS, ("CLBBB", "CRBBB"), ("LAD", "RAD")):
        excess = sum(bounded[name] for name in names) / _HIGHEST_SUM
        bounded |= {name: bounded[name] / excess for name in names if excess > 1}
    return {name: round(bounded[name], 5) for name in INDEX}
