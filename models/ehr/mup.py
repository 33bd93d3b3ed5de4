"""Initialisation and learning rates that carry over from rung to rung.

Width follows maximal update parametrisation for Adam (Yang et al., arXiv 2203.03466, table 3, which
needs no multipliers in the forward pass), depth follows CompleteP (Dey et al., arXiv 2505.01618,
alpha = 1). What those papers write as a multiplier c on a branch or on attention's logits is here a
factor c on the initial values and on the learning rate of the matrix before it, which is the same
training for Adam up to its epsilon (arXiv 2203.03466, lemma J.1), so that any Llama
code runs the weights as they are.

With d the width, L the depth, k the head dimension and n a matrix's fan-in, 0 marking the base rung:

==================  =======================================  ===============================
matrix              initial standard deviation               learning rate / base rate
==================  =======================================  ===============================
embedding           1                                        1
norm gains          0 (they are 1)                           1
q                   sqrt(k0 / k) / sqrt(n)                   (d0 / d) sqrt(k0 / k)
k, v, gate, up      1 / sqrt(n)                              d0 / d
o, down             (L0 / L) / sqrt(2 L0) / sqrt(n)          (d0 / d) (L0 / L)
head                1 / n                                    d0 / d
==================  =======================================  ===============================

Attention's 1 / sqrt(k) stays in the code; q's factor makes it the 1 / k of muP. Weight decay is
divided by the same factor as the rate is multiplied by, so every decayed matrix loses the share
``base rate x weight decay`` a step at every size (Wang & Aitchison, arXiv 2405.13698); the embedding and
the gains, which norms make scale-free or nearly so, do not decay.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import torch
from torch import nn

from models.ehr.ladder import Shape, rung
from models.model import ParameterGroup
from wardlaw.seeds import derive_seed

BASE = rung("150k")
"""The rung whose learning rates are the run's own."""

EMBEDDING_STD = 1.0

ROLES = MappingProxyType(
    {
        "embed_tokens": "input",
        "q_proj": "query",
        "k_proj": "hidden",
        "v_proj": "hidden",
        "o_proj": "branch",
        "gate_proj": "hidden",
        "up_proj": "hidden",
        "down_proj": "branch",
        "lm_head": "output",
        "input_layernorm": "input",
        "post_attention_layernorm": "input",
        "norm": "input",
    }
)
"""Part that each module's weight plays in the table above."""


class Shaped(Protocol):
    """A decoder, as far as its parametrisation needs one."""

    shape: Shape

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Parameters by name."""


@dataclass(frozen=True)
class Scaling:
    """How a matrix of one role starts and learns: initial standard deviation, rate over base rate."""

    std: float
    rate: float


def scaling(role: str, shape: Shape, fan_in: int) -> Scaling:
    """Scaling of a matrix of ``fan_in`` columns in a decoder of ``shape``."""
    width = BASE.width / shape.width
    heads = math.sqrt(BASE.head_dim / shape.head_dim)
    depth = BASE.depth / shape.depth
    std = 1 / math.sqrt(fan_in)
    match role:
        case "input":
            return Scaling(EMBEDDING_STD, 1.0)
        case "query":
            return Scaling(std * heads, width * heads)
        case "hidden":
            return Scaling(std, width)
        case "branch":
            return Scaling(std * depth / math.sqrt(2 * BASE.depth), width * depth)
        case "output":
            return Scaling(1 / fan_in, width)
    raise ValueError(f"no role '{role}'")


@torch.no_grad()
def initialise(model: Shaped, seed: int) -> None:
    """Fill a decoder's weights, each from its own stream of the run's seed.

    The values do not depend on the device, on the order of calls or on any other random number.
    """
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1:
            parameter.fill_(1.0)
            continue
        stream = torch.Generator().manual_seed(derive_seed(seed, "init", name))
        values = torch.randn(parameter.shape, generator=stream)
        parameter.copy_(values * scaling(_role(name), model.shape, parameter.shape[1]).std)


def parameter_groups(model: Shaped) -> list[ParameterGroup]:
    """The decoder's parameters by learning rate and weight decay.

    A group trains at ``base rate x lr_multiplier`` with the ``weight_decay`` of PyTorch's AdamW set to
    ``weight decay x weight_decay_multiplier``; the product of both multipliers is 1, or 0 for the inputs.

    Returns
    -------
    list of ParameterGroup
        One for each role, in the order of the roles' first members in the state dict; together they
        hold each parameter once.
    """
    groups: dict[str, ParameterGroup] = {}
    for name, parameter in model.named_parameters():
        role = _role(name)
        rate = scaling(role, model.shape, parameter.shape[-1]).rate
        decay = 0.0 if role == "input" else 1 / rate
        empty = ParameterGroup(name=role, params=[], lr_multiplier=rate, weight_decay_multiplier=decay)
        groups.setdefault(role, empty)["params"].append(parameter)
    return list(groups.values())


def _role(name: str) -> str:
    return ROLES[name.split(".")[-2]]
