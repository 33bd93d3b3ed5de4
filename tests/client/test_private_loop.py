"""The loop over patients against exact gradients in float64."""

import copy
import math
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from opacus.grad_sample import GradSampleModule
from opacus.grad_sample.grad_sample_module_fast_gradient_clipping import GradSampleModuleFastGradientClipping
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention

from client.privacy.clipping import Clipping
from client.privacy.patient_loop import patient_loop
from models.ehr.decoder import Decoder
from models.ehr.ladder import rung
from models.ehr.mup import initialise
from models.ehr.packed import PackedBatch
from models.model import ParameterGroup

VOCABULARY_SIZE = 40
PATIENTS = ((17,), (64, 64, 3), (1,), (40, 40))


class Plain:
    """What the base class asks for beside the loss."""

    def training_flops(self, batch: Any) -> float:
        return 0.0

    def parameter_groups(self, optimiser: str) -> list[ParameterGroup]:
        return []

    def compile_blocks(self) -> None:
        pass

    def description(self, context: int) -> dict[str, Any]:
        return {}


def make_decoder(size: str = "20k") -> Decoder:
    model = Decoder(rung(size), VOCABULARY_SIZE).to_empty(device="cpu")
    initialise(model, 0)
    # The head starts at 0, where nothing before it has a gradient.
    nn.init.normal_(model.lm_head.weight, std=0.3, generator=torch.Generator().manual_seed(1))
    return model


def make_patient(segments: tuple[int, ...], seed: int) -> PackedBatch:
    stream = torch.Generator().manual_seed(seed)
    tokens, targets = torch.randint(VOCABULARY_SIZE, (2, sum(segments)), generator=stream)
    positions = torch.cat([torch.arange(size, dtype=torch.float32) for size in segments])
    return PackedBatch(tokens, targets, positions, segments)


def make_patients() -> list[PackedBatch]:
    return [make_patient(segments, seed) for seed, segments in enumerate(PATIENTS)]


def plain_loss(model: Decoder, patient: PackedBatch) -> Tensor:
    """Mean nats of a patient, window by window, with all logits at once."""
    parts = [part.split(patient.segments) for part in (patient.tokens, patient.targets, patient.positions)]
    logits = [
        model.logits(model.hidden(PackedBatch(tokens, targets, positions, (len(tokens),))))
        for tokens, targets, positions in zip(*parts, strict=True)
    ]
    return cross_entropy(torch.cat(logits), patient.targets)


def exact(
    model: nn.Module,
    patients: Sequence[Any],
    loss_of: Callable[..., Tensor],
    factor_of: Callable[[float], float],
) -> tuple[list[Tensor], list[float], list[float]]:
    """Sum of scaled gradients, losses and norms, in float64 with one plain backward pass a patient."""
    model = copy.deepcopy(model).double()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    sums, losses, norms = [torch.zeros_like(weight) for weight in weights], [], []
    for patient in patients:
        loss = loss_of(model, patient)
        found = torch.autograd.grad(loss, weights, allow_unused=True)
        gradients = [torch.zeros_like(w) if g is None else g for w, g in zip(weights, found, strict=True)]
        losses.append(loss.item())
        norms.append(math.sqrt(sum(float((gradient**2).sum()) for gradient in gradients)))
        sums = [s + factor_of(norms[-1]) * g for s, g in zip(sums, gradients, strict=True)]
    return sums, losses, norms


def assert_close(found: Sequence[Tensor | None], expected: Sequence[Tensor], tolerance: float = 1e-5) -> None:
    """Difference over all parameters, in units of the sum's norm."""
    difference = sum(float(((f.double() - e) ** 2).sum()) for f, e in zip(found, expected, strict=True))
    assert math.sqrt(difference) < tolerance * math.sqrt(sum(float((e**2).sum()) for e in expected))


def gradients_of(model: nn.Module) -> list[Tensor | None]:
    return [weight.grad for weight in model.parameters() if weight.requires_grad]


