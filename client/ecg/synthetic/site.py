"""A synthetic hospital: its patients and its electrocardiograph, kept in ``generator.json``."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, ValidationError, field_validator

from client.ecg.synthetic.rule import FINDINGS, NAMES, Floats
from wardlaw.config.base import Section
from wardlaw.config.flat import describe_problems
from wardlaw.errors import DataError
from wardlaw.files import write_text_atomically

GENERATOR_FILE = "generator.json"
SOURCE_NAME = "synthetic dipole ECG"
NOTICE = "Generated ECG: no record of any person."


class Device(Section):
    """An electrocardiograph.

    Attributes
    ----------
    rate : int
        Samples a second.
    gain_error : float
        What a millivolt reads as, relative to what the header says: 0.05 is 5 % too much.
    noise : float
        Muscle noise, baseline wander and mains hum, relative to the usual.
    mains : int
        Frequency of the mains, Hz.
    steps : int
        Digital steps a millivolt.
    """

    rate: int = Field(default=500, ge=100, le=2000)
    gain_error: float = Field(default=0.0, gt=-0.5, lt=0.5)
    noise: float = Field(default=1.0, ge=0, le=20)
    mains: int = Field(default=50, ge=40, le=70)
    steps: int = Field(default=1000, ge=100, le=5000)


class SyntheticSite(Section):
    """All that a hospital's records follow from.

    Attributes
    ----------
    seed : int
    site : str
        Name, part of every random stream.
    patients : int
        One record each.
    seconds : float
        Length of a record.
    prevalence : dict of str to float
        Share of patients labelled with a finding of ``rule.FINDINGS``; its own
        prevalence where absent.
    sinus_reported : float
        Share of patients in sinus rhythm whose label says so.
    age_mean, age_spread : float
        Years.
    female : float
        Share of women.
    device : Device
    """

    seed: int = 0
    site: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
    patients: int = Field(ge=1, le=10_000_000)
    seconds: float = Field(default=10.0, ge=2, le=120)
    prevalence: dict[str, float] = Field(default_factory=dict)
    sinus_reported: float = Field(default=1.0, ge=0, le=1)
    age_mean: float = Field(default=60.0, ge=18, le=95)
    age_spread: float = Field(default=16.0, gt=0, le=40)
    female: float = Field(default=0.48, ge=0, le=1)
    device: Device = Device()

    @field_validator("prevalence")
    @classmethod
    def _known_shares(cls, prevalence: dict[str, float]) -> dict[str, float]:
        if unknown := sorted(prevalence.keys() - set(NAMES)):
            raise ValueError(f"no finding is called {', '.join(unknown)}; findings are {', '.join(NAMES)}")
        if wrong := [name for name, share in prevalence.items() if not 0 < share < 0.95]:
            raise ValueError(f"the share of {', '.join(wrong)} must be between 0 and 0.95")
        return prevalence

    @property
    def shares(self) -> Floats:
        """Prevalence of every finding, (findings,)."""
        return np.array([self.prevalence.get(finding.name, finding.prevalence) for finding in FINDINGS])


def save_site(folder: Path, site: SyntheticSite, **described: Any) -> None:
    """Write ``generator.json``, with what it was made from beside the settings."""
    content = {"synthetic": True, "source": SOURCE_NAME, "notice": NOTICE, **described}
    content["settings"] = site.model_dump(by_alias=True)
    write_text_atomically(folder / GENERATOR_FILE, json.dumps(content, indent=2) + "\n")


def load_site(folder: Path) -> SyntheticSite:
    """Read what `save_site` wrote.

    Raises
    ------
    DataError
        If there is no such file, or its settings are not of this version.
    """
    path = folder / GENERATOR_FILE
    try:
        return SyntheticSite.model_validate(json.loads(path.read_text(encoding="utf-8"))["settings"])
    except ValidationError as error:
        raise DataError(describe_problems(error), where=str(path)) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"not a synthetic ECG hospital ({type(error).__name__})",
            where=str(path),
            remedy="Make some with `wardlaw simulate ecg-hospitals`",
        ) from None
