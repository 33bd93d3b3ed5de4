"""One pass for all patients against a loop over them in float64."""

import copy
import math
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from torch import nn

from client.privacy.clipping import Clipping
from client.privacy.patient_loop import patient_loop
from client.privacy.per_sample import convolution
from client.privacy.per_sample.batched import batched
from client.privacy.per_sample.patients import stacked
from client.privacy.per_sample.rules import parameters_without_rule
from models.ecg.batch import SignalBatch
from models.ecg.model import EcgModel
from models.ecg.scaling import initialise
from wardlaw.config.model import ECG_FAMILIES, ModelSection, RegnetSection
from wardlaw.config.objective import COUPLED, ObjectiveSection

CPU = torch.device("cpu")

CONTEXT, CLASSES = 256, 5
OBJECTIVES = tuple(
    name for name in ("bce", "asymmetric", "jepa", "data2vec", "reconstruction") if name not in COUPLED
)


def make_model(family: str, objective: str = "bce", size: str = "80k", **settings) -> EcgModel:
    section = ModelSection(family=family, size=size, context=CONTEXT, **settings)
    model = EcgModel(section, ObjectiveSection(name=objective), CLASSES)
    initialise(model, model.backbone, seed=0)
    stream = torch.Generator().manual_seed(0)
    # Zero gains and heads would hide the gradients of what precedes them.
    with torch.no_grad():
        for parameter in model.parameters():
            std = max(1, parameter[0].numel()) ** -0.5 if parameter.dim() > 1 else 0.3
            parameter.add_(std * torch.randn(parameter.shape, generator=stream))
    model.objective.start(model.backbone)
    return model.train()