@pytest.mark.parametrize(
    ("clipping", "factor_of"),
    [
        (Clipping(3.0), lambda norm: min(1.0, 3.0 / norm)),
        (Clipping(3.0, "normalised"), lambda norm: 3.0 / (norm + 0.01)),
        (Clipping(math.inf), lambda norm: 1.0),
    ],
)
def test_sum_equals_exact_gradients_of_each_patient(
    clipping: Clipping, factor_of: Callable[[float], float]
) -> None:
    model, patients = make_decoder(), make_patients()
    sums, losses, norms = exact(model, patients, plain_loss, factor_of)
    if clipping.rule == "flat" and clipping.norm < math.inf:
        # The bound takes hold of some and not of others.
        assert min(norms) < clipping.norm < max(norms)
    known = patient_loop(model, patients, clipping)
    assert_close(gradients_of(model), sums)
    torch.testing.assert_close(known.losses.double(), torch.tensor(losses).double(), rtol=1e-5, atol=0)
    torch.testing.assert_close(known.norms.double(), torch.tensor(norms).double(), rtol=1e-5, atol=0)


def test_without_a_bound_it_is_the_gradient_of_the_packed_patients() -> None:
    model, other = make_decoder(), make_decoder()
    # One window of 16 each: the mean over patients is the mean over tokens.
    patients = [make_patient((16,), seed) for seed in range(5)]
    fields = [torch.cat([getattr(p, name) for p in patients]) for name in ("tokens", "targets", "positions")]
    (5 * other.loss(PackedBatch(*fields, (16,) * 5))).backward()
    patient_loop(model, patients, Clipping(math.inf))
    expected = [gradient.double() for gradient in gradients_of(other) if gradient is not None]
    assert_close(gradients_of(model), expected)


