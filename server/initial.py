"""The model that a federation starts from, and the one that it ends with."""

import torch
from flwr.app import ArrayRecord

from models.decoder import Decoder
from models.registry import build_model
from wardlaw.arrays import array_record, record_views
from wardlaw.config import RunConfig


def initial_arrays(config: RunConfig, vocabulary_size: int) -> ArrayRecord:
    """Weights of the run's model under its seed, float32, in the order of its state."""
    model = build_model(config.model, vocabulary_size, config.run.seed)
    return array_record({name: weight.float().numpy() for name, weight in model.state_dict().items()})


def restored_model(config: RunConfig, vocabulary_size: int, arrays: ArrayRecord) -> Decoder:
    """The run's model with the weights of some arrays."""
    model = build_model(config.model, vocabulary_size, config.run.seed)
    model.load_state_dict({name: torch.tensor(view) for name, view in record_views(arrays).items()})
    return model
