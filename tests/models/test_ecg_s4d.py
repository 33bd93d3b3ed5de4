"""The state-space backbone against a recurrence and a Vandermonde matrix in float64."""

import copy

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from models.ecg.s4d import DIRECTIONS, MODES, RUNGS, S4D, STRIDE, StateSpace, build_s4d, depth_of
from models.ecg.s4d_convolution import convolution_flops, convolve
from models.ecg.s4d_kernel import kernels
from wardlaw.errors import ConfigError

LENGTHS = (1, 2, 7, 100, 128, 313)


def drawn(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """The module with readouts, biases and matrices that are not zero."""
    stream = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            last = name.rpartition(".")[2]
            if last in ("c_real", "c_imag", "weight") and parameter.dim() > 1:
                std = S4D.DRAWN.get(last, parameter[0].numel() ** -0.5)
                parameter.copy_(torch.randn(parameter.shape, generator=stream) * std)
    return module


def recurrence(layer: StateSpace, u: torch.Tensor) -> torch.Tensor:
    """The two systems run step by step in complex128: x[k] = A x[k-1] + B u[k], y = 2 Re(C x) + D u."""
    a = torch.complex(-layer.log_a_real.double().exp(), layer.a_imag.double())
    p = (layer.log_dt.double().exp()[:, None] * a).exp()
    b = (p - 1) / a
    c = torch.complex(layer.c_real.double(), layer.c_imag.double())
    past, future = u.double(), u.double().flip(-1)
    y = layer.d.double()[:, None, None] * past
    for direction, inputs in enumerate((past, future)):
        x = torch.zeros(*u.shape[:2], MODES, dtype=torch.complex128)
        outputs = []
        for k in range(u.shape[-1]):
            before = x
            x = p[:, None] * x + b[:, None] * inputs[..., k, None]
            # The future's system reads positions after this one only.
            outputs.append(2 * ((x, before)[direction] * c[direction][:, None]).sum(-1).real)
        found = torch.stack(outputs, -1)
        y = y + (found if direction == 0 else found.flip(-1))
    return y


def vandermonde(log_dt, log_a_real, a_imag, c_real, c_imag, length):
    """Kernels by the book, with a power for every mode and lag."""
    a = torch.complex(-log_a_real.exp(), a_imag)
    poles = log_dt.exp()[:, None] * a
    powers = (poles[..., None] * torch.arange(length)).exp()
    read = torch.complex(c_real, c_imag) * (poles.exp() - 1) / a
    return 2 * torch.einsum("dhn,hnl->dhl", read, powers).real


@pytest.mark.parametrize("length", [2, 33, 128])
def test_the_layer_is_the_recurrence(length):
    layer = drawn(StateSpace(6))
    u = torch.randn(6, 3, length, generator=torch.Generator().manual_seed(1))
    wanted = recurrence(layer, u)
    assert (layer(u) - wanted).abs().max() < 1e-5 * wanted.abs().max()


def system(length: int, dtype: torch.dtype, width: int = 9) -> list[torch.Tensor]:
    layer = drawn(StateSpace(width)).to(dtype)
    return [layer.log_dt, layer.log_a_real, layer.a_imag, layer.c_real, layer.c_imag]


@pytest.mark.parametrize("length", LENGTHS)
def test_kernels_are_those_of_the_vandermonde_matrix(length):
    wanted = vandermonde(*system(length, torch.float64), length)
    found = kernels(*system(length, torch.float32), length)
    assert found.shape == (DIRECTIONS, 9, length)
    # Channel by channel: the slowest has a hundredth of the fastest's size.
    error = (found - wanted).abs().amax((0, 2)) / wanted.abs().amax((0, 2))
    assert error.max() < 1e-5


@pytest.mark.parametrize("length", [7, 128])
def test_gradients_are_those_of_the_vandermonde_matrix(length):
    weights = torch.randn(DIRECTIONS, 9, length, generator=torch.Generator().manual_seed(2))
    wanted = torch.autograd.grad(
        (vandermonde(*(s := system(length, torch.float64)), length) * weights).sum(), s
    )
    found = torch.autograd.grad((kernels(*(s := system(length, torch.float32)), length) * weights).sum(), s)
    for a, b in zip(found, wanted, strict=True):
        assert (a - b).abs().max() < 2e-5 * b.abs().max()


def by_loops(signals, weights):
    length = signals.shape[-1]
    found = torch.zeros_like(signals)
    for i in range(length):
        for j in range(length):
            found[..., i] += signals[..., j] * weights[:, None, i - j]
    return found


@pytest.mark.parametrize("shape", [(5, 3, 8), (1, 1, 1), (3, 2, 21)])
def test_convolution_and_gradients_are_those_of_loops(shape, monkeypatch):
    monkeypatch.setattr("models.ecg.s4d_convolution.CACHED", 100)  # several groups of channels
    stream = torch.Generator().manual_seed(3)
    signals = torch.randn(shape, generator=stream, requires_grad=True)
    weights = torch.randn(shape[0], 2 * shape[2], generator=stream, requires_grad=True)
    slopes = torch.randn(shape, generator=stream)
    found, wanted = convolve(signals, weights), by_loops(signals.double(), weights.double())
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-5)
    ours = torch.autograd.grad((found * slopes).sum(), (signals, weights))
    theirs = torch.autograd.grad((wanted * slopes).sum(), (signals, weights))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-4)


