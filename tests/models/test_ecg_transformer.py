"""The patch transformer against itself written out in float64, and its ladder."""

import math

import pytest
import torch
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from models.ecg.transformer import RUNGS, Transformer, attend, build_transformer
from models.ehr.ladder import Shape, shape_of
from wardlaw.errors import ConfigError


def drawn(backbone: Transformer) -> Transformer:
    """The backbone with matrices that are not zero and gains that are not one."""
    stream = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in backbone.parameters():
            if parameter.dim() > 1:
                values = torch.randn(parameter.shape, generator=stream)
                parameter.copy_(values * parameter.shape[1] ** -0.5)
            else:
                parameter.copy_(torch.linspace(0.5, 1.5, len(parameter)))
    return backbone


@pytest.fixture
def small() -> Transformer:
    return drawn(Transformer(Shape(width=24, depth=2, heads=2, hidden=40)))


def signals(batch: int = 3, samples: int = 96) -> torch.Tensor:
    return torch.randn(batch, samples, 12, generator=torch.Generator().manual_seed(5))


def by_the_book(model: Transformer, signal: torch.Tensor) -> torch.Tensor:
    """One record's features in float64, each query and head on its own."""
    weights = {name: value.double() for name, value in model.state_dict().items()}
    width, heads, dim = model.width, model.shape.heads, model.shape.head_dim

    def norm(x, name):
        centred = x - x.mean(-1, keepdim=True)
        return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weights[name]

    def turned(vector, place):
        pairs = torch.complex(vector[: dim // 2], vector[dim // 2 :])
        angles = torch.tensor([place * 10_000 ** (-2 * i / dim) for i in range(dim // 2)])
        pairs = pairs * torch.exp(1j * angles.double())
        return torch.cat((pairs.real, pairs.imag))

    patches = signal.double().split(16)
    x = torch.stack([weights["stem.weight"] @ patch.flatten() for patch in patches])
    for number in range(model.shape.depth):
        at = f"blocks.{number}"
        normed = norm(x, f"{at}.attention_norm.weight")
        q, k, v = (normed @ weights[f"{at}.attention.qkv.weight"].T).split(width, -1)
        attended = torch.zeros_like(x)
        for head in range(heads):
            own = slice(head * dim, (head + 1) * dim)
            keys = torch.stack([turned(row[own], place) for place, row in enumerate(k)])
            for place, row in enumerate(q):
                shares = torch.softmax(keys @ turned(row[own], place) / math.sqrt(dim), 0)
                attended[place, own] = shares @ v[:, own]
        x = x + attended @ weights[f"{at}.attention.out.weight"].T
        gate, up = (norm(x, f"{at}.mlp_norm.weight") @ weights[f"{at}.mlp.gate_and_up.weight"].T).chunk(2, -1)
        x = x + (gate * torch.sigmoid(gate) * up) @ weights[f"{at}.mlp.down.weight"].T
    return norm(x, "norm.weight")


def test_features_are_those_of_the_book(small):
    x = signals()
    for found, signal in zip(small(x), x, strict=True):
        torch.testing.assert_close(found.double(), by_the_book(small, signal), rtol=1e-4, atol=1e-5)


def test_layers_have_the_shape_of_the_contract(small):
    outputs = small.layers(signals())
    assert len(outputs) == small.shape.depth >= 2
    assert {tuple(o.shape) for o in outputs} == {(3, 96 // 16, small.width)}
    assert torch.equal(outputs[-1], small(signals()))


def test_attention_in_half_precision_is_that_of_pytorch():
    stream = torch.Generator().manual_seed(1)
    q, k, v = (torch.randn(2, 3, 32, 16, generator=stream).bfloat16() for _ in range(3))
    wanted = functional.scaled_dot_product_attention(q.double(), k.double(), v.double())
    with torch.autocast("cpu", torch.bfloat16):
        found = attend(q, k, v)
    assert found.dtype == torch.bfloat16
    assert (found - wanted).abs().max() < 0.02
    torch.testing.assert_close(attend(q.double(), k.double(), v.double()), wanted)


def test_every_patch_sees_every_other(small):
    x = signals(1).requires_grad_()
    for place in (0, 3, 5):
        (slope,) = torch.autograd.grad(small(x)[0, place, 0], x)
        assert (slope.abs().sum((0, 2)) > 0).all()


def test_gradients_reach_all_parameters(small):
    (small(signals()) * torch.linspace(-1, 1, small.width)).sum().backward()
    for name, parameter in small.named_parameters():
        assert parameter.grad.abs().max() > 0, name


def test_records_do_not_touch_each_other(small):
    x = signals()
    other = x.clone()
    other[1] *= 3
    assert torch.equal(small(x)[[0, 2]], small(other)[[0, 2]])
    assert not torch.equal(small(x)[1], small(other)[1])


def test_half_precision_is_near(small):
    with torch.autocast("cpu", torch.bfloat16):
        outputs = small.layers(signals())
    assert {o.dtype for o in outputs} == {torch.float32}
    assert 0 < (outputs[-1] - small(signals())).abs().mean() < 0.02
    (outputs[-1] * torch.linspace(-1, 1, small.width)).sum().backward()
    assert all(p.grad.isfinite().all() for p in small.parameters())


@pytest.mark.parametrize("size", ["20k", "330k"])
@pytest.mark.parametrize("samples", [64, 512])
def test_flops_are_those_that_pytorch_counts(size, samples):
    backbone = build_transformer(size)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        backbone(torch.zeros(1, samples, 12))
    assert backbone.forward_flops(samples) == counter.get_total_flops()


@pytest.mark.parametrize("size", RUNGS)
def test_names_of_rungs_are_their_parameters(size):
    with torch.device("meta"):
        backbone = build_transformer(size)
    named = float(size[:-1]) * {"k": 1e3, "m": 1e6}[size[-1]]
    shape = shape_of(RUNGS[size])
    count = sum(p.numel() for p in backbone.parameters())
    block = 4 * shape.width**2 + 3 * shape.width * shape.hidden + 2 * shape.width
    assert count == shape.depth * block + (16 * 12 + 1) * shape.width
    assert count == pytest.approx(named, rel=0.15)
    assert shape.head_dim * shape.heads == shape.width
    assert shape.head_dim % 2 == 0


def test_constructors_draw_nothing():
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    build_transformer("20k")
    assert torch.equal(before, torch.random.get_rng_state())


def test_an_unknown_size_is_one_clear_error():
    with pytest.raises(ConfigError, match=r"model\.size = '7b'.*Choose one of 20k, 80k"):
        build_transformer("7b")
