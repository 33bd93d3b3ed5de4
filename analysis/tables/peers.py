"""Which arms may be compared: those of one model family, under one objective, with one noise-batch ratio."""

from collections.abc import Mapping
from dataclasses import dataclass

from analysis.tables.arms import CENTRALISED, LOCAL, arm_name, model_name
from analysis.tables.measures import Measure, measure_of
from analysis.tables.noise_axis import curve_name, noise_name
from wardlaw.config import RunConfig


@dataclass(frozen=True)
class Peers:
    """Arms whose gaps mean something.

    Attributes
    ----------
    model : str
        Family and objective of ECG models; empty for EHR, which has one of each.
    family : str
    noise : str
        ``S = 0.01`` of private runs; empty without privacy.
    measure : Measure
        What their losses are counted in.
    arms : tuple of str
        In the order of the report.
    """

    model: str
    family: str
    noise: str
    measure: Measure
    arms: tuple[str, ...]

    @property
    def name(self) -> str:
        """Model and noise, as far as there are any."""
        return curve_name(self.model, self.noise)

    @property
    def centralised(self) -> str:
        """The arm of pooled training; empty without one, or where settings split it."""
        return self._only(CENTRALISED)

    @property
    def local(self) -> str:
        """The arm of sites that train alone; empty likewise."""
        return self._only(LOCAL)

    def _only(self, topology: str) -> str:
        name = curve_name(arm_name(topology, self.model), self.noise)
        return name if name in self.arms else ""


def peers_of(configs: Mapping[str, RunConfig], arms: Mapping[str, str]) -> tuple[Peers, ...]:
    """Arms by what they may be compared with.

    Parameters
    ----------
    configs : dict of str to RunConfig
        By run.
    arms : dict of str to str
        Arm of each run, in the order of the report.
    """
    first: dict[tuple[str, str], RunConfig] = {}
    members: dict[tuple[str, str], dict[str, None]] = {}
    for run, arm in arms.items():
        key = model_name(configs[run]), noise_name(configs[run])
        first.setdefault(key, configs[run])
        members.setdefault(key, {})[arm] = None
    return tuple(
        Peers(model, config.model.family, noise, measure_of(config), tuple(members[model, noise]))
        for (model, noise), config in first.items()
    )
