"""The one trainer: optimiser steps of a replica, the same in every topology."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from client.training.replica import Replica
from client.training.schedule import learning_rate
from wardlaw.errors import TrainingError


def train_steps(
    replica: Replica, steps: range, anchor: Mapping[str, Tensor] | None = None, mu: float = 0.0
) -> list[dict[str, Any]]:
    """Train a replica over ``steps`` of the run.

    Parameters
    ----------
    replica : Replica
        Changed in place.
    steps : range
        Steps counted from 0 over the whole run; batches and learning rates follow from them.
    anchor : mapping of str to Tensor, optional
        Weights by name that FedProx pulls towards: the global model of the round.
    mu : float
        Strength of the pull (Li et al., arXiv 1812.06127, eq. 2): the gradient of
        ``mu / 2 |w - anchor|^2`` is added on every step after the data's gradient is clipped and has
        its noise: it follows from the weights alone.

    Returns
    -------
    list of dict
        A row a step, with columns of ``wardlaw.records.STEP_SCHEMA`` (``round`` is the caller's).

    Raises
    ------
    TrainingError
        If a loss or gradient is not finite; the weights are those before that step.
    """
    # Sums depend on the number of threads, and the setting is the whole process's.
    torch.set_num_threads(replica.config.train.threads)
    proximal = _proximal_pairs(replica.model, anchor) if anchor is not None and mu else []
    replica.model.train()
    return [_train_step(replica, step, proximal, mu) for step in steps]


def _train_step(
    replica: Replica, step: int, proximal: list[tuple[nn.Parameter, Tensor]], mu: float
) -> dict[str, Any]:
    section = replica.config.train
    gradient = replica.gradient(replica.model, step)
    row: dict[str, Any] = {
        "replica": replica.name,
        "step": step,
        "tokens": gradient.tokens,
        "flops": gradient.flops,
        "loss": gradient.loss,
        "learning_rate": learning_rate(section, step, replica.config.steps),
        "gradient_norm": gradient.norm,
    }
    # A private step that drew nobody has no loss.
    known = [row["gradient_norm"]] + ([] if gradient.loss is None else [gradient.loss])
    if not all(map(math.isfinite, known)):
        raise TrainingError(
            f"the loss is {row['loss']} and the gradient's norm {row['gradient_norm']}",
            where=f"replica {replica.name}, step {step}",
            remedy="Lower train.learning-rate, or lengthen train.warmup-fraction",
        )
    for weight, start in proximal:
        weight.grad.add_(weight.detach() - start, alpha=mu)  # type: ignore[union-attr]
    for group in replica.optimiser.param_groups:
        group["lr"] = row["learning_rate"] * group["lr_multiplier"]
    replica.optimiser.step()
    replica.model.after_step()
    replica.optimiser.zero_grad()
    return row


def _proximal_pairs(model: nn.Module, anchor: Mapping[str, Tensor]) -> list[tuple[nn.Parameter, Tensor]]:
    """Each weight and a copy of where it is pulled to, so that training in place cannot move the anchor."""
    return [
        (weight, anchor[name].detach().to(weight, copy=True))
        for name, weight in model.named_parameters()
        if weight.requires_grad
    ]
