"""A replica whose gradients are private."""

from client.privacy.engines import engine_of
from client.privacy.private_gradient import PrivateGradient
from client.privacy.private_stream import PrivateStream
from client.privacy.validator import require_private
from client.training.replica import Replica, build_optimiser, initial_model
from wardlaw.config import RunConfig


def build_private_replica(config: RunConfig, stream: PrivateStream, key: bytes, outputs: int) -> Replica:
    """Replica at step 0 on private draws.

    Parameters
    ----------
    config : RunConfig
    stream : PrivateStream
        Drawn with the same key.
    key : bytes of length 32
        Secret of the noise.
    outputs : int
        Tokens of the vocabulary, or classes of the diagnoses.

    Raises
    ------
    ConfigError
        If noise on the model's gradients would not make them private.
    """
    model = initial_model(config, outputs)
    require_private(model, config)
    gradient = PrivateGradient(stream, engine_of(config), config.privacy, config.train, key)
    return Replica(config, model, build_optimiser(config.train, model), stream, gradient)
