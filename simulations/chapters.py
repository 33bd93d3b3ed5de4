"""ICD chapters: the label by which patients are divided into unlike sites."""

import re

import polars as pl

from client.ehr.meds_root import MedsRoot

NO_DIAGNOSIS = "none"
# First category of each ICD-10 chapter, ascending, and the chapter's range.
_CHAPTERS_10 = (
    ("A00", "A00-B99"),
    ("C00", "C00-D49"),
    ("D50", "D50-D89"),
    ("E00", "E00-E89"),
    ("F00", "F00-F99"),
    ("G00", "G00-G99"),
    ("H00", "H00-H59"),
    ("H60", "H60-H95"),
    ("I00", "I00-I99"),
    ("J00", "J00-J99"),
    ("K00", "K00-K95"),
    ("L00", "L00-L99"),
    ("M00", "M00-M99"),
    ("N00", "N00-N99"),
    ("O00", "O00-O99"),
    ("P00", "P00-P96"),
    ("Q00", "Q00-Q99"),
    ("R00", "R00-R99"),
    ("S00", "S00-T88"),
    ("U00", "U00-U85"),
    ("V00", "V00-Y99"),
    ("Z00", "Z00-Z99"),
)
# First category of each ICD-9 chapter, and the ICD-10 chapter with the same subject.
_CHAPTERS_9 = (
    ("001", "A00-B99"),
    ("140", "C00-D49"),
    ("240", "E00-E89"),
    ("280", "D50-D89"),
    ("290", "F00-F99"),
    ("320", "G00-G99"),
    ("360", "H00-H59"),
    ("380", "H60-H95"),
    ("390", "I00-I99"),
    ("460", "J00-J99"),
    ("520", "K00-K95"),
    ("580", "N00-N99"),
    ("630", "O00-O99"),
    ("680", "L00-L99"),
    ("710", "M00-M99"),
    ("740", "Q00-Q99"),
    ("760", "P00-P96"),
    ("780", "R00-R99"),
    ("800", "S00-T88"),
    ("E", "V00-Y99"),
    ("V", "Z00-Z99"),
)
_DIAGNOSIS = re.compile(r"(?!PROCEDURE//)[^/]+//ICD//(?:10//([A-Z]\d\w)|9//(\d{3}|E\d|V\d)).*")


def icd_chapter(code: str) -> str | None:
    """Chapter of a diagnosis as its ICD-10 range; None if the code is no ICD diagnosis.

    Examples
    --------
    >>> icd_chapter("DIAGNOSIS//ICD//10//I5023"), icd_chapter("DIAGNOSIS//ICD//9//4280")
    ('I00-I99', 'I00-I99')
    >>> icd_chapter("LAB//50912//mg/dL")
    """
    match = _DIAGNOSIS.fullmatch(code)
    if match is None:
        return None
    category, chapters = (match[1], _CHAPTERS_10) if match[1] else (match[2], _CHAPTERS_9)
    return next((name for first, name in reversed(chapters) if category >= first), None)


def dominant_chapters(root: MedsRoot) -> pl.DataFrame:
    """Chapter of most of each subject's diagnoses; ties go to the first in alphabetical order.

    Returns
    -------
    pl.DataFrame
        ``subject_id`` ascending, ``label``; ``"none"`` for a subject without ICD diagnosis.
    """
    codes = root.codes["code"]
    chapters = {code: chapter for code in codes if (chapter := icd_chapter(code))}
    lookup = pl.LazyFrame(
        {"code": list(chapters), "label": list(chapters.values())},
        schema={"code": pl.String, "label": pl.String},
    )
    rows = pl.scan_parquet(root.files).select("subject_id", pl.col("code").cast(pl.String))
    counted = rows.join(lookup, on="code").group_by("subject_id", "label").len()
    top = counted.sort(["subject_id", "len", "label"], descending=[False, True, False]).unique(
        "subject_id", keep="first", maintain_order=True
    )
    everyone = rows.select("subject_id").unique()
    labelled = everyone.join(top.select("subject_id", "label"), on="subject_id", how="left")
    return (
        labelled.with_columns(pl.col("label").fill_null(NO_DIAGNOSIS))
        .sort("subject_id")
        .collect(engine="streaming")
    )
