import copy
import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from models.ehr import attention
from models.ehr.attention import SegmentAttention, rotate, rotation
from models.ehr.packed import IGNORED, PackedBatch

SEGMENTS = (7, 7, 1, 12, 5)


def reference_logits(model, tokens, positions):
    """The decoder written out in float64 for one segment, head by head, with an explicit mask."""
    w = {name: value.double() for name, value in model.state_dict().items()}
    n, d, heads = len(tokens), model.shape.width, model.shape.heads
    k = d // heads

    def norm(x, gain):
        return x / (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt() * gain

    def turned(x):
        out = torch.empty_like(x)
        for i in range(k // 2):
            angle = positions.double() * 10_000.0 ** (-2 * i / k)
            out[:, i] = x[:, i] * angle.cos() - x[:, i + k // 2] * angle.sin()
            out[:, i + k // 2] = x[:, i + k // 2] * angle.cos() + x[:, i] * angle.sin()
        return out

    x = w["model.embed_tokens.weight"][tokens]
    for layer in range(model.shape.depth):
        p = f"model.layers.{layer}."
        h = norm(x, w[p + "input_layernorm.weight"])
        q, key, v = (h @ w[p + f"self_attn.{name}_proj.weight"].T for name in "qkv")
        parts = []
        for head in range(heads):
            s = slice(head * k, (head + 1) * k)
            scores = turned(q[:, s]) @ turned(key[:, s]).T / math.sqrt(k)
            scores = scores.masked_fill(torch.ones(n, n).triu(1).bool(), -torch.inf)
            parts.append(scores.softmax(-1) @ v[:, s])
        x = x + torch.cat(parts, -1) @ w[p + "self_attn.o_proj.weight"].T
        h = norm(x, w[p + "post_attention_layernorm.weight"])
        gate, up = (h @ w[p + f"mlp.{name}_proj.weight"].T for name in ("gate", "up"))
        x = x + (gate * torch.sigmoid(gate) * up) @ w[p + "mlp.down_proj.weight"].T
    return norm(x, w["model.norm.weight"]) @ w["lm_head.weight"].T


def test_equals_a_float64_decoder_segment_by_segment(tiny, make_batch):
    batch = make_batch(SEGMENTS)
    batch = replace(batch, positions=batch.positions * 1.7 + 0.3)
    logits = tiny.logits(tiny.hidden(batch))
    tokens, positions = torch.split(batch.tokens, SEGMENTS), torch.split(batch.positions, SEGMENTS)
    expected = torch.cat([reference_logits(tiny, t, p) for t, p in zip(tokens, positions, strict=True)])
    assert expected.std() > 1
    torch.testing.assert_close(logits.double(), expected, atol=2e-5, rtol=0)
    wanted = batch.targets != IGNORED
    nats = functional.cross_entropy(expected[wanted], batch.targets[wanted])
    assert tiny.loss(batch).item() == pytest.approx(nats.item(), abs=1e-6)
    assert tiny.nats(batch)[wanted].mean().item() == pytest.approx(nats.item(), abs=1e-6)


def test_no_patient_sees_another(tiny, make_batch):
    batch = make_batch(SEGMENTS)
    changed = batch.tokens.clone()
    changed[14:27] = (changed[14:27] + 1) % tiny.vocabulary_size
    before, after = (tiny.logits(tiny.hidden(b)) for b in (batch, replace(batch, tokens=changed)))
    assert torch.equal(before[:14], after[:14])
    assert torch.equal(before[27:], after[27:])
    assert not torch.equal(before[14:27], after[14:27])


def test_no_token_sees_a_later_one(tiny, make_batch):
    batch = make_batch((20,))
    changed = batch.tokens.clone()
    changed[12:] = (changed[12:] + 1) % tiny.vocabulary_size
    before, after = (tiny.logits(tiny.hidden(b)) for b in (batch, replace(batch, tokens=changed)))
    assert torch.equal(before[:12], after[:12])
    assert not torch.equal(before[12], after[12])


def test_gradient_stays_within_a_patient(tiny, make_batch):
    batch = make_batch(SEGMENTS)
    x = tiny.embed(batch.tokens).detach().requires_grad_()
    attend = SegmentAttention(SEGMENTS, torch.device("cpu"))
    tiny.blocks(x, batch.positions, [attend] * 2)[14:15].sum().backward()
    assert x.grad is not None
    assert x.grad[14].abs().max() > 0
    assert x.grad[:14].abs().max() == 0
    assert x.grad[15:].abs().max() == 0


def test_padding_never_changes_the_loss_or_its_gradient(tiny, make_batch):
    batch = make_batch((9, 4))

    def padded(token):
        return PackedBatch(
            torch.cat([batch.tokens, torch.full((6,), token)]),
            torch.cat([batch.targets, torch.full((6,), IGNORED)]),
            torch.cat([batch.positions, torch.zeros(6)]),
            (9, 4, 6),
        )

    def loss_and_gradient(of):
        tiny.zero_grad()
        loss = tiny.loss(of)
        loss.backward()
        return loss, [p.grad.clone() for p in tiny.parameters()]

    loss, gradient = loss_and_gradient(batch)
    first, first_gradient = loss_and_gradient(padded(0))
    other, other_gradient = loss_and_gradient(padded(5))
    assert torch.equal(first, other)
    torch.testing.assert_close(first, loss, atol=1e-6, rtol=0)
    for one, two, bare in zip(first_gradient, other_gradient, gradient, strict=True):
        torch.testing.assert_close(one, two, atol=1e-8, rtol=1e-6)
        torch.testing.assert_close(one, bare, atol=1e-6, rtol=1e-5)
    assert (tiny.nats(padded(0))[-6:] == 0).all()


def test_order_of_segments_does_not_matter(tiny, make_batch):
    batch = make_batch((5, 8, 5))
    parts = [torch.split(t, batch.segments) for t in (batch.tokens, batch.targets, batch.positions)]
    order = (1, 0, 2)
    moved = PackedBatch(*(torch.cat([p[i] for i in order]) for p in parts), (8, 5, 5))
    assert tiny.loss(moved).item() == pytest.approx(tiny.loss(batch).item(), abs=1e-6)


def test_only_distances_between_positions_matter(tiny, make_batch):
    batch = make_batch((16,))
    shifted = replace(batch, positions=batch.positions + 100)
    torch.testing.assert_close(tiny.hidden(batch), tiny.hidden(shifted), atol=1e-4, rtol=0)
    stretched = replace(batch, positions=batch.positions * 2)
    assert (tiny.hidden(batch) - tiny.hidden(stretched)).abs().max() > 1e-3


def test_rotation_keeps_lengths():
    vectors = torch.randn(6, 2, 8, generator=torch.Generator().manual_seed(0))
    turned = rotate(vectors, *rotation(torch.linspace(0, 1e5, 6), 8, 10_000.0))
    torch.testing.assert_close(turned.norm(dim=-1), vectors.norm(dim=-1))
    assert torch.equal(turned[0], vectors[0])


def test_a_batch_whose_parts_differ_is_refused(make_batch):
    batch = make_batch((3, 4))
    with pytest.raises(ValueError, match="differ in length"):
        replace(batch, segments=(3, 5))


def test_bfloat16_autocast_stays_near_float32(tiny, make_batch):
    batch = make_batch((40, 24))
    exact = tiny.loss(batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = tiny.loss(batch)
    rough.backward()
    assert rough.dtype == torch.float32
    assert rough.item() == pytest.approx(exact.item(), rel=0.02)
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in tiny.parameters())


def test_weights_are_float32_with_stable_names_and_no_buffers(tiny):
    names = list(tiny.state_dict())
    block = [
        "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
        "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj", "input_layernorm", "post_attention_layernorm",
    ]  # fmt: skip
    layers = [f"model.layers.{layer}.{part}.weight" for layer in range(2) for part in block]
    assert names == ["model.embed_tokens.weight", *layers, "model.norm.weight", "lm_head.weight"]
    assert {value.dtype for value in tiny.state_dict().values()} == {torch.float32}
    assert not list(tiny.buffers())


@pytest.mark.slow
def test_compiled_blocks_agree_and_a_copy_runs_its_own_weights(tiny, make_batch):
    batch = make_batch((20, 12))
    expected = tiny.loss(batch)
    tiny.compile_blocks()
    torch._dynamo.utils.counters.clear()
    loss = tiny.loss(batch)
    loss.backward()
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=0)
    # One graph for each half, whatever the depth and whatever the segments.
    tiny.loss(make_batch((10, 10, 12)))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2
    other = copy.deepcopy(tiny)
    with torch.no_grad():
        for weight in other.parameters():
            weight.mul_(0.5)
    assert not torch.allclose(other.loss(batch), expected, atol=1e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: variable-length flash attention")
def test_flash_attention_on_a_gpu_agrees_with_the_split_path(tiny, make_batch):
    batch = make_batch((40, 24, 24, 7))
    exact = tiny.loss(batch)
    tiny.cuda()
    with torch.autocast("cuda", dtype=torch.bfloat16):
        loss = tiny.loss(batch.to("cuda"))
    loss.backward()
    assert loss.item() == pytest.approx(exact.item(), rel=0.02)


@pytest.mark.parametrize("segments", [(40, 24, 24, 7), (9, 8, 7, 6, 5), (3, 11, 3), (5,)])
@pytest.mark.parametrize("half", [False, True])
def test_segments_filled_up_to_one_length_attend_as_alone(segments, half, monkeypatch):
    dtype = torch.bfloat16 if half else torch.float64
    shape = (3, sum(segments), 2, 16)
    q, k, v = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()
    slope = torch.randn(sum(segments), 32, generator=torch.Generator().manual_seed(1)).to(dtype)

    def attended(ratio):
        monkeypatch.setattr(attention, "alike", lambda device: ratio)
        out = SegmentAttention(segments, torch.device("cpu"))(q, k, v)
        return [out, *torch.autograd.grad(out, (q, k, v), slope)]

    for found, wanted in zip(attended(0.1), attended(1.0), strict=True):
        torch.testing.assert_close(found, wanted, **({} if half else {"rtol": 1e-12, "atol": 1e-12}))


def test_flops_are_those_of_what_is_not_padding(tiny, make_batch):
    batch = make_batch((9, 4))
    padded = PackedBatch(
        torch.cat([batch.tokens, torch.zeros(14, dtype=torch.int64)]),
        torch.cat([batch.targets, torch.full((14,), IGNORED)]),
        torch.cat([batch.positions, torch.zeros(14)]),
        (9, 4, 9, 5),
    )
    assert tiny.training_flops(padded) == tiny.training_flops(batch) > 0
