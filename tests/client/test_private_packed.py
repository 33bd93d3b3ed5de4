"""Packed patients of the decoder against exact gradients in float64, and against the loop."""

import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from client.privacy.clipping import Clipping
from client.privacy.engine import PatientGradients
from client.privacy.engines import engine_of
from client.privacy.patient_loop import patient_loop
from client.privacy.per_sample import decoder_pass, packed, passes, patient_rows, shares
from client.privacy.per_sample.decoder_pass import has_rules
from client.privacy.per_sample.patient_rows import PatientRows
from models.ehr import attention
from models.ehr.attention import runs_of
from models.ehr.decoder import Decoder
from models.ehr.ladder import RUNGS
from models.ehr.packed import IGNORED, PackedBatch
from tests.client.test_private_loop import (
    VOCABULARY_SIZE,
    assert_close,
    exact,
    gradients_of,
    make_decoder,
    make_patient,
    plain_loss,
)
from wardlaw.config import load_config

WINDOWS = ((17,), (64, 64, 3), (1,), (40, 40), (2,), (9, 9), (150,), (33,))
WAYS = {"products": math.inf, "gradients": 0.0, "as on a GPU": math.inf}
SMALL = ("xs", "20k", "40k", "80k", "150k", "330k", "600k", "1.3m")


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Norms from products of rows, or from gradients, whatever is cheaper; or many patients a product."""
    monkeypatch.setattr(shares, "GRADIENT_COST", WAYS[request.param])
    if request.param == "as on a GPU":
        monkeypatch.setattr(packed, "pass_tokens", lambda *_: 100_000)
        monkeypatch.setattr(patient_rows, "together", lambda sizes, _: runs_of(sizes, 0.25))
        monkeypatch.setattr(attention, "alike", lambda _: 0.25)
    return str(request.param)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> list[PackedBatch]:
    """Patients that the loop is given."""
    given_to_loop: list[PackedBatch] = []

    def watched(model, patients, clipping, precision=torch.float32):  # type: ignore[no-untyped-def]
        given_to_loop.extend(patients)
        return patient_loop(model, patients, clipping, precision)

    monkeypatch.setattr(packed, "patient_loop", watched)
    return given_to_loop


def make_patients() -> list[PackedBatch]:
    return [make_patient(segments, seed) for seed, segments in enumerate(WINDOWS)]


def known_and_sums(
    engine: object, model: Decoder, patients: Sequence[PackedBatch], *arguments: object
) -> tuple[PatientGradients, list[Tensor]]:
    model.zero_grad()
    known = engine(model, patients, *arguments)  # type: ignore[operator]
    found = [gradient for gradient in gradients_of(model) if gradient is not None]
    assert len(found) == len(list(model.parameters()))
    return known, [gradient.clone() for gradient in found]


def assert_as_the_loop(model: Decoder, patients: Sequence[PackedBatch], clipping: Clipping) -> None:
    known, found = known_and_sums(packed.packed, model, patients, clipping)
    truth, wanted = known_and_sums(patient_loop, model, patients, clipping)
    torch.testing.assert_close(known.norms, truth.norms, rtol=1e-5, atol=0)
    torch.testing.assert_close(known.losses, truth.losses, rtol=1e-5, atol=0)
    whole = torch.nn.utils.get_total_norm(wanted)
    for one, other in zip(found, wanted, strict=True):
        # Where no token sees another, queries and keys have no gradient.
        assert (one - other).norm() <= 1e-5 * other.norm() + 1e-6 * whole


@pytest.mark.parametrize("rule", ["flat", "normalised"])
def test_sums_equal_exact_gradients_of_each_patient(rule: str, way: str, alone: list[PackedBatch]) -> None:
    model, patients = make_decoder("150k"), make_patients()
    clipping = Clipping(9.0, rule)  # type: ignore[arg-type]
    factor = {"flat": lambda norm: min(1.0, 9.0 / norm), "normalised": lambda norm: 9.0 / (norm + 0.01)}[rule]
    sums, losses, norms = exact(model, patients, plain_loss, factor)
    # The bound takes hold of some and not of others.
    assert min(norms) < clipping.norm < max(norms)
    known, found = known_and_sums(packed.packed, model, patients, clipping)
    assert not alone
    torch.testing.assert_close(known.norms.double(), torch.tensor(norms).double(), rtol=1e-5, atol=0)
    torch.testing.assert_close(known.losses.double(), torch.tensor(losses).double(), rtol=1e-5, atol=0)
    for one, other in zip(found, sums, strict=True):
        assert_close([one], [other])


def test_in_float64_they_are_equal_to_its_rounding(way: str) -> None:
    model, patients = make_decoder("20k").double(), make_patients()
    sums, _, norms = exact(model, patients, plain_loss, lambda norm: min(1.0, 2.0 / norm))
    known, found = known_and_sums(packed.packed, model, patients, Clipping(2.0))
    torch.testing.assert_close(known.norms, torch.tensor(norms, dtype=torch.float64), rtol=1e-12, atol=0)
    assert_close(found, sums, 1e-12)


@pytest.mark.parametrize("size", [*SMALL, *(pytest.param("3m", marks=pytest.mark.slow),)])
def test_every_size_gives_what_the_loop_gives(size: str) -> None:
    assert size in RUNGS
    assert_as_the_loop(make_decoder(size), make_patients(), Clipping(5.0))


@settings(max_examples=25, deadline=None)
@given(
    windows=st.lists(st.lists(st.integers(1, 12), min_size=1, max_size=3), min_size=1, max_size=6),
    seed=st.integers(0, 1000),
)
def test_any_patients_give_what_the_loop_gives(windows: list[list[int]], seed: int) -> None:
    patients = [make_patient(tuple(segments), seed + place) for place, segments in enumerate(windows)]
    assert_as_the_loop(make_decoder("20k"), patients, Clipping(1.0))


def test_a_patient_with_a_pass_to_itself_is_left_to_the_loop(alone: list[PackedBatch]) -> None:
    patients = [make_patient(segments, 1) for segments in ((300, 300), (200,), (9,), (400,))]
    assert_as_the_loop(make_decoder("20k"), patients, Clipping(1.0))
    assert alone == [patients[0], patients[3]]


def test_repeated_tokens_are_one_row_of_the_embedding(way: str) -> None:
    patients = make_patients()
    patients[0].tokens.fill_(7)
    patients[3].tokens.fill_(7)
    assert_as_the_loop(make_decoder("20k"), patients, Clipping(1.0))


def test_targets_that_are_ignored_do_not_count(way: str) -> None:
    patients = make_patients()
    patients[0].targets[3:9] = IGNORED
    patients[2].targets.fill_(IGNORED)
    model = make_decoder("20k")
    assert_as_the_loop(model, [patients[0], *patients[3:]], Clipping(1.0))
    known, _ = known_and_sums(packed.packed, model, patients, Clipping(1.0))
    assert known.losses[2] == known.norms[2] == 0


def test_without_a_bound_it_is_the_gradient_of_the_packed_patients() -> None:
    model, other = make_decoder("150k"), make_decoder("150k")
    # One window of 16 each: the mean over patients is the mean over tokens.
    patients = [make_patient((16,), seed) for seed in range(40)]
    (40 * other.loss(packed.joined(patients))).backward()
    _, found = known_and_sums(packed.packed, model, patients, Clipping(math.inf))
    assert_close(found, [gradient.double() for gradient in gradients_of(other) if gradient is not None])


def test_no_patients_leave_zeros_to_be_noised() -> None:
    known, found = known_and_sums(packed.packed, make_decoder(), [], Clipping(1.0))
    assert known.losses.shape == known.norms.shape == (0,)
    assert not any(gradient.any() for gradient in found)


def test_the_sum_is_added_and_nothing_else_changes() -> None:
    model, patients = make_decoder("20k"), make_patients()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    _, once = known_and_sums(packed.packed, model, patients, Clipping(0.5))
    packed.packed(model, patients, Clipping(0.5))
    assert_close(gradients_of(model), [2 * gradient.double() for gradient in once])
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    assert not any(module._forward_hooks for module in model.modules())
    assert all(weight.requires_grad for weight in model.parameters())


def test_a_pass_that_fails_leaves_the_model_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_decoder()

    def fails(*arguments: object) -> None:
        raise MemoryError

    monkeypatch.setattr(decoder_pass, "patient_nats", fails)
    with pytest.raises(MemoryError):
        packed.packed(model, make_patients(), Clipping(1.0))
    assert not any(module._forward_hooks for module in model.modules())
    assert all(weight.requires_grad for weight in model.parameters())


@pytest.mark.parametrize(("precision", "rounding"), [(torch.float32, 1e-5), (torch.bfloat16, 2**-8)])
@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e30])
def test_a_gradient_that_is_no_number_adds_nothing_and_is_told(
    bad: float, precision: torch.dtype, rounding: float, way: str, alone: list[PackedBatch]
) -> None:
    model, patients = make_decoder("20k"), make_patients()
    for patient in patients:
        patient.tokens.clamp_(max=VOCABULARY_SIZE - 2)
    patients[3].tokens[5] = VOCABULARY_SIZE - 1
    with torch.no_grad():
        model.model.embed_tokens.weight[VOCABULARY_SIZE - 1] = bad
    arguments = Clipping(0.5), precision
    known, found = known_and_sums(packed.packed, model, patients, *arguments)
    truth, wanted = known_and_sums(patient_loop, model, patients, *arguments)
    assert torch.isfinite(known.norms).tolist() == torch.isfinite(truth.norms).tolist()
    assert math.isfinite(bad) or len(alone) == 1
    assert_close(found, [gradient.double() for gradient in wanted], rounding)
    kept = [place for place in range(len(patients)) if place != 3]
    without = packed.packed(model, [patients[place] for place in kept], *arguments)
    torch.testing.assert_close(known.norms[kept], without.norms, rtol=rounding, atol=0)


def test_rows_that_cancel_are_left_to_the_loop(
    alone: list[PackedBatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All targets once after one and the same token: the uniform guess is right, the gradient nothing.

    Products of rows would leave a norm made of rounding errors.
    """
    monkeypatch.setattr(shares, "GRADIENT_COST", WAYS["products"])
    model = make_decoder()
    torch.nn.init.zeros_(model.lm_head.weight)
    balanced = PackedBatch(
        tokens=torch.full((VOCABULARY_SIZE,), 7),
        targets=torch.arange(VOCABULARY_SIZE),
        positions=torch.arange(VOCABULARY_SIZE, dtype=torch.float32),
        segments=(VOCABULARY_SIZE,),
    )
    other = make_patient((30,), 1)
    known, _ = known_and_sums(packed.packed, model, [balanced, other], Clipping(1.0))
    assert alone == [balanced]
    assert known.norms[0] < 1e-5 < known.norms[1]


