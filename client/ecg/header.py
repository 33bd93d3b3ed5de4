"""WFDB headers as text: what they name, what they leave out, and the faults that can be mended.

The format is that of the WFDB Applications Guide, header(5): a record line, then a line for each signal or
segment; lines that begin with ``#`` are comments.
"""

import re
from pathlib import Path

_NAME = re.compile(r"\s*(?P<name>\S+?)(?P<segments>/\d+)?(?=\s|$)")
_NOT_IN_A_NAME = re.compile(r"[^-\w]", re.ASCII)
_GAIN = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)
# The micro sign and the Greek letter are both in use.
_MICRO = re.compile("(?<=/)[µμ](?=V)")


def header_text(path: Path) -> str:
    """Text of a header: UTF-8, or Latin-1 where it is not that."""
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def repaired(text: str) -> tuple[str, tuple[str, ...]]:
    r"""A header that wfdb can read, and a word for each repair.

    ``record-name`` : the record's name has a character that names may not have; it is cut off there. 44 of 74
    headers of the Georgia database begin ``E00015.mat 12 500 5000``.
    ``micro-sign`` : ``µV`` is written ``uV``. wfdb drops what is not ASCII, and would read volts.

    Examples
    --------
    >>> repaired("E00015.mat 12 500 5000\nE00015.mat 16+24 4880/mV 16 0 58 -15141 0 I\n")
    ('E00015 12 500 5000\nE00015.mat 16+24 4880/mV 16 0 58 -15141 0 I\n', ('record-name',))
    """
    lines = text.splitlines(keepends=True)
    repairs = []
    for number in _described(lines)[:1]:
        if found := _NAME.match(lines[number]):
            name = _NOT_IN_A_NAME.split(found["name"])[0] or "record"
            if name != found["name"]:
                lines[number] = name + (found["segments"] or "") + lines[number][found.end() :]
                repairs.append("record-name")
    for number in _described(lines)[1:]:
        written = _MICRO.sub("u", lines[number])
        if written != lines[number]:
            lines[number] = written
            repairs.append("micro-sign")
    return "".join(lines), tuple(dict.fromkeys(repairs))


def declared_samples(text: str) -> int | None:
    """Samples a signal by the record line; None if it does not say."""
    fields = _record_line(text).split()
    return int(fields[3]) if len(fields) > 3 and fields[3].isdecimal() else None


def signal_files(text: str) -> set[str]:
    """Names of the signal files of a single-segment record."""
    return set() if _is_multi_segment(text) else _first_fields(text)


def segments(text: str) -> set[str]:
    """Names of the records that a multi-segment record is made of."""
    return _first_fields(text) - {"~"} if _is_multi_segment(text) else set()


def uncalibrated(text: str) -> set[int]:
    """Places of the signals whose gain is absent, zero or not a number.

    For these wfdb assumes 200 units a mV, as the format says; nobody can tell how large such a signal is.
    """
    if _is_multi_segment(text):
        return set()
    gains = [_GAIN.match(fields[2]) if len(fields) > 2 else None for fields in map(str.split, _entries(text))]
    return {place for place, gain in enumerate(gains) if gain is None or float(gain[0]) == 0}


def _is_multi_segment(text: str) -> bool:
    found = _NAME.match(_record_line(text))
    return found is not None and found["segments"] is not None


def _record_line(text: str) -> str:
    lines = text.splitlines()
    return next((lines[number] for number in _described(lines)), "")


def _entries(text: str) -> list[str]:
    lines = text.splitlines()
    return [lines[number] for number in _described(lines)[1:]]


def _first_fields(text: str) -> set[str]:
    return {line.split()[0] for line in _entries(text)}


def _described(lines: list[str]) -> list[int]:
    """Places of the lines that are neither empty nor comments."""
    return [number for number, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")]