def test_gradient_of_each_record_by_vmap():
    stream = torch.Generator().manual_seed(4)
    signals, weights = torch.randn(4, 3, 1, 8, generator=stream), torch.randn(3, 16, generator=stream)

    def loss(k, u):
        return convolve(u, k).square().sum()

    each = torch.func.vmap(torch.func.grad(loss), (None, 0))(weights, signals)
    for row, signal in zip(each, signals, strict=True):
        torch.testing.assert_close(row, torch.func.grad(loss)(weights, signal))


@pytest.fixture
def small() -> S4D:
    return drawn(build_s4d("20k"))


def signals(batch: int = 3, samples: int = 96) -> torch.Tensor:
    return torch.randn(batch, samples, 12, generator=torch.Generator().manual_seed(5))


def test_layers_have_the_shape_of_the_contract(small):
    outputs = small.layers(signals())
    assert len(outputs) == len(small.blocks) >= 2
    assert {tuple(o.shape) for o in outputs} == {(3, 96 // STRIDE, small.width)}
    torch.testing.assert_close(outputs[-1].square().mean(-1), torch.ones(3, 24), rtol=1e-3, atol=1e-3)


def test_every_position_sees_every_other(small):
    x = signals(1).requires_grad_()
    for place in (0, 11, 23):
        (slope,) = torch.autograd.grad(small(x)[0, place].sum(), x)
        assert (slope.abs().sum((0, 2)) > 0).all()


def test_gradients_reach_all_parameters(small):
    small(signals()).square().sum(-1).log().sum().backward()
    small.zero_grad()
    (small(signals()) * torch.linspace(-1, 1, small.width)).sum().backward()
    for name, parameter in small.named_parameters():
        assert parameter.grad.abs().max() > 0, name


def test_records_do_not_touch_each_other(small):
    x = signals()
    other = x.clone()
    other[1] *= 3
    assert torch.equal(small(x)[[0, 2]], small(other)[[0, 2]])
    assert not torch.equal(small(x)[1], small(other)[1])
    torch.testing.assert_close(small(x)[:1], small(x[:1]), rtol=1e-4, atol=1e-5)


def test_half_precision_is_near(small):
    half = copy.deepcopy(small)
    with torch.autocast("cpu", torch.bfloat16):
        found = half(signals())
    assert found.dtype == torch.float32
    (found * torch.linspace(-1, 1, small.width)).sum().backward()
    assert (found - small(signals())).abs().mean() < 0.02
    assert all(p.grad.isfinite().all() and p.grad.dtype == torch.float32 for p in half.parameters())


@pytest.mark.parametrize("size", ["20k", "330k"])
@pytest.mark.parametrize("samples", [64, 512])
def test_flops_are_those_that_pytorch_counts(size, samples):
    """The counter sees matrix products; transforms are added by their formula."""
    backbone = build_s4d(size)
    with FlopCounterMode(display=False) as counter:
        backbone(torch.zeros(1, samples, 12))
    transforms = len(backbone.blocks) * convolution_flops(backbone.width, samples // STRIDE)
    assert backbone.forward_flops(samples) == pytest.approx(counter.get_total_flops() + transforms, abs=0.5)


def test_transforms_count_by_hand():
    """Eight padded samples: three transforms of 5/2 x 8 x 3 and five complex products of 6."""
    assert convolution_flops(2, 4) == 2 * (3 * 60 + 5 * 6)


@pytest.mark.parametrize("size", RUNGS)
def test_names_of_rungs_are_their_parameters(size):
    with torch.device("meta"):
        backbone = build_s4d(size)
    named = float(size[:-1]) * {"k": 1e3, "m": 1e6}[size[-1]]
    width, depth = RUNGS[size], depth_of(RUNGS[size])
    count = sum(p.numel() for p in backbone.parameters())
    assert count == depth * (2 * width**2 + (6 * MODES + 4) * width) + (STRIDE * 12 + 2) * width
    assert count == pytest.approx(named, rel=0.15)
    assert all(p.dtype == torch.float32 for p in backbone.state_dict().values())


def test_constructors_draw_nothing():
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    build_s4d("20k")
    assert torch.equal(before, torch.random.get_rng_state())


def test_an_unknown_size_is_one_clear_error():
    with pytest.raises(ConfigError, match=r"model\.size = '7b'.*Choose one of 20k, 80k"):
        build_s4d("7b")
