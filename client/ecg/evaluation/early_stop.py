"""Training that keeps the weights that were best on the tuning split."""

from collections.abc import Callable, Iterator
from copy import deepcopy

from torch import nn


def keep_best(
    model: nn.Module, stages: Iterator[None], tuning_loss: Callable[[], float], patience: int
) -> float:
    """Train by stages, stop when tuning gets no better, and go back to the best weights.

    Parameters
    ----------
    model : nn.Module
        Changed in place.
    stages : iterator
        Each step of it trains for one stage.
    tuning_loss : callable
        Loss of the model as it is.
    patience : int
        Stages without a better loss after which to stop.

    Returns
    -------
    float
        The best loss: that of the weights as they came, if none is better.
    """
    best, kept, waited = tuning_loss(), deepcopy(model.state_dict()), 0
    for _ in stages:
        loss = tuning_loss()
        waited = 0 if loss < best else waited + 1
        if not waited:
            best, kept = loss, deepcopy(model.state_dict())
        if waited == patience:
            break
    model.load_state_dict(kept)
    return best
