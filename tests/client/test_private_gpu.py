"""Private steps on a GPU against exact gradients on the CPU."""

import copy

import pytest
import torch
from torch import nn

from client.privacy.clipping import Clipping
from client.privacy.engine import Engine
from client.privacy.noise import add_gaussian, gaussian
from client.privacy.patient_loop import patient_loop
from client.privacy.per_sample import packed as packed_engine
from client.privacy.per_sample.batched import batched
from client.privacy.per_sample.packed import packed
from client.training.replica import keep_float32
from models.ehr.packed import PackedBatch
from tests.client.test_private_loop import (
    assert_close,
    exact,
    gradients_of,
    make_decoder,
    make_patient,
    plain_loss,
)
from tests.client.test_private_per_sample import OBJECTIVES, in_float64, make_model, nothing_narrowed, sums_of
from tests.client.test_private_per_sample import make_patients as make_ecg_patients
from wardlaw.config.model import ECG_FAMILIES

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture(autouse=True)
def _float32() -> None:
    keep_float32()


ENGINES: dict[str, Engine] = {"packed": packed, "loop": patient_loop}


def make_patients(count: int) -> list[PackedBatch]:
    sizes = torch.randint(1, 200, (count, 2), generator=torch.Generator().manual_seed(0)).tolist()
    return [
        make_patient((first, *([second] if seed % 3 == 0 else [])), seed)
        for seed, (first, second) in enumerate(sizes)
    ]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("rule", ["flat", "normalised"])
@pytest.mark.parametrize("tokens", [10**6, 1000])
def test_a_decoders_sums_are_exact(
    engine: str, rule: str, tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed_engine, "pass_tokens", lambda *_: tokens)
    model, patients = make_decoder("150k"), make_patients(40)
    clipping = Clipping(9.0, rule)  # type: ignore[arg-type]
    factor = {"flat": lambda norm: min(1.0, 9.0 / norm), "normalised": lambda norm: 9.0 / (norm + 0.01)}[rule]
    sums, losses, norms = exact(model, patients, plain_loss, factor)
    assert min(norms) < 9.0 < max(norms)
    known = ENGINES[engine](model.cuda(), patients, clipping)
    torch.testing.assert_close(known.norms.cpu().double(), torch.tensor(norms).double(), rtol=1e-5, atol=0)
    torch.testing.assert_close(known.losses.cpu().double(), torch.tensor(losses).double(), rtol=1e-5, atol=0)
    for found, wanted in zip(gradients_of(model), sums, strict=True):
        assert found is not None
        assert_close([found.cpu()], [wanted])


@pytest.mark.parametrize("size", ["xs", "40k", "600k", "3m"])
def test_many_patients_give_what_the_loop_gives(size: str) -> None:
    model, patients = make_decoder(size).cuda(), make_patients(150)
    truth = patient_loop(model, patients, Clipping(5.0))
    wanted = [gradient.double() for gradient in gradients_of(model) if gradient is not None]
    model.zero_grad()
    known = packed(model, patients, Clipping(5.0))
    torch.testing.assert_close(known.norms, truth.norms, rtol=1e-5, atol=0)
    assert_close(gradients_of(model), wanted)


def test_in_bfloat16_a_decoder_is_as_near_to_the_loop_as_its_rounding() -> None:
    model, patients = make_decoder("150k").cuda(), make_patients(60)
    truth = patient_loop(model, patients, Clipping(5.0), torch.bfloat16)
    wanted = [gradient.double() for gradient in gradients_of(model) if gradient is not None]
    model.zero_grad()
    known = packed(model, patients, Clipping(5.0), torch.bfloat16)
    torch.testing.assert_close(known.norms, truth.norms, rtol=2**-7, atol=0)
    assert_close(gradients_of(model), wanted, 2**-7)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("family", ECG_FAMILIES)
def test_sums_of_each_ecg_family_and_objective_are_exact(family: str, objective: str) -> None:
    model, patients = make_model(family, objective), make_ecg_patients()
    clipping = Clipping(batched(model, patients, Clipping(1.0)).norms.median().item())
    with nothing_narrowed():
        wanted, truth = sums_of(copy.deepcopy(model).double(), in_float64(patients), clipping, patient_loop)
    looped, _ = sums_of(model, patients, clipping, patient_loop)
    found, known = sums_of(model.cuda(), patients, clipping, batched)
    torch.testing.assert_close(known.norms.double().cpu(), truth.norms, rtol=2e-5, atol=0)
    for name, value in wanted.items():
        error, rounding = (
            ((sums[name].cpu() - value).norm() / value.norm()).item() for sums in (found, looped)
        )
        assert error < max(2e-5, 4 * rounding), f"{name}: {error:.1e}"


def test_noise_is_that_of_the_cpu_but_for_rounding() -> None:
    values = torch.randn(300, 70)
    there = values.cuda()
    for each in (values, there):
        add_gaussian(each, bytes(32), "noise", 2.5)
    torch.testing.assert_close(there.cpu(), values, rtol=1e-6, atol=1e-6)
    assert not torch.equal(values, gaussian(bytes(32), "noise", (300, 70), 2.5))


def test_a_gradient_that_is_no_number_adds_nothing() -> None:
    model, patients = make_decoder("20k").cuda(), make_patients(20)
    for patient in patients:
        patient.tokens.clamp_(max=38)
    patients[3].tokens[0] = 39
    with torch.no_grad():
        model.model.embed_tokens.weight[39] = torch.nan
    known = packed(model, patients, Clipping(0.5))
    assert known.norms.isfinite().tolist() == [place != 3 for place in range(20)]
    found = [gradient.clone() for gradient in gradients_of(model) if gradient is not None]
    nn.Module.zero_grad(model)
    packed(model, [patient for place, patient in enumerate(patients) if place != 3], Clipping(0.5))
    assert_close(found, [gradient.double() for gradient in gradients_of(model) if gradient is not None])
