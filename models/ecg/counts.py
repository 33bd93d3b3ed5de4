"""Exact parameters and FLOPs of an ECG model, from its settings alone."""

from functools import lru_cache

import torch

from models.ecg.model import EcgModel
from models.model import Parameters
from wardlaw.config import RunConfig
from wardlaw.config.model import ModelSection
from wardlaw.config.objective import ObjectiveSection


def parameters(config: RunConfig, outputs: int) -> Parameters:
    """Backbone (``blocks``) and what the objective trains besides (``head``); a teacher counts as neither."""
    model = outline(config.model, config.objective, outputs)
    head = sum(p.numel() for p in model.objective.parameters() if p.requires_grad)
    return Parameters(embedding=0, blocks=sum(p.numel() for p in model.backbone.parameters()), head=head)


def flops_per_sample(config: RunConfig, outputs: int) -> float:
    """A third of a training step's FLOPs for each sample of a full crop."""
    model = outline(config.model, config.objective, outputs)
    context = config.model.context
    return model.objective.training_flops(model.backbone, context) / 3 / context


@lru_cache(maxsize=64)
def outline(section: ModelSection, objective: ObjectiveSection, outputs: int) -> EcgModel:
    """The model's shapes, without memory for its numbers."""
    with torch.device("meta"):
        return EcgModel(section, objective, outputs)
