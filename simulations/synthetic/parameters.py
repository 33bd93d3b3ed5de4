"""Settings of the synthetic hospitals: everything that a generated data set follows from."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from client.ehr.splits import TRAIN_SHARE, TUNING_SHARE
from wardlaw.config.base import Section
from wardlaw.config.flat import describe_problems
from wardlaw.errors import ConfigError


class HospitalParameters(Section):
    """Settings of the generative process; symbols are those of ``docs/synthetic.md``.

    Attributes
    ----------
    seed : int
        Of the process and of all timelines.
    sites : int
        Hospitals S.
    patients : int
        Patients of each hospital.
    states : int
        Latent disease states K.
    prevalence_exponent : float
        Zipf exponent a of the states' prevalence: state k has share proportional to ``k**-a``.
    case_mix : float
        Standard deviation of the logarithm of a state's prevalence between sites.
    coding_concentration : float
        Dirichlet concentration of a site's choice among synonymous codes: small is one
        habitual code a concept and site, large is the same use of all synonyms everywhere.
    persistence, readmission_persistence : float
        Probability that the state stays from one event to the next within a stay, and
        from a discharge to the next admission.
    comorbidity : float
        Share of the changes of state that go to one of the state's own few successors,
        rather than to any state by prevalence.
    specificity : float
        Share of a state's clinical events that come from its own concepts, rather than
        from those that are common to all states.
    value_shift : float
        Standard deviation of a state's effect on the values of its own laboratory and
        vital concepts, in units of their spread.
    discharge_rate, icu_rate, icu_discharge_rate : float
        Typical probability of the move at each event of a stay.
    death_rate, icu_death_rate : float
        Typical probability of death at each event on the ward and in intensive care.
    last_stay : float
        Typical probability that a discharge is the patient's last event.
    frailty : float
        Standard deviation of these probabilities' log-odds between states.
    train_share, tuning_share : float
        Of the patients; the rest is held out. Many patients need no tenth of them to be scored on.
    """

    seed: int = 0
    sites: int = Field(default=4, ge=1)
    patients: int = Field(default=1000, ge=1, lt=100_000_000)
    states: int = Field(default=100, ge=1)
    prevalence_exponent: float = Field(default=1.0, ge=0)
    case_mix: float = Field(default=0.7, ge=0)
    coding_concentration: float = Field(default=0.3, gt=0)
    persistence: float = Field(default=0.99, ge=0, le=1)
    readmission_persistence: float = Field(default=0.5, ge=0, le=1)
    comorbidity: float = Field(default=0.6, ge=0, le=1)
    specificity: float = Field(default=0.9, ge=0, le=1)
    value_shift: float = Field(default=1.5, ge=0)
    discharge_rate: float = Field(default=0.02, gt=0, lt=1)
    icu_rate: float = Field(default=0.006, gt=0, lt=1)
    icu_discharge_rate: float = Field(default=0.025, gt=0, lt=1)
    death_rate: float = Field(default=0.0005, gt=0, lt=1)
    icu_death_rate: float = Field(default=0.003, gt=0, lt=1)
    last_stay: float = Field(default=0.5, gt=0, lt=1)
    frailty: float = Field(default=1.0, ge=0)
    train_share: float = Field(default=TRAIN_SHARE, gt=0, lt=1)
    tuning_share: float = Field(default=TUNING_SHARE, gt=0, lt=1)

    @model_validator(mode="after")
    def _leave_patients_to_be_held_out(self) -> Self:
        if self.train_share + self.tuning_share >= 1:
            raise ValueError("train-share and tuning-share leave no patient to be held out")
        return self


def parameters_of(settings: Mapping[str, Any], where: str) -> HospitalParameters:
    """Parameters from settings by their kebab-case names.

    Raises
    ------
    ConfigError
        Naming each unknown key and wrong value.

    Examples
    --------
    >>> parameters_of({"sites": 2, "case-mix": 0.5}, "--set").case_mix
    0.5
    """
    try:
        return HospitalParameters.model_validate(settings)
    except ValidationError as error:
        names = ", ".join(info.alias or name for name, info in HospitalParameters.model_fields.items())
        raise ConfigError(describe_problems(error), where=where, remedy=f"Settings are {names}") from None
