"""Teachers, and the targets that they and the signal make."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from models.ecg.batch import SignalBatch
from models.ecg.objectives.huber import huber_centre, huber_nats
from models.ecg.objectives.hubert import spectra
from models.ecg.objectives.normalisation import instance_norm
from models.ecg.objectives.teacher import Teacher
from tests.models.small_ecg import TAUGHT, Small, beats, made
from wardlaw.errors import ConfigError


def drawn(seed: int) -> Small:
    backbone, stream = Small(), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=stream))
    return backbone


def test_the_mean_of_teachers_is_the_teacher_of_the_mean_students():
    """Over a round of five steps at three sites from one start."""
    start, steps, sites = drawn(0), 5, 3
    weights = torch.tensor([0.5, 0.2, 0.3]).tolist()
    teachers = [Teacher(start, 0.9) for _ in range(sites)]
    of_means = Teacher(start, 0.9)
    for step in range(steps):
        students = [drawn(10 + step * sites + site) for site in range(sites)]
        for teacher, student in zip(teachers, students, strict=True):
            teacher.follow(student)
        mean = drawn(0)
        with torch.no_grad():
            for parameter, *parts in zip(mean.parameters(), *(s.parameters() for s in students), strict=True):
                parameter.copy_(sum(w * p for w, p in zip(weights, parts, strict=True)))
        of_means.follow(mean)
    for name, value in of_means.state_dict().items():
        average = sum(w * t.state_dict()[name] for w, t in zip(weights, teachers, strict=True))
        torch.testing.assert_close(average, value, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", TAUGHT)
def test_a_teacher_starts_as_its_student_and_follows_it(name):
    model = made(name)
    student, teacher = model.backbone.state_dict(), model.objective.teacher.backbone.state_dict()
    assert all(torch.equal(value, teacher[key]) for key, value in student.items())
    before = {key: value.clone() for key, value in teacher.items()}
    with torch.no_grad():
        for parameter in model.backbone.parameters():
            parameter.add_(1.0)
    model.objective.after_step(model.backbone)
    for key, value in model.objective.teacher.backbone.state_dict().items():
        torch.testing.assert_close(value, before[key] + 0.004, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("name", TAUGHT)
def test_a_teacher_is_not_trained_and_drops_nothing(name):
    model = made(name).train()
    assert not model.objective.teacher.training
    assert not any(p.requires_grad for p in model.objective.teacher.parameters())


def test_more_target_layers_than_blocks_is_one_clear_error():
    model = made("data2vec", target_layers=5)
    with pytest.raises(ConfigError, match=r"objective\.target-layers = 5: the model has 2 blocks"):
        model.objective.losses(model.backbone, beats(2))


def test_instance_norm_is_pytorchs_and_leaves_padding_out():
    features = torch.randn(3, 10, 4) * 3 + 1
    own = torch.arange(10) < torch.tensor([10, 6, 0])[:, None]
    found = instance_norm(features, own)
    wanted = functional.instance_norm(features[:1].transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(found[:1], wanted, atol=1e-5, rtol=1e-5)
    short = functional.instance_norm(features[1:2, :6].transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(found[1:2, :6], short, atol=1e-5, rtol=1e-5)
    assert found.isfinite().all()


def test_targets_of_data2vec_are_the_mean_of_normed_layers():
    model, batch = made("data2vec"), beats(3)
    with torch.no_grad():
        layers = [x.view(3, 16, 2, -1).mean(2) for x in model.backbone.layers(batch.signals)]
    normed = [
        (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True, correction=0) + 1e-5).sqrt() for x in layers
    ]
    torch.testing.assert_close(
        model.objective.targets(batch), (normed[0] + normed[1]) / 2, atol=1e-4, rtol=1e-4
    )


def test_targets_of_jepa_are_layer_normed_final_features():
    model, batch = made("jepa"), beats(3)
    found = model.objective.targets(batch)
    torch.testing.assert_close(found.mean(-1), torch.zeros(3, 16), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.var(-1, correction=0), torch.ones(3, 16), atol=1e-3, rtol=0)
    with torch.no_grad():
        final = model.backbone(batch.signals).view(3, 16, 2, -1).mean(2)
    similar = functional.cosine_similarity(found, final - final.mean(-1, keepdim=True), dim=-1)
    assert similar.min() > 0.9999


def test_targets_of_dinosr_are_the_nearest_codes():
    model, batch = made("dinosr"), beats(2)
    found = model.objective.targets(batch)
    with torch.no_grad():
        layers = [x.view(2, 16, 2, -1).mean(2) for x in model.backbone.layers(batch.signals)]
    for index, (layer, book) in enumerate(zip(layers, model.objective.codebooks, strict=True)):
        normed = functional.instance_norm(layer.transpose(1, 2)).transpose(1, 2)
        gaps = torch.cdist(normed, book.centroids().expand(2, -1, -1))
        assert torch.equal(found[:, :, index].argmax(-1), gaps.argmin(-1))
    assert torch.equal(found.sum(-1), torch.ones(2, 16, 2))


def test_targets_of_reconstruction_are_clipped_samples():
    model, batch = made("reconstruction"), beats(2)
    wild = replace(batch, signals=batch.signals * 10)
    found = model.objective.targets(wild)
    np.testing.assert_array_equal(found[1, 3].numpy(), wild.signals[1, 48:64].clamp(-5, 5).numpy())


def test_loss_of_reconstruction_is_half_the_squared_error_of_masked_samples():
    model, batch = made("reconstruction"), beats(2)
    with torch.no_grad():
        model.objective.head.weight.zero_()
        model.objective.head.bias.fill_(0.5)
    mask = model.objective._mask(batch)
    errors = (batch.signals.clamp(-5, 5) - 0.5).double().view(2, 16, -1)
    wanted = 0.5 * errors.square().mean(-1)[mask].mean().item()
    assert model.objective.losses(model.backbone, batch).mean().item() == pytest.approx(wanted, rel=1e-5)
    # Of constants the mean of each lead is the best.
    means = batch.signals.clamp(-5, 5).view(2, 16, 16, 12)[mask].mean((0, 1)).double()
    left = batch.signals.clamp(-5, 5).double().view(2, 16, 16, 12)[mask] - means
    bound = model.objective.chance(model.backbone, batch).mean().item()
    assert bound == pytest.approx(0.5 * left.square().mean().item(), rel=1e-5)


def test_spectra_are_those_of_numpy():
    signals = torch.randn(2, 64, 12)
    found = spectra(signals, 16).view(2, 4, 9, 12)
    wanted = np.log1p(np.abs(np.fft.rfft(signals[1, 16:32, 5].double().numpy())))
    np.testing.assert_allclose(found[1, 1, :, 5].numpy(), wanted, rtol=1e-5, atol=1e-6)


def test_huber_nats_are_minus_the_log_of_a_density_over_its_peak():
    gaps = torch.tensor([0.0, 0.5, 1.0, 3.0])
    found = huber_nats(gaps[:, None, None], torch.zeros(4, 1, 1)).flatten()
    assert found.tolist() == [0.0, 0.125, 0.5, 2.5]


def test_no_constant_is_better_than_the_huber_centre():
    stream = torch.Generator().manual_seed(0)
    targets = torch.randn(6, 8, 3, generator=stream) ** 3 * 4
    mask = torch.rand(6, 8, generator=stream) < 0.5
    centre = huber_centre(targets, mask)

    def loss(constant):
        return huber_nats(constant.expand_as(targets), targets)[mask].mean().item()

    grid = torch.linspace(-3, 3, 6001)
    for feature in range(3):
        values = targets[..., feature][mask]
        losses = functional.smooth_l1_loss(
            grid[:, None].expand(-1, len(values)), values.expand(6001, -1), reduction="none"
        ).mean(1)
        assert centre[feature].item() == pytest.approx(grid[losses.argmin()].item(), abs=0.01)
    assert loss(centre) <= min(loss(centre + 0.05), loss(centre - 0.05))


def test_a_flat_lead_gives_finite_losses():
    """A constant lead has no variance to divide by."""
    batch = beats(4)
    signals = batch.signals.clone()
    signals[:, :, 3] = 0
    signals[1] = 0
    flat = SignalBatch(signals, batch.labels, batch.lengths, batch.seeds)
    for name in ("jepa", "data2vec", "dinosr", "hubert", "reconstruction", "cpc"):
        model = made(name)
        loss = model.objective.losses(model.backbone, flat).mean()
        loss.backward()
        assert loss.isfinite()
        assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
