"""The model that a federation starts from, and the one that it ends with."""

from flwr.app import ArrayRecord

from models.ehr.decoder import Decoder
from models.registry import build_model
from models.weights import load_weights, weight_record
from wardlaw.config import RunConfig


def initial_arrays(config: RunConfig, vocabulary_size: int) -> ArrayRecord:
    """Weights of the run's model under its seed."""
    return weight_record(build_model(config.model, vocabulary_size, config.run.seed))


def restored_model(config: RunConfig, vocabulary_size: int, arrays: ArrayRecord) -> Decoder:
    """The run's model with the weights of some arrays."""
    model = build_model(config.model, vocabulary_size, config.run.seed)
    load_weights(model, arrays)
    return model
