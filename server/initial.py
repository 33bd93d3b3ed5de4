"""The model that a federation starts from."""

from flwr.app import ArrayRecord

from models.registry import build_model
from wardlaw.arrays import array_record
from wardlaw.config import RunConfig


def initial_arrays(config: RunConfig, vocabulary_size: int) -> ArrayRecord:
    """Weights of the run's model under its seed, float32, in the order of its state."""
    model = build_model(config.model, vocabulary_size, config.run.seed)
    return array_record({name: weight.float().numpy() for name, weight in model.state_dict().items()})
