"""A replica: a model in training, its optimiser and its batches."""

from dataclasses import dataclass

import torch

from client.training.gradient import BatchGradient, Gradient
from client.training.stream import Source, Stream
from models.model import Model
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
    model : Model
        On the training device.
    optimiser : torch.optim.Optimizer
        With muP's groups; each holds its ``lr_multiplier``.
    stream : Source
        Whose patients it learns from; its name is the replica's.
    gradient : Gradient
        Of the stream's batches, or of its private draws.
    """

    config: RunConfig
    model: Model
    optimiser: torch.optim.Optimizer
    stream: Source
    gradient: Gradient

    @property
    def name(self) -> str:
        """Name under which the replica stands in records."""
        return self.stream.name

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device


def build_replica(config: RunConfig, stream: Stream, outputs: int) -> Replica:
    """Replica at step 0 on batches: the run's initial model and an optimiser without moments.

    Parameters
    ----------
    config : RunConfig
    stream : Stream
    outputs : int
        Tokens of the vocabulary, or classes of the diagnoses.
    """
    model = initial_model(config, outputs)
    return Replica(
        config, model, build_optimiser(config.train, model), stream, BatchGradient(stream, config.train)
    )


def initial_model(config: RunConfig, outputs: int) -> Model:
    """The run's model at step 0, on the training device."""
    keep_float32()
    model = build_model(config, outputs).to(training_device(config.train))
    if config.train.compile:
        model.compile_blocks()
    return model


def keep_float32() -> None:
    """Let no GPU round float32 to TF32 in convolutions, which is PyTorch's default, as none does in products.

    A private sum then stays within the bound that its norms were told by.
    """
    torch.backends.cudnn.allow_tf32 = False


def build_optimiser(section: TrainSection, model: Model) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter, arXiv 1711.05101) or SGD over the model's parameter groups.

    Both decouple weight decay from the gradient's scale only as far as PyTorch's do: SGD adds
    ``weight decay x weight`` to the gradient.
    """
    groups = [
        {
            "params": group["params"],
            "lr_multiplier": group["lr_multiplier"],
            "weight_decay": section.weight_decay * group["weight_decay_multiplier"],
        }
        for group in model.parameter_groups(section.optimiser)
    ]
    if section.optimiser == "adamw":
        betas = (section.beta_1, section.beta_2)
        return torch.optim.AdamW(
            groups, lr=section.learning_rate, betas=betas, eps=section.epsilon, fused=True
        )
    momentum = section.momentum if section.optimiser == "sgd-momentum" else 0.0
    return torch.optim.SGD(groups, lr=section.learning_rate, momentum=momentum, fused=True)


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
