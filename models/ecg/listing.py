"""An ECG family's ladder, and the objectives, as rows."""

from typing import Any, get_args

from models.ecg.counts import outline
from models.ecg.families import RUNGS
from wardlaw.config.model import EcgFamily, ModelSection
from wardlaw.config.objective import COUPLED, ObjectiveName, ObjectiveSection


def describe(
    family: EcgFamily, size: str, objective: ObjectiveName, classes: int, context: int
) -> dict[str, str | int]:
    """One rung as a row: FLOPs are per crop of ``context`` samples; training's include the objective's."""
    section = ModelSection(family=family, size=size, context=context)
    model = outline(section, ObjectiveSection(name=objective), classes)
    backbone = model.backbone
    return {
        "size": size,
        "width": backbone.width,
        "stride": backbone.stride,
        "depth": backbone.depth,
        "parameters": sum(p.numel() for p in backbone.parameters()),
        "with_objective": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "forward_flops": round(backbone.forward_flops(context)),
        "training_flops": round(model.objective.training_flops(backbone, context)),
    }


def ladder(
    family: EcgFamily, objective: ObjectiveName, classes: int, context: int
) -> list[dict[str, str | int]]:
    """All rungs of a family."""
    return [describe(family, size, objective, classes, context) for size in RUNGS[family]]


def describe_objectives() -> list[dict[str, Any]]:
    """A row an objective: what its loss is per, chance, what is averaged over sites, and why not private."""
    return [_describe(name) for name in get_args(ObjectiveName) if name != "next-token"]


def _describe(name: ObjectiveName) -> dict[str, Any]:
    section = ObjectiveSection(name=name)
    objective = outline(ModelSection(family="resnet", size="20k"), section, 26).objective
    own = dict.fromkeys(key.split(".")[0] for key in objective.state_dict())
    return {
        "name": name,
        "target": objective.target,
        "chance_nats": section.chance_nats,
        "averaged": ", ".join(["backbone", *own]),
        "coupling": COUPLED.get(name, ""),
    }