def test_squares_of_rows_that_cancel_say_so() -> None:
    for seed in range(10):
        stream = torch.Generator().manual_seed(seed)
        inputs = 1e3 + torch.randn(8, 8, generator=stream)
        gradient = 1e3 * torch.randn(8, 8, generator=stream)
        gradient -= gradient.mean(0)
        wanted = (gradient.T.double() @ inputs.double()).square().sum()
        weight = torch.nn.Parameter(torch.zeros(8, 8))
        rows = PatientRows([8], inputs.device)
        square, terms = shares.squares_of_rows(rows, inputs, [(weight, gradient)])
        own_terms = (inputs.double().square().sum(1) * gradient.double().square().sum(1)).sum()
        torch.testing.assert_close(terms, own_terms[None].float())
        # What float32 has got wrong is a rounding error of the terms, and enough to be refused.
        assert abs(square.double() - wanted) < 1e-6 * own_terms
        assert square < packed.CANCELLED * terms


@pytest.mark.parametrize("size", ["20k", "150k"])
def test_bfloat16_is_as_near_to_the_loop_as_its_rounding(size: str, way: str) -> None:
    model, patients = make_decoder(size), make_patients()
    half = torch.bfloat16
    known, found = known_and_sums(packed.packed, model, patients, Clipping(5.0), half)
    truth, wanted = known_and_sums(patient_loop, model, patients, Clipping(5.0), half)
    full, single = known_and_sums(patient_loop, model, patients, Clipping(5.0))
    assert not torch.equal(known.norms, full.norms)
    torch.testing.assert_close(known.norms, truth.norms, rtol=2**-8, atol=0)
    torch.testing.assert_close(known.losses, full.losses, rtol=2**-7, atol=0)
    assert_close(found, [gradient.double() for gradient in wanted], 2**-8)
    assert_close(found, [gradient.double() for gradient in single], 0.03)
    assert all(gradient.dtype == torch.float32 for gradient in found)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_no_patient_adds_more_than_the_bound(
    precision: torch.dtype, way: str, alone: list[PackedBatch]
) -> None:
    model, silent = make_decoder("150k"), make_patient((20,), 9)
    silent.targets.fill_(IGNORED)
    for patient in make_patients():
        _, found = known_and_sums(packed.packed, model, [patient, silent], Clipping(1e-3), precision)
        assert not alone
        norm = torch.cat([gradient.flatten() for gradient in found]).double().norm().item()
        assert norm == pytest.approx(1e-3, rel=1e-5)


