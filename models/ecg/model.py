"""An ECG model: a backbone and what it is trained to do."""

from typing import Any, TypeVar

from pydantic import ValidationError
from torch import Tensor

from models.ecg.batch import SignalBatch
from models.ecg.families import build_backbone
from models.ecg.objectives.objective import RecordLosses
from models.ecg.objectives.registry import build_objective
from models.ecg.scaling import initialise, parameter_groups
from models.model import Model, ParameterGroup
from wardlaw.config import RunConfig
from wardlaw.config.base import Section
from wardlaw.config.flat import describe_problems, nest, to_flat
from wardlaw.config.model import ModelSection
from wardlaw.config.objective import ObjectiveSection
from wardlaw.errors import ConfigError

ECG_TYPE = "wardlaw-ecg"

T = TypeVar("T", bound=Section)


class EcgModel(Model):
    """Backbone and objective, as ``[model]`` and ``[objective]`` say.

    Parameters
    ----------
    section : ModelSection
    objective : ObjectiveSection
    outputs : int
        Classes of the diagnoses.

    Raises
    ------
    ConfigError
        If the ladder has no such size, or ``model.context`` does not fit backbone and objective.
    """

    def __init__(self, section: ModelSection, objective: ObjectiveSection, outputs: int) -> None:
        super().__init__()
        self.section, self.settings, self.outputs = section, objective, outputs
        self.backbone = build_backbone(section)
        self.objective = build_objective(objective, self.backbone, outputs, section.context)

    def losses(self, batch: SignalBatch) -> RecordLosses:
        """Loss of each crop, and its number of targets."""
        return self.objective.losses(self.backbone, batch)

    def chance(self, batch: SignalBatch) -> RecordLosses:
        """The same for the best answer that knows no signal."""
        return self.objective.chance(self.backbone, batch)

    def loss(self, batch: SignalBatch) -> Tensor:
        """Mean nats over the batch's targets, with a gradient."""
        return self.losses(batch).mean()

    def after_step(self) -> None:
        """Move teacher and codebook."""
        self.objective.after_step(self.backbone)

    def training_flops(self, batch: SignalBatch) -> float:
        """FLOPs of a step, the crops' padding left out in proportion."""
        return (
            self.objective.training_flops(self.backbone, self.section.context)
            * batch.token_count
            / self.section.context
        )

    def parameter_groups(self, optimiser: str) -> list[ParameterGroup]:
        """Groups of ``models.ecg.scaling``."""
        return parameter_groups(self, self.backbone, optimiser)

    def compile_blocks(self) -> None:
        """Compile the backbone, with static shapes."""
        self.backbone.compile(dynamic=False)

    def description(self, context: int) -> dict[str, Any]:
        """Settings of model and objective, and the number of classes."""
        return {
            "model_type": ECG_TYPE,
            "model": to_flat(self.section),
            "objective": to_flat(self.settings),
            "outputs": self.outputs,
            "max_position_embeddings": context,
        }


def build_ecg_model(config: RunConfig, outputs: int) -> EcgModel:
    """ECG model of a run, initialised under its seed; teachers start as the students do."""
    model = EcgModel(config.model, config.objective, outputs)
    initialise(model, model.backbone, config.run.seed)
    model.objective.start(model.backbone)
    return model


def ecg_model_of(config: dict[str, Any]) -> EcgModel:
    """Model of a checkpoint's settings, without its weights.

    Raises
    ------
    KeyError, TypeError, ValueError, ConfigError
        If no model has these settings.
    """
    section = _section_of(ModelSection, config["model"])
    if section.reads != "ecg":
        raise ConfigError(f"model.family = '{section.family}' reads {section.reads}")
    objective = _section_of(ObjectiveSection, config["objective"])
    return EcgModel(section, objective, int(config["outputs"]))


def _section_of(kind: type[T], flat: Any) -> T:
    if not isinstance(flat, dict):
        raise TypeError(f"{flat!r} is no table of settings")
    try:
        return kind.model_validate(nest(flat))
    except ValidationError as error:
        raise ConfigError(describe_problems(error)) from None
