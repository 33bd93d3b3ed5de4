"""Initial values and learning rates of ECG models that carry over from rung to rung.

Maximal update parametrisation (Yang et al., arXiv 2203.03466, table 3), with r the backbone's width
over that of its ladder's base rung:

==================================  =====================  ================  =================
part                                initial std            rate, AdamW       rate, SGD
==================================  =====================  ================  =================
vectors: gains, biases, per channel the constructor's      1                 r
fixed: heads' biases, mask's value  the constructor's      1                 1
stem                                1 / sqrt(fan-in)       1                 r
grouped convolutions                1 / sqrt(fan-in)       1                 r
dense hidden matrices               1 / sqrt(fan-in)       1 / r             1
heads                               1 / fan-in             1 / r             1 / r
==================================  =====================  ================  =================

A grouped convolution's fan-in is its kernel times its group, the same at every width, so that it
learns as a vector does. A stem of several layers is a stem in its first only: the others read as many
channels as the backbone is wide, and are dense hidden matrices. Weight decay is divided by what the rate
is multiplied by; vectors and the stem do not decay.
"""

import torch
from torch import nn

from models.ecg.backbone import Backbone
from models.model import ParameterGroup
from wardlaw.seeds import derive_seed

HEAD_STD = 1.0
"""Initial standard deviation of a head's output, times the square root of its fan-in."""


def role_of(name: str, parameter: nn.Parameter, backbone: Backbone, grouped: frozenset[str]) -> str:
    """Part that a parameter plays in the table above.

    Parameters
    ----------
    name : str
        In the model, e.g. ``backbone.stem.0.weight`` or ``objective.head.bias``.
    parameter : nn.Parameter
    backbone : Backbone
    grouped : frozenset of str
        Names of the weights of grouped convolutions.
    """
    room, *path, last = name.split(".")
    head = room == "objective" and any(part.startswith("head") for part in path)
    if last == "mask_value" or (head and parameter.dim() < 2):
        return "fixed"
    if parameter.dim() < 2 or last in backbone.VECTORS or last in backbone.DRAWN:
        return "vector"
    if path and path[0].startswith("stem"):
        return "stem" if room == "objective" or path[1:2] in ([], ["0"]) else "hidden"
    if name in grouped:
        return "grouped"
    return "head" if head else "hidden"


@torch.no_grad()
def initialise(model: nn.Module, backbone: Backbone, seed: int) -> None:
    """Draw the matrices of a model, each from its own stream of the run's seed.

    Biases of the backbone's layers are zero: PyTorch draws them from the process's generator.
    Teachers and all other parameters without gradient are left alone.
    """
    for module in backbone.modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d) and module.bias is not None:
            module.bias.zero_()
    grouped = grouped_weights(model)
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        last = name.rpartition(".")[2]
        role = role_of(name, parameter, backbone, grouped)
        if role == "fixed" or (role == "vector" and last not in backbone.DRAWN):
            continue
        fan_in = parameter[0].numel()
        std = {"vector": backbone.DRAWN.get(last, 0.0), "head": HEAD_STD / fan_in}.get(role, fan_in**-0.5)
        stream = torch.Generator().manual_seed(derive_seed(seed, "init", name))
        parameter.copy_(torch.randn(parameter.shape, generator=stream) * std)


def grouped_weights(model: nn.Module) -> frozenset[str]:
    """Names of the weights of grouped convolutions."""
    return frozenset(
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv1d | nn.Conv2d) and module.groups > 1
    )


def rate_of(role: str, ratio: float, optimiser: str) -> float:
    """Learning rate of a role over the base rate, at a backbone ``ratio`` times the base's width."""
    if optimiser == "adamw":
        return 1 / ratio if role in {"hidden", "head"} else 1.0
    return {"fixed": 1.0, "hidden": 1.0, "head": 1 / ratio}.get(role, ratio)


def parameter_groups(model: nn.Module, backbone: Backbone, optimiser: str) -> list[ParameterGroup]:
    """One group a role, in the order of their first members; parameters without gradient are in none."""
    grouped = grouped_weights(model)
    groups: dict[str, ParameterGroup] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        role = role_of(name, parameter, backbone, grouped)
        rate = rate_of(role, backbone.width_ratio, optimiser)
        decay = 0.0 if role in {"vector", "fixed", "stem"} else 1 / rate
        empty = ParameterGroup(name=role, params=[], lr_multiplier=rate, weight_decay_multiplier=decay)
        groups.setdefault(role, empty)["params"].append(parameter)
    return list(groups.values())
