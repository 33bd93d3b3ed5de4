"""How a code is written in units, finest first, so that a rare code still says what it can.

A unit is what may be admitted to a vocabulary. ``ethos`` (Renc et al., npj Digit.
Med. 2024) writes ICD and ATC codes as several units, each part a unit of its own
that other codes share; ``fused`` writes each code as one unit and falls back to
its ancestors. All other codes are one unit in both, with the codes that remain
when their last ``//`` or ``|`` field is dropped as ancestors.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Literal

Scheme = Literal["ethos", "fused"]
Encoding = tuple[str, ...]

TAIL = "+"
"""First character of a unit that continues a code."""

# Name and pattern of each hierarchy: the first group is the head, the others its continuations.
# Levels of ICD-10-CM and ATC are named in the unit; characters of ICD-10-PCS are shared by all places.
_HIERARCHIES = (
    ("ICD10PCS", re.compile(r"(PROCEDURE//ICD//10//\w)(\w)(\w)(\w)(\w)(\w)(\w)")),
    ("ICD10CM", re.compile(r"((?!PROCEDURE//)[^/]+//ICD//10//[A-Z]\d\w)(\.?\w{1,2})?(\w{1,2})?")),
    ("ICD9PCS", re.compile(r"(PROCEDURE//ICD//9//\d\d)(\.?\d{1,2})?")),
    ("ICD9CM", re.compile(r"((?!PROCEDURE//)[^/]+//ICD//9//(?:E\d{3}|[V\d]\d\d))(\.?\d{1,2})?")),
    ("ATC", re.compile(r"([^/]+//ATC//[A-Z]\d\d)([A-Z])?([A-Z](?:\d\d)?)?")),
)
_LAST_FIELD = re.compile(r"(//|\|)(?:(?!//|\|).)*$", re.DOTALL)
_RESERVED = re.compile(r"[\[_]|.*//_Q\d+$", re.DOTALL)


def is_reserved(unit: str) -> bool:
    """Whether a unit has the form of another token: ``[PAD]``, ``_1h-2h``, ``<code>//_Q3``."""
    return _RESERVED.match(unit) is not None


def kind_of(code: str) -> str:
    """First field of a code, e.g. ``LAB``."""
    return code.partition("//")[0]


@cache
def encodings(scheme: Scheme, code: str) -> tuple[Encoding, ...]:
    """Ways to write a code, finest first; the last is ``<kind>//UNK``.

    Parameters
    ----------
    scheme : {"ethos", "fused"}
    code : str
        A MEDS code.

    Returns
    -------
    tuple of tuple of str
        Each way is a tuple of units. It can be used where all its units are admitted. None
        for a code that has the form of another token.

    Examples
    --------
    >>> encodings("ethos", "MEDICATION//ATC//N02BE01")[0]
    ('MEDICATION//ATC//N02', '+ATC//1//B', '+ATC//2//E01')
    >>> encodings("fused", "LAB//51237//UNK")
    (('LAB//51237//UNK',), ('LAB//51237',), ('LAB//UNK',))
    """
    if code.startswith(TAIL) or is_reserved(code):
        return ()
    parts = _parts(code)
    if not parts:
        ways: list[Encoding] = [(prefix,) for prefix in _prefixes(code)]
    elif scheme == "ethos":
        units = (parts[0][1], *(f"{TAIL}{level}//{text}" for level, text in parts[1:]))
        ways = [units[:length] for length in range(len(units), 0, -1)]
    else:
        texts = [text for _, text in parts]
        ways = [("".join(texts[:length]),) for length in range(len(texts), 0, -1)]
    unknown = (f"{kind_of(code)}//UNK",)
    return (*(way for way in ways if way != unknown), unknown)


def join_units(units: Encoding) -> str:
    """Code (or ancestor) that some units write."""
    return units[0] + "".join(unit.rpartition("//")[2] for unit in units[1:])


def _prefixes(code: str) -> Iterator[str]:
    """A code of no hierarchy, then what remains as fields are dropped, the kind alone left out."""
    yield code
    shorter = _LAST_FIELD.sub("", code)
    if shorter not in (code, kind_of(code)):
        yield from _prefixes(shorter)


def _parts(code: str) -> list[tuple[str, str]]:
    """Level and text of a code's parts; none if it is of no known hierarchy."""
    for name, pattern in _HIERARCHIES:
        if match := pattern.fullmatch(code):
            texts = [text for text in match.groups() if text]
            if name == "ICD10PCS":
                return [(name, text) for text in texts]
            return [(f"{name}//{level}", text) for level, text in enumerate(texts)]
    return []
