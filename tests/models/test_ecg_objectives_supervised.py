import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from models.ecg.objectives.registry import build_objective
from tests.models.small_ecg import CLASSES, beats, made, section_of


def test_bce_is_minus_the_log_probability_of_the_labels():
    model, batch = made("bce"), beats(5)
    p = model.objective.logits(model.backbone, batch).double().sigmoid()
    by_hand = -(batch.labels * p.log() + (1 - batch.labels) * (1 - p).log()).sum(1)
    found = model.objective.losses(model.backbone, batch)
    torch.testing.assert_close(found.nats.double(), by_hand, rtol=1e-5, atol=1e-6)
    assert found.mean().item() == pytest.approx(by_hand.mean().item() / CLASSES, rel=1e-5)


def by_equation_7(logit, label, gamma_positive, gamma_negative, shift):
    p = 1 / (1 + math.exp(-logit))
    if label:
        return -((1 - p) ** gamma_positive) * math.log(p)
    p_m = max(p - shift, 0)
    return -(p_m**gamma_negative) * math.log(1 - p_m)


@pytest.mark.parametrize(("positive", "negative", "shift"), [(1, 4, 0.05), (0, 2, 0.0), (0.5, 0.5, 0.2)])
def test_asymmetric_loss_is_equation_7(positive, negative, shift):
    section = section_of(
        "asymmetric", gamma_positive=positive, gamma_negative=negative, probability_shift=shift
    )
    objective = build_objective(section, made("bce").backbone, CLASSES, 256)
    logits = torch.linspace(-8, 8, 33)
    for label in (0, 1):
        found = objective.label_losses(logits, torch.full_like(logits, label))
        wanted = [by_equation_7(x, label, positive, negative, shift) for x in logits.tolist()]
        np.testing.assert_allclose(found.numpy(), wanted, rtol=2e-4, atol=1e-6)


def test_asymmetric_loss_without_gammas_and_shift_is_bce():
    section = section_of("asymmetric", gamma_positive=0, gamma_negative=0, probability_shift=0)
    backbone = made("bce").backbone
    plain, weighted = (build_objective(s, backbone, CLASSES, 256) for s in (section_of("bce"), section))
    logits, labels = torch.randn(7, CLASSES) * 3, beats(7).labels
    torch.testing.assert_close(weighted.label_losses(logits, labels), plain.label_losses(logits, labels))


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 4.0])
@pytest.mark.parametrize("shift", [0.0, 0.05])
def test_asymmetric_loss_has_finite_gradients_at_extreme_logits(gamma, shift):
    section = section_of("asymmetric", gamma_positive=gamma, gamma_negative=gamma, probability_shift=shift)
    objective = build_objective(section, made("bce").backbone, CLASSES, 256)
    logits = torch.tensor([-1e4, -200.0, -3.0, 0.0, 200.0, 1e4]).repeat(2).requires_grad_()
    labels = torch.tensor([0.0, 1.0]).repeat_interleave(6)
    losses = objective.label_losses(logits, labels)
    losses.sum().backward()
    assert losses.isfinite().all()
    assert logits.grad.isfinite().all()


def test_chance_of_bce_is_the_entropy_of_the_labels():
    model, batch = made("bce"), beats(50)
    frequency = batch.labels.double().mean(0)
    entropy = -(torch.xlogy(frequency, frequency) + torch.xlogy(1 - frequency, 1 - frequency))
    found = model.objective.chance(model.backbone, batch).mean().item()
    assert found == pytest.approx(entropy.mean().item(), abs=1e-5)


def test_chance_of_a_class_that_no_record_has_is_next_to_nothing():
    model, batch = made("bce"), beats(8)
    empty = replace(batch, labels=torch.zeros_like(batch.labels))
    assert model.objective.chance(model.backbone, empty).mean().item() < 1e-4


def test_no_constant_beats_the_chance_of_the_asymmetric_loss():
    model, batch = made("asymmetric"), beats(50)
    bound = model.objective.chance(model.backbone, batch).mean().item()
    constants = torch.linspace(-6, 6, 500)
    each = torch.stack(
        [model.objective.label_losses(c.expand_as(batch.labels), batch.labels).mean(0) for c in constants]
    )
    assert bound == pytest.approx(each.amin(0).mean().item(), rel=1e-3)


def test_padding_does_not_dilute_a_record():
    """The mean feature of a short record is that of its own patches."""
    model, batch = made("bce"), beats(2)
    lengths = torch.tensor([256, 128])
    with torch.no_grad():
        features = model.backbone(batch.signals)
    wanted = model.objective.head(torch.stack([features[0].mean(0), features[1, :16].mean(0)]))
    found = model.objective.logits(model.backbone, replace(batch, lengths=lengths))
    torch.testing.assert_close(found, wanted)
