"""One ECG record as every source gives it and every shard takes it."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
"""Order of the leads everywhere."""


@dataclass(frozen=True, eq=False)
class EcgRecord:
    """A record as it was digitised, leads in the order of ``LEADS``.

    A sample in mV is ``(digital - baseline) / gain``.

    Attributes
    ----------
    name : str
        Record's name, unique in its source.
    patient : str
        Patient's identifier; the record's own name where the source has none.
    digital : ndarray of int32, (samples, 12)
    gain : ndarray of float64, (12,)
        Digital units a mV.
    baseline : ndarray of float64, (12,)
        Digital units at 0 mV.
    rate : float
        Samples a second.
    age : float
        Years; NaN if unknown.
    sex : {"female", "male", ""}
    diagnoses : tuple of str
        SNOMED CT codes as the source has them, without repeats.
    fold : int
        The source's own fold (PTB-XL's ``strat_fold``, 1 to 10); 0 if it has none.
    site : str
        Value of the column that divides the source into sites; empty if there is none.
    repairs : tuple of str
        What was mended on the way in, a word each, e.g. ``"record-name"``.
    """

    name: str
    patient: str
    digital: NDArray[np.int32]
    gain: NDArray[np.float64]
    baseline: NDArray[np.float64]
    rate: float
    age: float = float("nan")
    sex: str = ""
    diagnoses: tuple[str, ...] = ()
    fold: int = 0
    site: str = ""
    repairs: tuple[str, ...] = field(default=())

    def millivolts(self) -> NDArray[np.float64]:
        """Signals in mV, (samples, 12)."""
        signal: NDArray[Any] = (self.digital - self.baseline) / self.gain
        return signal


@dataclass(frozen=True)
class Quarantined:
    """A record that was not taken.

    Attributes
    ----------
    name : str
    reason : str
        A word of ``client.ecg.checks``, e.g. ``"flat-lead"``.
    detail : str
        For people, e.g. the lead.
    """

    name: str
    reason: str
    detail: str = ""
