"""Age, sex and diagnoses as headers and tables write them, in one form."""

import math
from collections.abc import Iterable, Mapping

_OLDEST = 120.0
_SEXES = {"male": "male", "m": "male", "female": "female", "f": "female"}
_NO_DIAGNOSIS = {"", "unknown", "nan", "none"}

TEXT_DIAGNOSES: Mapping[str, str] = {
    "Normal": "426783006",
    "AF": "164889003",
    "I-AVB": "270492004",
    "LBBB": "164909002",
    "RBBB": "59118001",
    "PAC": "284470004",
    "PVC": "164884008",
    "STD": "429622005",
    "STE": "164931005",
}
"""SNOMED CT codes of the nine words of CPSC 2018 (Liu et al., J. Med. Imaging Health Inform. 2018).

The codes are those that the PhysioNet/CinC Challenge gave the same records; its ``PVC`` is ventricular
ectopics (164884008), which the Challenge of 2021 does not score.
"""


def age_of(text: str) -> float:
    """Age in years; NaN if it is not a number from 0 to 120.

    Examples
    --------
    >>> [age_of(text) for text in ("67", " 0.5 ", "NaN", "-1", "300", "Unknown", "")]
    [67.0, 0.5, nan, nan, nan, nan, nan]
    """
    try:
        age = float(text)
    except ValueError:
        return math.nan
    return age if 0 <= age <= _OLDEST else math.nan


def sex_of(text: str) -> str:
    """``"female"``, ``"male"`` or, for anything else, an empty string.

    Examples
    --------
    >>> [sex_of(text) for text in ("Male", "M", "female", " F ", "Unknown", "1")]
    ['male', 'male', 'female', 'female', '', '']
    """
    return _SEXES.get(text.strip().casefold(), "")


def diagnoses_of(words: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """SNOMED CT codes without repeats, and the words that are neither a code nor of ``TEXT_DIAGNOSES``.

    Examples
    --------
    >>> diagnoses_of("251146004,284470004, 284470004,AF,Wobbly".split(","))
    (('251146004', '284470004', '164889003'), ('Wobbly',))
    """
    told = [word.strip() for word in words]
    told = [word for word in told if word.casefold() not in _NO_DIAGNOSIS]
    codes = [word if _is_code(word) else TEXT_DIAGNOSES.get(word, "") for word in told]
    unknown = [word for word, code in zip(told, codes, strict=True) if not code]
    return tuple(dict.fromkeys(filter(None, codes))), tuple(dict.fromkeys(unknown))


def comment_fields(comments: Iterable[str]) -> dict[str, str]:
    """Values of a WFDB header's comments, such as ``Age: 67``, by name in lower case; the first of a name.

    Examples
    --------
    >>> comment_fields(["Age: 67", " Dx : 426783006", "recorded at home"])
    {'age': '67', 'dx': '426783006'}
    """
    fields: dict[str, str] = {}
    for comment in comments:
        name, colon, value = comment.partition(":")
        if colon:
            fields.setdefault(name.strip(" #\t").casefold(), value.strip())
    return fields


def _is_code(word: str) -> bool:
    """Whether a word has the form of a SNOMED CT identifier (6 to 18 digits)."""
    return word.isascii() and word.isdecimal() and 6 <= len(word) <= 18
