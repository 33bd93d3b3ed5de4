"""Opacus's engines against the loop, and what they refuse."""

import pytest
import torch
from torch import nn

from client.privacy.clipping import Clipping
from client.privacy.opacus_engines import fast_gradient, ghost, hooks
from client.privacy.patient_loop import patient_loop
from client.privacy.per_sample.batched import batched
from tests.client.test_private_per_sample import make_model, make_patients, sums_of
from wardlaw.errors import ConfigError

ENGINES = {"hooks": hooks, "ghost": ghost, "fast-gradient": fast_gradient}
FAMILIES = ("resnet", "regnet")


def assert_same(found, wanted) -> None:
    (sums, known), (truth, exact) = found, wanted
    torch.testing.assert_close(known.norms, exact.norms, rtol=1e-5, atol=0)
    torch.testing.assert_close(known.losses, exact.losses, rtol=1e-5, atol=0)
    for name, value in truth.items():
        assert (sums[name] - value).norm() < 1e-5 * value.norm(), name


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("family", FAMILIES)
def test_sums_equal_those_of_the_loop_and_of_one_pass(family: str, engine: str) -> None:
    model, patients = make_model(family), make_patients(crops=1)
    clipping = Clipping(batched(model, patients, Clipping(1.0)).norms.median().item())
    found = sums_of(model, patients, clipping, ENGINES[engine])
    assert_same(found, sums_of(model, patients, clipping, patient_loop))
    assert_same(found, sums_of(model, patients, clipping, batched))


def test_hooks_sum_a_patients_crops() -> None:
    model, patients, clipping = make_model("resnet"), make_patients(crops=3), Clipping(0.5)
    found = sums_of(model, patients, clipping, hooks)
    assert_same(found, sums_of(model, patients, clipping, patient_loop))


@pytest.mark.parametrize("engine", ENGINES)
def test_gradients_are_added_and_nothing_is_left_in_the_model(engine: str) -> None:
    model, patients, clipping = make_model("resnet"), make_patients(crops=1), Clipping(0.5)
    once, _ = sums_of(model, patients, clipping, ENGINES[engine])
    before = {name: set(vars(module)) for name, module in model.named_modules()}
    ENGINES[engine](model, patients, clipping)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad.double(), 2 * once[name], rtol=1e-5, atol=1e-7)
        assert getattr(parameter, "grad_sample", None) is None
    assert {name: set(vars(module)) for name, module in model.named_modules()} == before
    assert not any(m._forward_hooks or m._backward_hooks for m in model.modules())


@pytest.mark.parametrize("engine", ENGINES)
def test_a_step_without_patients_adds_nothing(engine: str) -> None:
    model = make_model("resnet")
    known = ENGINES[engine](model, [], Clipping(1.0))
    assert known.norms.shape == known.losses.shape == (0,)
    assert all(not parameter.grad.any() for parameter in model.parameters())


@pytest.mark.parametrize("engine", [ghost, fast_gradient])
def test_norms_of_single_crops_are_not_taken_for_a_patients(engine) -> None:
    with pytest.raises(ConfigError, match=r"privacy\.windows = 2"):
        engine(make_model("resnet"), make_patients(crops=2), Clipping(1.0))


@pytest.mark.parametrize(
    ("family", "objective", "parameter"),
    [
        ("s4d", "bce", "backbone.blocks.0.state_space.log_dt"),
        ("convnext", "bce", "backbone.stages.0.0.scale"),
        ("transformer", "bce", "backbone.norm.weight"),
        ("resnet", "reconstruction", "objective.mask_value"),
    ],
)
@pytest.mark.parametrize("engine", ENGINES)
def test_what_opacus_does_not_know_is_refused_by_name(family, objective, parameter, engine) -> None:
    with pytest.raises(ConfigError, match=parameter) as refused:
        ENGINES[engine](make_model(family, objective), make_patients(crops=1), Clipping(1.0))
    assert f"privacy.engine = '{engine}'" in str(refused.value)


def test_half_precision_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"train\.precision"):
        hooks(make_model("resnet"), make_patients(crops=1), Clipping(1.0), torch.bfloat16)


def test_a_model_of_packed_batches_is_refused() -> None:
    with pytest.raises(ConfigError, match="packed"):
        hooks(nn.Linear(1, 1), [], Clipping(1.0))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_patient_whose_gradient_is_not_finite_adds_nothing(engine) -> None:
    model, patients = make_model("resnet"), make_patients(crops=1)
    patients[0].signals.fill_(float("nan"))
    ENGINES[engine](model, patients, Clipping(1.0))
    found = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    patient_loop(model, patients[1:], Clipping(1.0))
    for ours, wanted in zip(found, model.parameters(), strict=True):
        torch.testing.assert_close(ours, wanted.grad, rtol=1e-4, atol=1e-6)