def test_models_without_rules_are_looped_over(alone: list[PackedBatch]) -> None:
    patients = make_patients()
    models = {name: make_decoder() for name in ("tied", "twice", "frozen", "biased", "compiled")}
    models["tied"].lm_head.weight = models["tied"].model.embed_tokens.weight
    models["twice"].model.layers[1] = models["twice"].model.layers[0]
    models["frozen"].model.norm.weight.requires_grad_(False)
    layer = models["biased"].model.layers[0].mlp.up_proj
    layer.bias = torch.nn.Parameter(torch.zeros(layer.out_features))
    before, after = models["compiled"].halves
    models["compiled"].halves = (lambda *a: before(*a), after)
    assert has_rules(make_decoder())
    for name, model in models.items():
        assert not has_rules(model), name
        known = packed.packed(model, patients, Clipping(1.0))
        model.zero_grad()
        assert torch.equal(known.norms, patient_loop(model, patients, Clipping(1.0)).norms)
    assert len(alone) == len(models) * len(patients)


@given(sizes=st.lists(st.integers(1, 700), max_size=40))
def test_passes_hold_every_patient_once_and_are_small(sizes: list[int]) -> None:
    found = passes.passes(sizes, 512)
    assert sorted(place for places in found for place in places) == list(range(len(sizes)))
    assert all(len(places) == 1 or sum(sizes[p] for p in places) <= 512 for places in found)
    in_order = [sizes[place] for places in found for place in places]
    assert in_order == sorted(sizes, reverse=True)


@pytest.mark.parametrize(
    ("engine", "compiled", "wanted"),
    [
        ("auto", "false", packed.packed),
        ("auto", "true", patient_loop),
        ("batched", "false", packed.packed),
        ("loop", "false", patient_loop),
    ],
)
def test_engine_of_a_decoders_run(engine: str, compiled: str, wanted: object) -> None:
    settings_ = [
        "run.topology=centralised",
        "train.tokens=1000000",
        "privacy.mechanism=dp-sgd",
        f"privacy.engine={engine}",
        f"train.compile={compiled}",
    ]
    assert engine_of(load_config(None, settings_)) is wanted