def make_patients(count: int = 4, crops: int = 2, context: int = CONTEXT) -> list[SignalBatch]:
    stream = torch.Generator().manual_seed(1)
    lengths = torch.randint(context // 2, context + 1, (count, crops), generator=stream)
    lengths[0] = context
    signals = torch.randn(count, crops, context, 12, generator=stream)
    signals *= (torch.arange(context) < lengths[..., None])[..., None]
    labels = (torch.rand(count, crops, CLASSES, generator=stream) < 0.3).float()
    seeds = torch.randint(2**40, (count, crops), generator=stream)
    return [SignalBatch(*rows) for rows in zip(signals, labels, lengths, seeds, strict=True)]


def in_float64(patients: list[SignalBatch]) -> list[SignalBatch]:
    return [replace(p, signals=p.signals.double(), labels=p.labels.double()) for p in patients]


@contextmanager
def nothing_narrowed():
    """Models keep some activations float32 by ``Tensor.float``, which must not narrow a reference."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "float", lambda values: values)
        yield


def sums_of(model, patients, clipping, engine, precision=torch.float32):
    model.zero_grad()
    known = engine(model, patients, clipping, precision)
    sums = {name: p.grad.double() for name, p in model.named_parameters() if p.requires_grad}
    return sums, known


def assert_same(model, patients, clipping, tolerance=1e-5) -> None:
    found, known = sums_of(model, patients, clipping, batched)
    with nothing_narrowed():
        double = copy.deepcopy(model).double()
        wanted, truth = sums_of(double, in_float64(patients), clipping, patient_loop)
    torch.testing.assert_close(known.losses.double(), truth.losses, rtol=tolerance, atol=0)
    torch.testing.assert_close(known.norms.double(), truth.norms, rtol=tolerance, atol=0)
    looped, _ = sums_of(model, patients, clipping, patient_loop)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        error, rounding = (((sums[name] - value).norm() / value.norm()).item() for sums in (found, looped))
        # What float32 loses in the loop, too, is not the engine's.
        assert error < max(tolerance, 2 * rounding), f"{name}: {error:.1e}"


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("family", ECG_FAMILIES)
def test_sums_equal_the_loop_for_each_family_and_objective(family: str, objective: str) -> None:
    model, patients = make_model(family, objective), make_patients()
    norms = batched(model, patients, Clipping(1.0)).norms
    # Some patients are clipped, some are not.
    assert_same(model, patients, Clipping(norms.median().item()))


@pytest.mark.parametrize("cheaper", [True, False])
@pytest.mark.parametrize("family", ["resnet", "convnext", "regnet", "transformer"])
def test_norms_with_and_without_gradients_agree(family: str, cheaper: bool, monkeypatch) -> None:
    monkeypatch.setattr(convolution, "norms_are_cheaper", lambda positions, weights: cheaper)
    assert_same(make_model(family), make_patients(crops=3), Clipping(0.5))


def test_positions_that_cancel_leave_the_norm_that_the_loop_sees() -> None:
    """With products in float32 a norm of 2.5e4 came out as 0 in every second try, and nothing was clipped."""
    for seed in range(10):
        stream = torch.Generator().manual_seed(seed)
        layer = convolution.Convolution(8, 8, 1)
        x = 1e3 + torch.randn(1, 8, 8, generator=stream)
        grad = 1e3 * torch.randn(1, 8, 8, generator=stream)
        grad -= grad.mean(1, keepdim=True)
        wanted = (grad[0].T.double() @ x[0].double()).norm().item()
        (square,) = convolution.implicit_convolution(layer, x, grad, 1).squared_norms().tolist()
        assert math.sqrt(square) == pytest.approx(wanted, rel=1e-4)


def test_gates_and_groups_of_a_custom_design() -> None:
    design = RegnetSection(depth=5, w_0=16, squeeze=0.25, bottleneck=0.5, group_width=4, kernel=5)
    model = make_model("regnet", size="custom", regnet=design)
    assert_same(model, make_patients(), Clipping(0.5))


def test_normalised_clipping() -> None:
    assert_same(make_model("resnet"), make_patients(), Clipping(0.5, "normalised"))


def test_dropped_branches_are_the_same_as_in_the_loop() -> None:
    model, patients = make_model("convnext"), make_patients(crops=3)
    # A rate that drops about half of the last block's branches; crops decide by their own samples.
    model.backbone.drop_rate = 0.5
    assert (model.backbone.keep(stacked(patients, CPU).signals) == 0).any()
    found, known = sums_of(model, patients, Clipping(0.5), batched)
    wanted, truth = sums_of(model, patients, Clipping(0.5), patient_loop)
    torch.testing.assert_close(known.norms, truth.norms, rtol=1e-5, atol=0)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("family", ECG_FAMILIES)
def test_unclipped_sum_is_the_gradient_of_the_summed_losses(family: str) -> None:
    model, patients = make_model(family), make_patients(crops=1)
    found, known = sums_of(model, patients, Clipping(float("inf")), batched)
    model.zero_grad()
    loss = model.loss(stacked(patients, CPU))
    loss.backward()
    torch.testing.assert_close(loss.detach(), known.losses.mean())
    for name, parameter in model.named_parameters():
        wanted = len(patients) * parameter.grad.double()
        assert (found[name] - wanted).norm() <= 2e-5 * wanted.norm(), name


def test_gradients_are_added_to_what_is_there_and_nothing_else_changes() -> None:
    model, patients = make_model("resnet", "jepa"), make_patients()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    once, _ = sums_of(model, patients, Clipping(0.5), batched)
    batched(model, patients, Clipping(0.5))
    for name, parameter in model.named_parameters():
        if name in once:
            torch.testing.assert_close(parameter.grad.double(), 2 * once[name], rtol=1e-5, atol=1e-8)
        else:
            assert name.startswith("objective.teacher")
            assert parameter.grad is None
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e38])
@pytest.mark.parametrize("family", ["resnet", "transformer", "s4d"])
def test_a_patient_whose_gradient_is_not_finite_adds_nothing(family: str, value: float) -> None:
    model, patients, clipping = make_model(family), make_patients(), Clipping(0.5)
    kept, _ = sums_of(model, [patients[0], *patients[2:]], clipping, batched)
    signals = patients[1].signals.clone()
    signals[0, 3] = value
    broken = [patients[0], replace(patients[1], signals=signals), *patients[2:]]
    found, known = sums_of(model, broken, clipping, batched)
    if not known.norms[1].isfinite():
        torch.testing.assert_close(found, kept, rtol=1e-5, atol=1e-7)
    assert value == 1e38 or not known.norms[1].isfinite()
    assert all(value.isfinite().all() for value in found.values())


def test_no_patients_and_unequal_patients_are_taken_by_the_loop() -> None:
    model = make_model("resnet")
    known = batched(model, [], Clipping(1.0))
    assert known.norms.shape == known.losses.shape == (0,)
    assert all(not parameter.grad.any() for parameter in model.parameters())
    unequal = [*make_patients(crops=1), *make_patients(crops=2)]
    found, _ = sums_of(model, unequal, Clipping(0.5), batched)
    wanted, _ = sums_of(model, unequal, Clipping(0.5), patient_loop)
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("family", ECG_FAMILIES)
def test_bfloat16_is_near_float32_and_sums_are_float32(family: str) -> None:
    model, patients = make_model(family), make_patients()
    found, known = sums_of(model, patients, Clipping(0.5), batched, torch.bfloat16)
    exact, truth = sums_of(model, patients, Clipping(0.5), batched)
    torch.testing.assert_close(known.norms, truth.norms, rtol=0.1, atol=0)
    assert all(parameter.grad.dtype == torch.float32 for parameter in model.parameters())
    whole = torch.cat([value.flatten() for value in exact.values()])
    error = torch.cat([(found[name] - value).flatten() for name, value in exact.items()])
    assert error.norm() < 0.1 * whole.norm()


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", ECG_FAMILIES)
def test_no_patient_adds_more_than_the_bound(family: str, precision: torch.dtype) -> None:
    model, clipping = make_model(family), Clipping(1e-3)
    for patient in make_patients():
        sums, _ = sums_of(model, [patient], clipping, batched, precision)
        norm = torch.cat([value.flatten() for value in sums.values()]).norm().item()
        assert norm == pytest.approx(1e-3, rel=1e-5)


def test_a_parameter_without_a_rule_sends_the_model_to_the_loop() -> None:
    model, patients = make_model("resnet"), make_patients()
    head = model.objective.head
    model.objective.head = Shifted(head)
    assert parameters_without_rule(model) == ["objective.head.shift"]
    found, _ = sums_of(model, patients, Clipping(0.5), batched)
    wanted, _ = sums_of(model, patients, Clipping(0.5), patient_loop)
    torch.testing.assert_close(found, wanted)
    assert found["objective.head.shift"].any()


class Shifted(nn.Module):
    """A layer and a parameter that no rule knows."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer, self.shift = layer, nn.Parameter(torch.zeros(CLASSES))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) + self.shift
