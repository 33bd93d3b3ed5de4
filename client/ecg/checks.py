"""Why a record cannot be trusted.

Each check looks at one thing and says in a few words what is wrong, or nothing. The first that finds
something quarantines the record. The thresholds were held against 327 real records of seven databases
(CPSC, CPSC-Extra, PTB, PTB-XL, Georgia, Chapman-Shaoxing, Ningbo); what those reach stands beside each.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from client.ecg.record import LEADS, EcgRecord, Quarantined

MISSING = int(np.iinfo(np.int32).min)
"""Digital value of a sample that was not recorded, whatever marked it in the source."""

RATES = (50.0, 10_000.0)
"""Samples a second: below 50 a QRS complex of 100 ms has no shape; above 10,000 the header is wrong."""

SHORTEST_SECONDS = 2.0
"""At 30 beats a minute a record of 2 s has one beat. Real: 10 s at least."""

FLAT_SHARE = 0.5
"""Share of a record for which a lead may stand at one value without a break. Real: 0.23 at most."""

LARGEST_MV, SMALLEST_MV = 50.0, 0.01
"""Range of a lead. Amplifiers take some 10 mV either way, so that more means a gain in the wrong unit; so
does a record none of whose leads spans 10 microvolts. Real: 0.41 to 21 mV, of the widest lead."""

RAIL_SHARE = 0.05
"""Share of samples at a lead's own greatest or least value. Real: 0.011 at most."""

LEAD_ORDER_MV = 0.01
"""How far the limb leads may miss their relations, beyond the rounding of the ADC. Real: 0.005 mV at most."""

LEAD_ORDER_SHARE = 0.05
"""Share of samples that may miss by more, as at a lead that is clipped for an instant. Real: 0."""

# I, II, III, aVR, aVL, aVF; each row is zero where the leads are what they are called.
LIMB_RELATIONS: NDArray[np.float64] = np.array(
    [
        [1.0, -1.0, 1.0, 0.0, 0.0, 0.0],
        [0.5, 0.5, 0.0, 1.0, 0.0, 0.0],
        [0.5, 0.0, -0.5, 0.0, -1.0, 0.0],
        [0.0, 0.5, 0.5, 0.0, 0.0, -1.0],
    ]
)
"""Einthoven's law II = I + III and Goldberger's aVR = -(I + II)/2, aVL = (I - III)/2, aVF = (II + III)/2."""


def checked(record: EcgRecord) -> EcgRecord | Quarantined:
    """The record itself, or what is wrong with it."""
    for reason, check in CHECKS.items():
        if detail := check(record):
            return Quarantined(record.name, reason, detail)
    return record


def limb_errors(record: EcgRecord) -> NDArray[np.float64]:
    """How far each sample misses each of ``LIMB_RELATIONS``, in mV; shape (samples, 4)."""
    errors: NDArray[np.float64] = np.abs(record.millivolts()[:, :6] @ LIMB_RELATIONS.T)
    return errors


def _lead_count(record: EcgRecord) -> str:
    sizes = {record.digital.shape[1:], record.gain.shape, record.baseline.shape}
    return "" if sizes == {(len(LEADS),)} else f"{record.digital.shape[1:]} leads"


def _rate(record: EcgRecord) -> str:
    return "" if RATES[0] <= record.rate <= RATES[1] else f"{record.rate:g} samples a second"


def _duration(record: EcgRecord) -> str:
    seconds = len(record.digital) / record.rate
    return "" if seconds >= SHORTEST_SECONDS else f"{seconds:.2f} s"


def _missing(record: EcgRecord) -> str:
    return _leads(np.any(record.digital == MISSING, axis=0))


def _gain(record: EcgRecord) -> str:
    return _leads(~(np.isfinite(record.gain) & (record.gain > 0) & np.isfinite(record.baseline)))


def _flat(record: EcgRecord) -> str:
    rests = np.array([longest_rest(lead) for lead in np.ascontiguousarray(record.digital.T)])
    return _leads(rests > FLAT_SHARE * len(record.digital))


def _amplitude(record: EcgRecord) -> str:
    span = (record.digital.max(axis=0) - record.digital.min(axis=0).astype(np.float64)) / record.gain
    return f"{span.max():.2g} mV" if span.max() < SMALLEST_MV else _leads(span > LARGEST_MV)


def _saturation(record: EcgRecord) -> str:
    at_top = (record.digital == record.digital.max(axis=0)).mean(axis=0)
    at_bottom = (record.digital == record.digital.min(axis=0)).mean(axis=0)
    return _leads(np.maximum(at_top, at_bottom) > RAIL_SHARE)


def _lead_order(record: EcgRecord) -> str:
    rounding = np.abs(LIMB_RELATIONS) @ (0.5 / record.gain[:6])
    share = (limb_errors(record) > LEAD_ORDER_MV + rounding).mean(axis=0)
    wrong = [name for name, missed in zip(_RELATION_NAMES, share, strict=True) if missed > LEAD_ORDER_SHARE]
    return ", ".join(wrong)


_RELATION_NAMES = ("II = I + III", "aVR = -(I + II)/2", "aVL = (I - III)/2", "aVF = (II + III)/2")

CHECKS: dict[str, Callable[[EcgRecord], str]] = {
    "lead-count": _lead_count,
    "impossible-rate": _rate,
    "too-short": _duration,
    "missing-samples": _missing,
    "impossible-gain": _gain,
    "flat-lead": _flat,
    "impossible-amplitude": _amplitude,
    "saturated": _saturation,
    "lead-order": _lead_order,
}
"""Checks by the reason they quarantine for, in the order in which each may rely on those before it."""


def longest_rest(lead: NDArray[np.int32]) -> int:
    """Samples of a lead's longest stretch at one value.

    Examples
    --------
    >>> longest_rest(np.array([3, 3, 1, 1, 1, 2], np.int32))
    3
    """
    changes = np.flatnonzero(np.diff(lead)) + 1
    return int(np.diff(np.concatenate([[0], changes, [len(lead)]])).max(initial=0))


def _leads(wrong: NDArray[np.bool_]) -> str:
    return ", ".join(name for name, fault in zip(LEADS, wrong, strict=True) if fault)