class Rows(nn.Module):
    """The decoder over rows of one length, (B, T) to (B, T, V): what Opacus can wrap."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, tokens: Tensor) -> Tensor:
        def attend(*vectors: Tensor) -> Tensor:
            q, k, v = (part.transpose(1, 2) for part in vectors)
            return scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)

        positions = torch.arange(tokens.shape[1], dtype=torch.float32)
        attends = [attend] * self.decoder.shape.depth
        return self.decoder.logits(self.decoder.blocks(self.decoder.embed(tokens), positions, attends))


@pytest.mark.parametrize("wrap", [GradSampleModule, GradSampleModuleFastGradientClipping])
def test_norms_and_sums_equal_opacus(wrap: type[GradSampleModule]) -> None:
    ours, theirs = make_decoder(), make_decoder()
    patients = [make_patient((20,), seed) for seed in range(6)]
    known = patient_loop(ours, patients, Clipping(3.7))
    assert known.norms.min() < 3.7 < known.norms.max()
    wrapped = wrap(Rows(theirs), loss_reduction="sum")
    rows, targets = (torch.stack([getattr(p, name) for p in patients]) for name in ("tokens", "targets"))
    losses = cross_entropy(wrapped(rows).transpose(1, 2), targets, reduction="none").mean(1)
    losses.sum().backward(retain_graph=True)
    if wrap is GradSampleModuleFastGradientClipping:
        norms = wrapped.get_norm_sample()
        wrapped.disable_hooks()
        wrapped.zero_grad()
        (losses * Clipping(3.7).factors(norms)).sum().backward()
        sums = gradients_of(theirs)
    else:
        samples = [weight.grad_sample for weight in theirs.parameters()]
        norms = torch.stack([sample.flatten(1).norm(dim=1) for sample in samples]).norm(dim=0)
        sums = [torch.einsum("b,b...", Clipping(3.7).factors(norms), sample) for sample in samples]
    torch.testing.assert_close(known.norms, norms.detach(), rtol=1e-5, atol=0)
    assert_close(gradients_of(ours), [total.double() for total in sums])


def test_one_gradient_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[weakref.ref[Tensor]] = []
    grad = torch.autograd.grad

    def watched(*arguments: Any, **options: Any) -> tuple[Tensor, ...]:
        assert not any(reference() is not None for reference in held)
        gradients = grad(*arguments, **options)
        held.extend(weakref.ref(gradient) for gradient in gradients)
        return gradients

    monkeypatch.setattr(torch.autograd, "grad", watched)
    model = make_decoder()
    patient_loop(model, make_patients(), Clipping(0.5))
    assert len(held) == len(PATIENTS) * len(list(model.parameters()))


def test_no_patient_moves_the_sum_further_than_the_bound() -> None:
    patients = make_patients()
    for left_out in range(len(patients)):
        models = make_decoder(), make_decoder()
        patient_loop(models[0], patients, Clipping(0.25))
        patient_loop(models[1], patients[:left_out] + patients[left_out + 1 :], Clipping(0.25))
        pairs = zip(gradients_of(models[0]), gradients_of(models[1]), strict=True)
        assert math.sqrt(sum(float((a - b).pow(2).sum()) for a, b in pairs)) <= 0.25 * (1 + 1e-5)


def test_no_patients_leave_zeros_to_be_noised() -> None:
    model = make_decoder()
    known = patient_loop(model, [], Clipping(1.0))
    assert len(known.losses) == len(known.norms) == 0
    gradients = gradients_of(model)
    assert all(gradient is not None and not gradient.any() for gradient in gradients)


def test_the_sum_is_added_to_what_is_there() -> None:
    once, twice = make_decoder(), make_decoder()
    patients = make_patients()
    patient_loop(once, patients, Clipping(0.5))
    patient_loop(twice, patients[:1], Clipping(0.5))
    patient_loop(twice, patients[1:], Clipping(0.5))
    for one, other in zip(gradients_of(once), gradients_of(twice), strict=True):
        assert torch.equal(one, other)


def test_bfloat16_stays_near_float32() -> None:
    model, half, patients = make_decoder("150k"), make_decoder("150k"), make_patients()
    full_known = patient_loop(model, patients, Clipping(0.5))
    half_known = patient_loop(half, patients, Clipping(0.5), torch.bfloat16)
    assert not torch.equal(half_known.norms, full_known.norms)
    torch.testing.assert_close(half_known.norms, full_known.norms, rtol=0.03, atol=0)
    assert half_known.norms.dtype == half_known.losses.dtype == torch.float32
    assert all(gradient.dtype == torch.float32 for gradient in gradients_of(half))
    assert_close(gradients_of(half), [gradient.double() for gradient in gradients_of(model)], 0.03)


def test_bfloat16_gradients_of_a_patient_do_not_depend_on_the_others() -> None:
    # Weights are cast once for all patients; the gradients still belong to one.
    patients = make_patients()
    alone, sums = [], make_decoder()
    for patient in patients:
        model = make_decoder()
        alone.append(patient_loop(model, [patient], Clipping(0.5), torch.bfloat16).norms)
    together = patient_loop(sums, patients, Clipping(0.5), torch.bfloat16)
    assert torch.equal(together.norms, torch.cat(alone))


# Models that a rule by layer would get wrong.


class Tied(Plain, nn.Module):
    """A table that is both embedding and head, a bare scale, and a layer nobody uses."""

    def __init__(self) -> None:
        super().__init__()
        stream = torch.Generator().manual_seed(3)
        self.table = nn.Embedding(VOCABULARY_SIZE, 8)
        self.scale = nn.Parameter(torch.rand(8, generator=stream) + 0.5)
        self.unused = nn.Linear(4, 4)
        self.teacher = nn.Parameter(torch.ones(8), requires_grad=False)
        self.head = nn.Linear(8, VOCABULARY_SIZE, bias=False)
        self.head.weight = self.table.weight
        nn.init.normal_(self.table.weight, generator=stream)

    def loss(self, patient: PackedBatch) -> Tensor:
        return cross_entropy(self.head(self.table(patient.tokens) * self.scale), patient.targets)


def test_shared_unused_and_untrained_parameters() -> None:
    model = Tied()
    patients = make_patients()
    sums, losses, _ = exact(model, patients, Tied.loss, lambda norm: min(1.0, 0.5 / norm))
    known = patient_loop(model, patients, Clipping(0.5))
    assert len(sums) == 4
    assert_close(gradients_of(model), sums)
    assert not model.unused.weight.grad.any()
    assert model.teacher.grad is None
    assert known.losses.tolist() == pytest.approx(losses, rel=1e-5)


@pytest.mark.parametrize("rule", ["flat", "normalised"])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_gradient_that_is_no_number_adds_nothing_and_is_told(rule: str, bad: float) -> None:
    class Spoilt(Tied):
        def loss(self, patient: PackedBatch) -> Tensor:
            return super().loss(patient) * (bad if patient.segments == (1,) else 1.0)

    model, sound = Spoilt(), Tied()
    patients = make_patients()
    known = patient_loop(model, patients, Clipping(0.5, rule))
    patient_loop(sound, [patient for patient in patients if patient.segments != (1,)], Clipping(0.5, rule))
    assert torch.isfinite(known.norms).tolist() == [True, True, False, True]
    for one, other in zip(gradients_of(model), gradients_of(sound), strict=True):
        assert torch.equal(one, other)
