"""A replica: a model in training, its optimiser and its batches."""

from dataclasses import dataclass

import torch

from client.ehr.batches import BatchStream
from models.ehr.decoder import Decoder
from models.ehr.mup import parameter_groups
from models.registry import build_model
from wardlaw.config import RunConfig
from wardlaw.config.train import TrainSection
from wardlaw.errors import ConfigError


@dataclass(frozen=True, eq=False)
class Replica:
    """What a site, or the union of sites, trains.

    Attributes
    ----------
    config : RunConfig
        The run's settings.
    model : Decoder
        On the training device.
    optimiser : torch.optim.AdamW
        With muP's groups; each holds its ``lr_multiplier``.
    stream : BatchStream
        Batches by step; its name is the replica's.
    """

    config: RunConfig
    model: Decoder
    optimiser: torch.optim.AdamW
    stream: BatchStream

    @property
    def name(self) -> str:
        """Name under which the replica stands in records."""
        return self.stream.name

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device


def build_replica(config: RunConfig, stream: BatchStream, vocabulary_size: int) -> Replica:
    """Replica at step 0: the run's initial model and an optimiser without moments."""
    model = build_model(config.model, vocabulary_size, config.run.seed).to(training_device(config.train))
    if config.train.compile:
        model.compile_blocks()
    return Replica(config, model, build_optimiser(config.train, model), stream)


def build_optimiser(section: TrainSection, model: Decoder) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter, arXiv 1711.05101) over muP's parameter groups."""
    groups = [
        {
            "params": group["params"],
            "lr_multiplier": group["lr_multiplier"],
            "weight_decay": section.weight_decay * group["weight_decay_multiplier"],
        }
        for group in parameter_groups(model)
    ]
    betas = (section.beta_1, section.beta_2)
    return torch.optim.AdamW(groups, lr=section.learning_rate, betas=betas, eps=section.epsilon, fused=True)


def training_device(section: TrainSection) -> torch.device:
    """Device that ``train.device`` names.

    Raises
    ------
    ConfigError
        If it is ``cuda`` on a machine without one.
    """
    gpu = torch.cuda.is_available()
    if section.device == "cuda" and not gpu:
        raise ConfigError(
            "train.device = 'cuda', but this machine has no GPU", remedy="Set it to 'auto' or 'cpu'"
        )
    return torch.device("cuda" if gpu and section.device != "cpu" else "cpu")
