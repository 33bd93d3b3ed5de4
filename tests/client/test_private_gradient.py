"""A private step: noise, the expected batch, and steps that draw nobody."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from client.privacy.patient_loop import patient_loop
from client.privacy.private_gradient import PrivateGradient
from wardlaw.config.privacy import PrivacySection
from wardlaw.config.train import TrainSection

KEY = bytes(range(32))


class Linear(nn.Module):
    """Loss of a patient: the product of its vector with the weights."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(size))

    def loss(self, batch):
        return (self.weight * batch.vector).sum()

    def training_flops(self, batch):
        return 2.0


@dataclass
class Patient:
    vector: torch.Tensor
    token_count: int = 1

    def to(self, device):
        return self


@dataclass
class Draws:
    """The same patients at each step."""

    vectors: tuple[torch.Tensor, ...]
    name: str = "draws"
    patients: int = 100
    sampling_rate: float = 0.1
    unique_tokens: int = 100
    expected_tokens: float = 10.0

    def draw(self, step):
        return tuple(map(Patient, self.vectors))


def gradient_of(vectors, size=4, step=0, **settings):
    model = Linear(size)
    section = PrivacySection(mechanism="dp-sgd", patients=10, **settings)
    told = PrivateGradient(Draws(tuple(vectors)), patient_loop, section, TrainSection(), KEY)(model, step)
    return model.weight.grad, told


def test_the_sum_is_clipped_and_divided_by_the_expected_number_not_the_drawn():
    found, told = gradient_of(
        [torch.tensor([3.0, 4, 0, 0]), torch.tensor([0.0, 0, 0.5, 0])], noise_multiplier=0
    )
    torch.testing.assert_close(found, torch.tensor([0.6, 0.8, 0.5, 0]) / 10)
    assert (told.tokens, told.loss) == (2, 0.0)


@pytest.mark.parametrize(("sigma", "clip"), [(1.0, 1.0), (2.0, 0.25)])
def test_noise_has_the_standard_deviation_sigma_c_over_b_also_when_nobody_is_drawn(sigma, clip):
    size = 40_000
    found, told = gradient_of([], size, noise_multiplier=sigma, clip_norm=clip)
    wanted = sigma * clip / 10
    assert found.std().item() == pytest.approx(wanted, rel=5 / (2 * size) ** 0.5)
    assert abs(found.mean().item()) < 5 * wanted / size**0.5
    assert (told.loss, told.tokens) == (None, 0)


def test_steps_have_noise_of_their_own_and_a_replay_has_the_same():
    first, again, later = (gradient_of([], 1000, step=step)[0] for step in (0, 0, 1))
    assert torch.equal(first, again)
    assert abs(torch.corrcoef(torch.stack([first, later]))[0, 1].item()) < 0.15


def test_a_patient_without_a_finite_gradient_counts_with_nothing():
    found, told = gradient_of(
        [torch.full((4,), float("nan")), torch.ones(4)], noise_multiplier=0, clip_norm=9.0
    )
    torch.testing.assert_close(found, torch.full((4,), 0.1))
    assert told.tokens == 2
