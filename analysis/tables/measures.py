"""What a run's loss is counted in: what one target is, what a budget holds, and what chance scores."""

from collections.abc import Sequence
from dataclasses import dataclass

from wardlaw.config import RunConfig, to_flat
from wardlaw.config.objective import ObjectiveSection

# The target of these is the model's own, or its teacher's: it changes with the size and as it is trained.
_TAUGHT_BY_ITSELF = frozenset({"jepa", "data2vec", "dinosr"})


@dataclass(frozen=True)
class Measure:
    """What a loss is counted in. Losses of one measure may be compared, others not.

    Attributes
    ----------
    objective : str
        Its name, and the settings of it that are not the usual ones.
    scale : str
        ``nats``, or the name of a loss that is none.
    token, event : str
        What the loss per token and per event of a record are per: of an ECG a target (label or patch)
        and a record.
    sample : str
        What a token budget counts: tokens, or samples of an ECG.
    chance : float or None
        Loss per token of a model that knows nothing; None where that depends on the data.
    moving : bool
        Whether the targets are made by the model itself, or by its teacher.
    """

    objective: str
    scale: str
    token: str
    event: str
    sample: str
    chance: float | None
    moving: bool

    def word(self, unit: str) -> str:
        """What the loss per ``"token"`` or per ``"event"`` is per."""
        return self.token if unit == "token" else self.event

    def words(self, unit: str) -> str:
        """The same in the plural."""
        word = self.word(unit)
        return f"{word}es" if word.endswith("ch") else f"{word}s"

    def per(self, unit: str) -> str:
        """Say, ``nats per label``."""
        return f"{self.scale} per {self.word(unit)}"


def measure_of(config: RunConfig) -> Measure:
    """What the loss of a run with these settings is counted in."""
    objective = config.objective
    ehr = config.model.reads == "ehr"
    return Measure(
        objective=objective_name(objective),
        scale="asymmetric loss" if objective.name == "asymmetric" else "nats",
        token="token" if ehr else "label" if objective.supervised else "patch",
        event="event" if ehr else "record",
        sample="token" if ehr else "sample",
        chance=objective.chance_nats,
        moving=objective.name in _TAUGHT_BY_ITSELF,
    )


def objective_name(objective: ObjectiveSection) -> str:
    """Name of an objective, with the settings that are not the usual ones: they change what a loss means.

    Examples
    --------
    >>> objective_name(ObjectiveSection(name="cpc", negatives=64))
    'cpc, negatives 64'
    """
    usual = to_flat(ObjectiveSection(name=objective.name))
    unusual = [f"{key} {value}" for key, value in to_flat(objective).items() if value != usual[key]]
    return ", ".join([objective.name, *unusual])


def compute_warnings(measure: Measure | None, inputs: Sequence[str]) -> list[str]:
    """What is wrong with 6 N D as the compute of a law in N and D, where the runs are of ECG."""
    if measure is None or measure.sample == "token" or not {"N", "D"} <= set(inputs):
        return []
    return [
        "compute is 6 N D, which training FLOPs of ECG models are not: a sample passes few of the weights, "
        "and how few is a matter of the family; compare parameters and samples"
    ]
