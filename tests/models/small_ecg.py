"""A tiny backbone and signals whose rule is known, for the tests of ECG objectives."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.ecg.backbone import Backbone
from models.ecg.batch import LEADS, SignalBatch
from models.ecg.objectives.objective import Objective
from models.ecg.objectives.registry import build_objective
from models.ecg.scaling import initialise
from wardlaw.config.objective import ObjectiveSection

SAMPLES, CLASSES, WIDTH = 256, 5, 16
NAMES = ("bce", "asymmetric", "cpc", "jepa", "data2vec", "dinosr", "hubert", "reconstruction")
MASKED = NAMES[3:]
TAUGHT = ("jepa", "data2vec", "dinosr")
SETTINGS = {
    "cpc": {"steps_predicted": 4, "negatives": 15},
    "dinosr": {"codes": 8},
    "hubert": {"codes": 8},
}


class Small(Backbone):
    """Two convolutions over windows of 8 samples: two positions a patch."""

    def __init__(self, stride: int = 8) -> None:
        super().__init__()
        self.stride, self.width, self.width_ratio = stride, WIDTH, 1.0
        self.stem = nn.Conv1d(LEADS, WIDTH, stride, stride)
        self.mix = nn.Conv1d(WIDTH, WIDTH, 9, padding=4)
        self.norm = nn.LayerNorm(WIDTH)
        for layer in (self.stem, self.mix):
            nn.init.zeros_(layer.bias)

    def layers(self, signals: Tensor) -> tuple[Tensor, ...]:
        first = self.stem(signals.transpose(1, 2))
        second = first + self.mix(functional.gelu(first))
        return first.transpose(1, 2), self.norm(second.transpose(1, 2))

    def forward_flops(self, samples: int) -> float:
        return 2.0 * samples * (LEADS * WIDTH + 9 * WIDTH**2 / self.stride)


class Trained(nn.Module):
    """A backbone and its objective under the names that a model gives them."""

    def __init__(self, backbone: Backbone, section: ObjectiveSection, samples: int, seed: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.objective: Objective = build_objective(section, backbone, CLASSES, samples)
        initialise(self, backbone, seed)
        self.objective.start(backbone)

    def step(self, optimiser: torch.optim.Optimizer, batch: SignalBatch, clip_norm: float = math.inf) -> None:
        self.objective.losses(self.backbone, batch).mean().backward()
        nn.utils.clip_grad_norm_(self.parameters(), clip_norm)
        optimiser.step()
        optimiser.zero_grad()
        self.objective.after_step(self.backbone)


def section_of(name: str, **settings) -> ObjectiveSection:
    return ObjectiveSection(name=name, **(SETTINGS.get(name, {}) | settings))


def made(name: str, seed: int = 0, **settings) -> Trained:
    return Trained(Small(), section_of(name, **settings), SAMPLES, seed)


def beats(records: int, seed: int = 0, samples: int = SAMPLES) -> SignalBatch:
    """Sines of a record's own rate and phase under noise; the first label is a rate above 1.5 Hz."""
    stream = torch.Generator().manual_seed(seed)
    rate = 1 + torch.rand(records, 1, 1, generator=stream)
    phase = torch.rand(records, 1, 1, generator=stream)
    time = torch.arange(samples)[None, :, None] / 100
    clean = (2 * math.pi * (rate * time + phase)).sin() * torch.linspace(0.5, 2, LEADS)
    labels = (torch.rand(records, CLASSES, generator=stream) < 0.2).float()
    labels[:, 0] = rate[:, 0, 0] > 1.5
    return SignalBatch(
        signals=clean + 0.3 * torch.randn(records, samples, LEADS, generator=stream),
        labels=labels,
        lengths=torch.full((records,), samples),
        seeds=torch.arange(records) + 1000 * seed,
    )
