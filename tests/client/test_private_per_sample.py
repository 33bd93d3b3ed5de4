"""One pass for all patients against a loop over them in float64."""

import copy
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from client.privacy.clipping import Clipping
from client.privacy.patient_loop import patient_loop
from client.privacy.per_sample.batched import batched
from models.ecg.batch import SignalBatch
from models.ecg.model import EcgModel
from models.ecg.scaling import initialise
from wardlaw.config.model import ECG_FAMILIES, ModelSection
from wardlaw.config.objective import COUPLED, ObjectiveSection

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
