"""What holds for every objective."""

import math
from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from models.ecg.objectives.registry import build_objective
from tests.models.small_ecg import (
    CLASSES,
    MASKED,
    NAMES,
    SAMPLES,
    TAUGHT,
    Small,
    Trained,
    beats,
    made,
    section_of,
)
from wardlaw.config.objective import COUPLED


def losses(model: Trained, batch):
    return model.objective.losses(model.backbone, batch)


def chance(model: Trained, batch):
    return model.objective.chance(model.backbone, batch)


@pytest.mark.parametrize("name", NAMES)
def test_loss_and_chance_have_the_same_targets(name):
    model, batch = made(name), beats(6)
    found, bound = losses(model, batch), chance(model, batch)
    assert found.nats.shape == found.targets.shape == (6,)
    assert found.nats.dtype == torch.float32
    assert found.nats.isfinite().all()
    assert found.targets.tolist() == bound.targets.tolist()
    wanted = {"bce": CLASSES, "asymmetric": CLASSES, "cpc": 4}.get(name, SAMPLES // 16 // 2)
    assert found.targets.tolist() == [wanted] * 6
    assert not bound.nats.requires_grad


@pytest.mark.parametrize("name", NAMES)
def test_the_same_batch_and_weights_give_the_same_bits(name):
    global_state = torch.get_rng_state()
    first, second = (losses(made(name), beats(4)).nats for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, losses(made(name, seed=1), beats(4)).nats)
    model = made(name)
    before = torch.get_rng_state()
    model.step(torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1), beats(4))
    chance(model, beats(4))
    assert torch.equal(before, torch.get_rng_state())
    torch.set_rng_state(global_state)


@pytest.mark.parametrize("name", NAMES)
def test_constructors_use_no_random_numbers(name):
    backbone = Small()
    before = torch.get_rng_state()
    first, second = (build_objective(section_of(name), backbone, CLASSES, SAMPLES) for _ in range(2))
    assert torch.equal(before, torch.get_rng_state())
    for one, other in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", NAMES)
def test_state_is_float32_and_needs_no_memory_on_meta(name):
    with torch.device("meta"):
        outline = build_objective(section_of(name), Small(), CLASSES, SAMPLES)
    real = build_objective(section_of(name), Small(), CLASSES, SAMPLES)
    assert {key: value.shape for key, value in outline.state_dict().items()} == {
        key: value.shape for key, value in real.state_dict().items()
    }
    assert all(value.is_meta for value in outline.state_dict().values())
    assert {value.dtype for value in real.state_dict().values()} == {torch.float32}


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_all_that_is_trained_and_nothing_else(name):
    model = made(name)
    # One step away from the start, where a head of small weights lets little through.
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    model.step(optimiser, beats(4, seed=1))
    losses(model, beats(4)).mean().backward()
    for key, parameter in model.named_parameters():
        reached = parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
        assert reached != key.startswith("objective.teacher"), key


@pytest.mark.parametrize("name", NAMES)
def test_records_are_coupled_where_the_settings_say_so(name):
    """Over two steps without an optimiser, so that a codebook's move counts as well."""
    model = made(name)
    batch = beats(6)
    changed = replace(batch, signals=batch.signals.clone())
    changed.signals[0] = beats(1, seed=9).signals[0]

    def others(batch):
        fresh = made(name)
        first = losses(fresh, batch).nats
        fresh.objective.after_step(fresh.backbone)
        second = losses(fresh.eval(), batch).nats
        return torch.cat([first[1:], second[1:]])

    assert torch.equal(others(batch), others(changed)) == (name not in COUPLED)
    assert not torch.equal(losses(model, batch).nats[0], losses(model, changed).nats[0])


@pytest.mark.parametrize("name", NAMES)
def test_padding_is_no_target_and_has_no_weight(name):
    batch = beats(4)
    lengths = torch.tensor([SAMPLES, SAMPLES, 199, 40])
    short = replace(batch, lengths=lengths, signals=batch.signals.clone())
    for row, length in zip(short.signals, lengths.tolist(), strict=True):
        row[length:] = 0
    model = made(name).eval()
    found = losses(model, short)
    masked = [8, 8, 6, 1]
    wanted = {"bce": [CLASSES] * 4, "asymmetric": [CLASSES] * 4, "cpc": [4, 4, 0, 0]}.get(name, masked)
    assert found.targets.tolist() == chance(model, short).targets.tolist() == wanted
    assert found.nats.isfinite().all()
    assert (found.nats == 0).tolist() == [count == 0 for count in wanted]


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_of_one_record_has_a_loss(name):
    found = losses(made(name), beats(1))
    assert found.nats.isfinite().all()
    assert found.targets.sum() > 0


@pytest.mark.parametrize("name", NAMES)
def test_autocast_computes_the_loss_in_float32(name):
    model, batch = made(name), beats(8)
    exact = losses(model, batch).mean()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = losses(model, batch)
        bound = chance(model, batch)
    assert rounded.nats.dtype == bound.nats.dtype == torch.float32
    assert rounded.mean().item() == pytest.approx(exact.item(), rel=0.03)


@pytest.mark.parametrize("name", MASKED)
def test_masks_and_negatives_follow_from_seeds_alone(name):
    model, batch = made(name).eval(), beats(4)
    other = replace(batch, seeds=batch.seeds + 50)
    assert not torch.equal(losses(model, batch).nats, losses(model, other).nats)


@pytest.mark.parametrize("name", NAMES)
def test_flops_of_a_forward_pass_are_those_that_pytorch_counts(name):
    """A third of the student's share and the whole of the targets' share, in one forward pass.

    The counter does not see attention's fused kernel on a CPU, nor a transform.
    """
    model, batch = made(name), beats(1)
    with (
        FlopCounterMode(display=False) as counter,
        torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH),
    ):
        losses(model, batch)
    targets = getattr(model.objective, "target_flops", lambda *_: 0.0)(model.backbone, SAMPLES)
    student = (model.objective.training_flops(model.backbone, SAMPLES) - targets) / 3
    assert counter.get_total_flops() == pytest.approx(student + targets)


@pytest.mark.parametrize("name", NAMES)
def test_training_gets_below_chance(name):
    """On records that it has not seen, of the same rule, with masks it has not seen."""
    model = made(name)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=0.01)
    # Half of these records have the label, and a head starts where one in twenty has.
    for step in range(200 if name in ("bce", "asymmetric") else 100):
        model.step(optimiser, beats(16, seed=step + 1))
    model.eval()
    unseen = beats(64, seed=999)
    below = losses(model, unseen).mean() / chance(model, unseen).mean()
    assert below < {"hubert": 0.97}.get(name, 0.9)


@pytest.mark.parametrize("name", ["bce", "cpc", "dinosr", "hubert"])
def test_chance_is_at_most_that_of_a_model_that_knows_nothing(name):
    bound = chance(made(name), beats(32)).mean().item()
    nothing = section_of(name).chance_nats
    assert bound <= nothing + 1e-5
    if name == "cpc":
        assert bound == pytest.approx(math.log(16))


@pytest.mark.parametrize("name", TAUGHT)
def test_collapsed_targets_show_as_a_chance_of_nothing(name):
    """A teacher without weights sees nothing: the loss could be 0, and so is chance."""
    model = made(name)
    with torch.no_grad():
        for parameter in model.objective.teacher.parameters():
            parameter.zero_()
    assert chance(model, beats(4)).mean() < 1e-6
