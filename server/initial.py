"""The model that a federation starts from, and the one that it ends with."""

from flwr.app import ArrayRecord

from models.model import Model
from models.registry import build_model
from models.weights import load_weights, weight_record
from wardlaw.config import RunConfig


def initial_arrays(config: RunConfig, outputs: int) -> ArrayRecord:
    """Weights of the run's model under its seed."""
    return weight_record(build_model(config, outputs))


def restored_model(config: RunConfig, outputs: int, arrays: ArrayRecord) -> Model:
    """The run's model with the weights of some arrays."""
    model = build_model(config, outputs)
    load_weights(model, arrays)
    return model
