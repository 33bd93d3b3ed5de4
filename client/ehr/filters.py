"""Named clean-ups that a source's TOML applies to a column: ``{drugname|drug|atc}``.

A filter takes and gives a string expression; null means "nothing to say".
"""

from collections.abc import Callable, Mapping

import polars as pl

Filter = Callable[[pl.Expr], pl.Expr]

# "2 ML - ", "15 ML CUP :" before a drug's name, and what follows its first strength or form.
_LEADING_VOLUME = r"^\d[\d.,]*\s*(?:ml|g|mg|l|each)\b[^:\-]*\s*[:\-]\s*"
_PARENTHESES = r"\s*\([^()]*\)?"
_FROM_STRENGTH = (
    r"[\s(]+\d[\d.,]*(?:\s*[-/]\s*\d[\d.,]*)?\s*"
    r"(?:%|mg|mcg|ug|g|gm|gram|grams|ml|l|meq|mmol|unit|units|iu|u|mbp|k)?(?:[\s/%:)\-].*)?$"
)
_FORM = (
    r"\s+(?:po|iv|im|sc|ij|pr|ivpb|inj|injection|tab|tabs|tablet|tablets|cap|caps|capsule|capsules|soln|solution"
    r"|susp|suspension|syringe|vial|premix|infusion|piggyback|er|ec|cr|xl|sr)(?:\s.*)?$"
)
_PATH_HEAD = (
    r"^(?:notes/Progress Notes/(?:Past History|Physical Exam)/"
    r"|flowsheet\|Flowsheet Cell Labels\||admission diagnosis\|)"
)
_RACES = {
    "white": "WHITE", "caucasian": "WHITE", "portuguese": "WHITE",
    "black": "BLACK", "african american": "BLACK",
    "hispanic": "HISPANIC", "south american": "HISPANIC",
    "asian": "ASIAN",
    "american indian": "NATIVE", "native american": "NATIVE", "native hawaiian": "NATIVE",
    "multiple": "OTHER", "other": "OTHER",
}  # fmt: skip


def drug_name(text: pl.Expr) -> pl.Expr:
    """Bare lower-case name: no leading volume, no parentheses, nothing after the name.

    The name ends at the first strength, route or form.

    ``2 ML - METOCLOPRAMIDE HCL 5 MG/ML IJ SOLN`` becomes ``metoclopramide hcl``.
    """
    return (
        text.str.to_lowercase()
        .str.replace_all(r"\s+", " ")
        .str.strip_chars(" .,:;-*")
        .str.replace(_LEADING_VOLUME, "")
        .str.replace_all(_PARENTHESES, "")
        .str.replace(_FROM_STRENGTH, "")
        .str.replace(_FORM, "")
        .str.strip_chars(" .,:;-*()")
    )


def infusion_name(text: pl.Expr) -> pl.Expr:
    """Drug of an eICU infusion label: ``Norepinephrine (mcg/min)`` becomes ``norepinephrine``."""
    return drug_name(text.str.replace(r"\s*\([^()]*\)\s*$", ""))


def infusion_unit(text: pl.Expr) -> pl.Expr:
    """Unit of an eICU infusion label: ``Norepinephrine (mcg/min)`` becomes ``mcg/min``."""
    return text.str.extract(r"\(([^()]+)\)\s*$")


def icd10(text: pl.Expr) -> pl.Expr:
    """First ICD-10-CM code of a list such as ``401.9, I10``, without its point.

    A code in V is read as ICD-9 (its supplementary factors; ICD-10 has transport accidents there).
    """
    return text.str.extract(r"(?:^|[\s,])([A-TW-Z][0-9][0-9A-Z](?:\.[0-9A-Z]{1,4})?)(?:$|[\s,])").str.replace(
        ".", "", literal=True
    )


def icd9(text: pl.Expr) -> pl.Expr:
    """First ICD-9-CM code of a list such as ``401.9, I10``, without its point."""
    pattern = r"(?:^|[\s,])((?:V[0-9]{2}|E[0-9]{3}|[0-9]{3})(?:\.[0-9]{1,2})?)(?:$|[\s,])"
    return text.str.extract(pattern).str.replace(".", "", literal=True)


def race(text: pl.Expr) -> pl.Expr:
    """Group of a source's race or ethnicity wording; UNKNOWN where it says none."""
    lower = text.str.to_lowercase()
    group = pl.lit("UNKNOWN")
    for word, name in reversed(_RACES.items()):
        group = pl.when(lower.str.contains(word, literal=True)).then(pl.lit(name)).otherwise(group)
    return pl.when(lower == "other/unknown").then(pl.lit("UNKNOWN")).otherwise(group)


def path_tail(text: pl.Expr) -> pl.Expr:
    """What follows the fixed head of an eICU note or flowsheet path."""
    return text.str.replace(_PATH_HEAD, "")


FILTERS: Mapping[str, Filter] = {
    "upper": lambda text: text.str.to_uppercase(),
    "lower": lambda text: text.str.to_lowercase(),
    "drug": drug_name,
    "infusion": infusion_name,
    "infusion-unit": infusion_unit,
    "icd9": icd9,
    "icd10": icd10,
    "race": race,
    "tail": path_tail,
    "pipes": lambda text: text.str.replace_all("//", "/", literal=True).str.replace_all(r"\s*\|\s*", "//"),
    "slashes": lambda text: text.str.replace_all(r"\s*/+\s*", "//"),
    "integer": lambda text: text.str.replace(r"\.0*$", ""),
    "initial": lambda text: text.str.slice(0, 1).str.to_uppercase(),
    "systolic": lambda text: text.str.extract(r"^\s*(\d+)\s*/"),
    "diastolic": lambda text: text.str.extract(r"/\s*(\d+)\s*$"),
    "diagnosis-vocabulary": lambda text: text.replace_strict({"9": "ICD9CM", "10": "ICD10CM"}, default=None),
    "procedure-vocabulary": lambda text: text.replace_strict(
        {"9": "ICD9Proc", "10": "ICD10PCS"}, default=None
    ),
}


def atc_filter(drugs: Mapping[str, str]) -> Filter:
    """Filter that gives a drug's ATC code by its lower-case name, else by its bare name, else null."""

    def code(name: pl.Expr) -> pl.Expr:
        return name.replace_strict(dict(drugs), default=None, return_dtype=pl.String)

    return lambda text: pl.coalesce(code(text.str.to_lowercase()), code(drug_name(text)))
