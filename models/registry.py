"""Models by their section of a run's configuration."""

from models.ehr.decoder import Decoder
from models.ehr.ladder import rung
from models.ehr.mup import initialise
from wardlaw.config.model import ModelSection


def build_model(section: ModelSection, vocabulary_size: int, seed: int) -> Decoder:
    """Model of a run, initialised under its seed.

    Parameters
    ----------
    section : ModelSection
        Family and size.
    vocabulary_size : int
        Number of tokens.
    seed : int
        The run's seed; the weights depend on nothing else.

    Returns
    -------
    Decoder
        On the CPU, in float32.

    Raises
    ------
    ConfigError
        If the family's ladder has no such size.
    """
    model = Decoder(rung(section.size), vocabulary_size).to_empty(device="cpu")
    initialise(model, seed)
    return model
