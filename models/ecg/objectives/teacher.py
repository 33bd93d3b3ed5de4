"""A teacher: the moving average of its student."""

from copy import deepcopy
from typing import Self

import torch
from torch import Tensor, nn

from models.ecg.backbone import Backbone, over_patches
from wardlaw.errors import ConfigError


class Teacher(nn.Module):
    """Exponential moving average of a backbone's weights (Tarvainen & Valpola, arXiv 1703.01780).

    Its weights are float32, in the state dict, and not trained. A step is linear in both, so the
    mean of the sites' teachers is the moving average of the mean of their students: a teacher that
    is averaged as all weights are is the one that a central run with those mean students has.

    Parameters
    ----------
    student : Backbone
        What it is a copy of.
    decay : float
        Share of itself that it keeps at a step.
    """

    def __init__(self, student: Backbone, decay: float) -> None:
        super().__init__()
        self.backbone = deepcopy(student).requires_grad_(False)
        self.decay = decay
        self.train(False)

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode: a teacher drops nothing."""
        return super().train(False)

    @torch.no_grad()
    def layers(self, signals: Tensor, count: int = 1) -> list[Tensor]:
        """Outputs of the last ``count`` blocks by patch: each (B, L / patch, width) float32.

        Raises
        ------
        ConfigError
            If the architecture has fewer blocks of the final resolution.
        """
        found = self.backbone.layers(signals)
        if count > len(found):
            raise ConfigError(
                f"the model has {len(found)} blocks of its final resolution",
                f"objective.target-layers = {count}",
                f"Take {len(found)} or fewer, or a deeper model.",
            )
        return [over_patches(layer, self.backbone).float() for layer in found[-count:]]

    @torch.no_grad()
    def start(self, student: Backbone) -> None:
        """Take the student's weights as they are."""
        self.backbone.load_state_dict(student.state_dict())

    @torch.no_grad()
    def follow(self, student: Backbone) -> None:
        """Move towards the student by ``1 - decay`` of the way."""
        for own, new in zip(self.backbone.parameters(), student.parameters(), strict=True):
            own.lerp_(new, 1 - self.decay)
