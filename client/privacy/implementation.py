"""What takes private steps here, for statements and audits."""

import torch

from client.privacy.engines import engine_name
from client.privacy.private_round import code_digest
from client.training.replica import training_device
from wardlaw.config import RunConfig
from wardlaw.privacy.audits import Implementation

POISSON = "poisson"


def implementation_of(config: RunConfig) -> Implementation:
    """What takes a run's private steps on this machine, with the sources that are there now."""
    return Implementation(
        code=code_digest(),
        engine=engine_name(config),
        sampling=POISSON,
        clipping=config.privacy.clipping,
        precision=config.train.precision,
        device=training_device(config.train).type,
        torch=str(torch.__version__),
    )
