"""Settings of the synthetic hospitals: everything that a generated data set follows from."""

from dataclasses import dataclass

from wardlaw.errors import ConfigError


@dataclass(frozen=True)
class HospitalParameters:
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
    """

    seed: int = 0
    sites: int = 4
    patients: int = 500
    states: int = 200
    prevalence_exponent: float = 1.0
    case_mix: float = 0.7
    coding_concentration: float = 0.3
    persistence: float = 0.985
    readmission_persistence: float = 0.5
    comorbidity: float = 0.6
    specificity: float = 0.85
    value_shift: float = 1.5
    discharge_rate: float = 0.02
    icu_rate: float = 0.006
    icu_discharge_rate: float = 0.025
    death_rate: float = 0.0005
    icu_death_rate: float = 0.003
    last_stay: float = 0.5
    frailty: float = 1.0

    def __post_init__(self) -> None:
        """Refuse settings that no process can have.

        Raises
        ------
        ConfigError
            Naming the first such setting.
        """
        for name in ("sites", "patients", "states"):
            if getattr(self, name) < 1:
                raise ConfigError(f"must be at least 1, is {getattr(self, name)}", where=name)
        for name in ("case_mix", "value_shift", "frailty", "prevalence_exponent"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"must not be negative, is {getattr(self, name)}", where=name)
        if not self.coding_concentration > 0:
            raise ConfigError(f"must be positive, is {self.coding_concentration}", where="coding_concentration")
        for name in ("persistence", "readmission_persistence", "comorbidity", "specificity"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"must be in [0, 1], is {getattr(self, name)}", where=name)
        for name in ("discharge_rate", "icu_rate", "icu_discharge_rate", "death_rate", "icu_death_rate", "last_stay"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(f"must be in (0, 1), is {getattr(self, name)}", where=name)
