"""A model's weights as Flower carries them between server and sites."""

import torch
from flwr.app import ArrayRecord
from torch import Tensor

from models.model import Model
from wardlaw.arrays import array_record, record_views
from wardlaw.errors import ConfigError


def weight_record(model: Model) -> ArrayRecord:
    """A model's weights as they travel: float32, in the order of its state."""
    return array_record({name: weight.float().cpu().numpy() for name, weight in model.state_dict().items()})


def load_weights(model: Model, record: ArrayRecord) -> dict[str, Tensor]:
    """Put the weights of a record into a model.

    Returns
    -------
    dict of str to Tensor
        The weights as float32 on the CPU, by name.

    Raises
    ------
    ConfigError
        If names, order or shapes are not the model's: server and site disagree on vocabulary or classes.
    """
    expected = [(name, tuple(weight.shape)) for name, weight in model.state_dict().items()]
    views = record_views(record)
    if [(name, view.shape) for name, view in views.items()] != expected:
        raise ConfigError(
            "the arrays are not those of this run's model",
            remedy="Make the site's shard anew: EHR with the run's vocabulary, ECG with its rate and classes",
        )
    weights = {name: torch.tensor(view, dtype=torch.float32) for name, view in views.items()}
    model.load_state_dict(weights)
    return weights
