"""Models by a run's configuration."""

from models.ecg.model import build_ecg_model
from models.ehr.decoder import Decoder
from models.ehr.ladder import rung
from models.ehr.mup import initialise
from models.model import Model
from wardlaw.config import RunConfig


def build_model(config: RunConfig, outputs: int) -> Model:
    """Model of a run, initialised under its seed.

    Parameters
    ----------
    config : RunConfig
        Its family, size, objective and seed; the weights depend on nothing else.
    outputs : int
        Tokens of the vocabulary, or classes of the diagnoses.

    Returns
    -------
    Model
        On the CPU, in float32.

    Raises
    ------
    ConfigError
        If the family's ladder has no such size, or the objective does not fit the context.
    """
    if config.model.reads == "ecg":
        return build_ecg_model(config, outputs)
    model = Decoder(rung(config.model.size), outputs).to_empty(device="cpu")
    initialise(model, config.run.seed)
    return model
