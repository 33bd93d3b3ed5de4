"""Which layers have a rule for their patients' gradients, and which parameters a row of their own."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from torch import Tensor, nn

from client.privacy.per_sample.contribution import Contribution
from client.privacy.per_sample.convolution import of_convolution, of_linear, of_mix
from client.privacy.per_sample.norms import of_group_norm, of_layer_norm, of_rms_norm
from client.privacy.per_sample.state_space import of_state_space
from models.ecg import convnext
from models.ecg.convolution import Convolution, GroupNorm
from models.ecg.objectives.masked import MaskedPrediction
from models.ecg.objectives.predictor import Predictor
from models.ecg.s4d import Mix, StateSpace

Rule = Callable[[Any, Tensor, Tensor, int], dict[str, Contribution]]
"""Contributions by parameter, from a layer, its input, its output's gradient and the number of
patients, of whom each has the same number of rows, one after the other."""

RULES: Mapping[type[nn.Module], Rule] = MappingProxyType(
    {
        Convolution: of_convolution,
        nn.Linear: of_linear,
        Mix: of_mix,
        GroupNorm: of_group_norm,
        nn.LayerNorm: of_layer_norm,
        nn.RMSNorm: of_rms_norm,
        StateSpace: of_state_space,
    }
)

ROWS: Mapping[type[nn.Module], str] = MappingProxyType(
    {convnext.Block: "scale", MaskedPrediction: "mask_value", Predictor: "mask_query"}
)
"""Vectors (C,) that only meet activations (B, L, C): as (B, 1, C) they mean the same, and autograd
tells their gradients row by row."""


def rule_of(module: nn.Module) -> Rule | None:
    """Rule of a layer's type or of what it is derived from."""
    return next((RULES[kind] for kind in type(module).__mro__ if kind in RULES), None)


def row_name_of(module: nn.Module) -> str | None:
    """Name of the module's parameter that can be given by rows."""
    return next((ROWS[kind] for kind in type(module).__mro__ if kind in ROWS), None)


def parameters_without_rule(model: nn.Module) -> list[str]:
    """Names of trained parameters whose gradients are not known patient by patient."""
    return [
        f"{path}.{name}" if path else name
        for path, module in model.named_modules()
        if rule_of(module) is None
        for name, parameter in module.named_parameters(recurse=False)
        if parameter.requires_grad and name != row_name_of(module)
    ]
