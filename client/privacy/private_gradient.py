"""A step of differentially private SGD: drawn patients, clipped sum, noise, expected batch.

Abadi et al., arXiv 1607.00133, algorithm 1, with a patient's whole record as the example and patients
drawn by independent coins, as the accountant assumes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from client.privacy.clipping import Clipping
from client.privacy.engine import Engine
from client.privacy.noise import add_gaussian
from client.privacy.private_stream import PrivateStream
from client.training.gradient import StepGradient
from models.model import Model
from wardlaw.config.privacy import PrivacySection
from wardlaw.config.train import TrainSection


@dataclass(frozen=True, eq=False)
class PrivateGradient:
    """Noisy mean of clipped gradients over the expected number of patients.

    Adding or removing one patient moves the sum by at most C, and the noise has standard deviation
    sigma C: a step is one Poisson-sampled Gaussian release. Nothing that follows it (a pull
    towards the global model, the optimiser, averaging) reads a patient again.

    Attributes
    ----------
    stream : PrivateStream
    engine : Engine
    privacy : PrivacySection
    train : TrainSection
    key : bytes
        Whoever has it can take the noise away.
    """

    stream: PrivateStream
    engine: Engine
    privacy: PrivacySection
    train: TrainSection
    key: bytes

    def __call__(self, model: Model, step: int) -> StepGradient:
        """Leave a step's noisy gradient in ``grad``. Loss and tokens are not private."""
        patients = self.stream.draw(step)
        clipping = Clipping(self.privacy.clip_norm, self.privacy.clipping)
        precision = torch.bfloat16 if self.train.precision == "bf16" else torch.float32
        known = self.engine(model, patients, clipping, precision)
        gradients = dict(trained_gradients(model))
        self._add_noise(gradients, step)
        # The expected number: the drawn one would tell who takes part.
        torch._foreach_div_(list(gradients.values()), self.privacy.patients)
        norm = nn.utils.get_total_norm(list(gradients.values()))
        return StepGradient(
            loss=mean_of_finite(known.losses),
            norm=norm.item(),
            tokens=sum(batch.token_count for batch in patients),
            flops=sum(model.training_flops(batch) for batch in patients),
        )

    def _add_noise(self, gradients: dict[str, Tensor], step: int) -> None:
        std = self.privacy.noise_multiplier * self.privacy.clip_norm
        if std:
            for name, gradient in gradients.items():
                add_gaussian(gradient, self.key, f"noise/{step}/{name}", std)


def trained_gradients(model: Model) -> list[tuple[str, Tensor]]:
    """Name and gradient of each trained parameter.

    Raises
    ------
    AssertionError
        If an engine left one without: it would be released without noise.
    """
    found = [(name, p.grad) for name, p in model.named_parameters() if p.requires_grad]
    assert all(gradient is not None for _, gradient in found)
    return [(name, gradient) for name, gradient in found if gradient is not None]


def mean_of_finite(losses: Tensor) -> float | None:
    """Mean over the patients whose loss is a number; None if there is none."""
    finite = losses[torch.isfinite(losses)]
    return finite.mean().item() if len(finite) else None
