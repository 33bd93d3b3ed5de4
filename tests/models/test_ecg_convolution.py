"""What the convolutional families promise alike."""

import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from models.ecg import convnext, regnet, resnet
from models.ecg.backbone import Backbone
from models.ecg.convolution import Convolution, GroupNorm, groups_of
from models.ecg.scaling import initialise
from wardlaw.config.model import ModelSection
from wardlaw.errors import ConfigError

BUILDERS: dict[str, Callable[[str], Backbone]] = {
    "resnet": resnet.build_resnet,
    "convnext": convnext.build_convnext,
    "regnet": lambda size: regnet.build_regnet(ModelSection(family="regnet", size=size)),
}
RUNGS = {"resnet": resnet.RUNGS, "convnext": convnext.RUNGS, "regnet": regnet.RUNGS}
LADDERS = [(family, size) for family, rungs in RUNGS.items() for size in rungs]


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def on_meta(family: str, size: str) -> Backbone:
    with torch.device("meta"):
        return BUILDERS[family](size)


def drawn(family: str, size: str = "80k") -> Backbone:
    """A backbone with drawn weights, whose zero gains and small scales are made to matter."""
    backbone = BUILDERS[family](size)
    initialise(backbone, backbone, 0)
    stream = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in backbone.parameters():
            if parameter.dim() == 1:
                parameter.copy_(torch.rand(parameter.shape, generator=stream) + 0.5)
    return backbone


def crops(rows: int = 3, samples: int = 128) -> Tensor:
    return noise(rows, samples, 12, seed=2)


@pytest.fixture(params=BUILDERS)
def family(request):
    return request.param


@pytest.mark.parametrize(("family", "size"), LADDERS)
def test_names_round_the_parameters(family, size):
    named = float(size[:-1]) * {"k": 1e3, "m": 1e6}[size[-1]]
    assert sum(p.numel() for p in on_meta(family, size).parameters()) == pytest.approx(named, rel=0.15)


@pytest.mark.parametrize(("family", "size"), LADDERS)
@pytest.mark.parametrize("samples", [512, 1040])
def test_flops_are_those_that_pytorch_counts(family, size, samples):
    backbone = on_meta(family, size)
    with FlopCounterMode(display=False) as counter:
        backbone(torch.empty(1, samples, 12, device="meta"))
    assert backbone.forward_flops(samples) == counter.get_total_flops()


def test_ladders_rise_with_width_and_parameters(family):
    sizes = [sum(p.numel() for p in on_meta(family, size).parameters()) for size in RUNGS[family]]
    assert sizes == sorted(sizes)
    assert sizes[0] < 30_000
    assert sizes[-1] > 170e6
    widths = list(RUNGS[family].values())
    assert widths == sorted(set(widths))
    assert on_meta(family, "330k").width_ratio == 1.0
    base, wide = on_meta(family, "330k"), on_meta(family, "5m")
    assert wide.width_ratio == wide.width / base.width


def test_the_largest_rung_is_outlined_at_once(family):
    started = time.perf_counter()
    on_meta(family, "200m")
    assert time.perf_counter() - started < 1


def test_an_unknown_rung_is_one_clear_error(family):
    with pytest.raises(ConfigError, match=r"model\.size = '7b'.*" + family + r".*Choose one of \d+k, 80k"):
        BUILDERS[family]("7b")


@pytest.mark.parametrize("samples", [16, 512])
def test_layers_have_the_stride_and_width(family, samples):
    backbone = drawn(family)
    assert backbone.stride == backbone.patch == 16
    layers = backbone.layers(crops(2, samples))
    assert len(layers) >= 2
    assert {tuple(layer.shape) for layer in layers} == {(2, samples // 16, backbone.width)}
    assert all(layer.is_contiguous() for layer in layers)
    assert torch.equal(layers[-1], backbone(crops(2, samples)))
    gain, bias = backbone.norm.weight, backbone.norm.bias
    plain = (layers[-1] - bias) / gain
    torch.testing.assert_close(plain.mean(-1), torch.zeros(2, samples // 16), atol=1e-4, rtol=0)
    torch.testing.assert_close(plain.var(-1, correction=0), torch.ones(2, samples // 16), atol=1e-2, rtol=0)


def test_crops_do_not_see_each_other(family):
    backbone = drawn(family)
    signals = crops()
    other = signals.clone()
    other[1] = 5 * noise(128, 12, seed=3)
    before, after = backbone(signals), backbone(other)
    assert torch.equal(before[[0, 2]], after[[0, 2]])
    assert not torch.allclose(before[1], after[1])
    torch.testing.assert_close(backbone(signals[2:]), before[2:])
    other.requires_grad_()
    backbone(other)[0].sum().backward()
    assert other.grad[0].abs().sum() > 0
    assert other.grad[1:].abs().sum() == 0


def test_all_parameters_get_a_gradient(family):
    backbone = drawn(family).train()
    (backbone(crops()) * noise(3, 8, backbone.width)).sum().backward()
    for name, parameter in backbone.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_blocks_start_as_shortcuts(family):
    """Zero gains and small layer scales: what the first convolution of a branch holds does not matter."""
    backbone = BUILDERS[family]("20k" if family != "regnet" else "25k")
    initialise(backbone, backbone, 0)
    before = backbone(crops())
    with torch.no_grad():
        for name, parameter in backbone.named_parameters():
            if any(part in name for part in ("branch", "enter", "mix")) and parameter.dim() > 1:
                parameter.add_(noise(*parameter.shape, seed=4))
    torch.testing.assert_close(backbone(crops()), before, atol=1e-3, rtol=0)


def test_two_passes_are_equal_bit_for_bit(family):
    """Forward and backward, in training: no random number is drawn."""
    passes = []
    for _ in range(2):
        backbone = drawn(family).train()
        backbone(crops()).square().sum().backward()
        passes.append([p.grad for p in backbone.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*passes, strict=True))


def test_the_state_dict_is_plain_float32(family):
    backbone = drawn(family).train()
    with torch.autocast("cpu", torch.bfloat16):
        loss = backbone(crops()).float().square().mean()
    loss.backward()
    torch.optim.AdamW(backbone.parameters()).step()
    for name, value in backbone.state_dict().items():
        assert value.dtype == torch.float32, name
        assert value.is_contiguous(), name
        assert value.numpy().base is not None, name


def test_bfloat16_is_near_float32(family):
    backbone = drawn(family)
    exact = backbone(crops())
    with torch.autocast("cpu", torch.bfloat16):
        near = backbone(crops()).float()
    assert (near - exact).square().mean().sqrt() < 0.05 * exact.square().mean().sqrt()


@pytest.mark.parametrize(
    ("kernel", "stride", "groups"), [(5, 1, 1), (5, 2, 1), (3, 2, 4), (1, 1, 1), (1, 2, 1), (4, 4, 1)]
)
def test_a_convolution_is_a_conv1d_on_the_turned_signal(kernel, stride, groups):
    layer = Convolution(8, 12, kernel, stride, groups, bias=True)
    x = noise(2, 32, 8)
    wanted = functional.conv1d(
        x.double().transpose(1, 2),
        layer.weight.double().squeeze(2),
        layer.bias.double(),
        stride,
        padding=0 if kernel == stride else kernel // 2,
        groups=groups,
    )
    torch.testing.assert_close(layer(x).double(), wanted.transpose(1, 2), atol=1e-5, rtol=1e-5)
    assert layer(x).shape == (2, 32 // stride, 12)


def test_layers_take_their_input_without_a_copy():
    x = noise(2, 32, 8)
    seen = {}
    layer = Convolution(8, 8, 3)
    layer._conv_forward = lambda image, weight, bias: seen.setdefault("image", image)
    layer(x)
    assert seen["image"].data_ptr() == x.data_ptr()
    assert seen["image"].is_contiguous(memory_format=torch.channels_last)


def test_group_norm_is_that_of_each_group_of_channels():
    norm, x = GroupNorm(48, gain=2.0), noise(2, 20, 48)
    groups = x.double().unflatten(2, (3, 16))
    mean = groups.mean((1, 3), keepdim=True)
    variance = groups.var((1, 3), correction=0, keepdim=True)
    wanted = (2 * (groups - mean) / (variance + norm.eps).sqrt()).flatten(2)
    torch.testing.assert_close(norm(x).double(), wanted, atol=1e-5, rtol=1e-5)


def test_groups_have_sixteen_channels_or_more():
    for width in range(1, 200):
        fitting = [groups for groups in range(1, width) if width % groups == 0 and width // groups >= 16]
        assert groups_of(width) == max(fitting, default=1)


@torch.no_grad()
@pytest.mark.parametrize("family", BUILDERS)
def test_a_crop_and_its_double_have_different_features(family):
    """With group norm behind the first layer they differed by 1e-6 of their spread, whatever was learnt."""
    backbone = BUILDERS[family](next(iter(RUNGS[family])))
    initialise(backbone, backbone, 0)
    for name, parameter in backbone.named_parameters():
        if name.startswith("stem") and name.endswith("bias"):
            parameter.copy_(noise(*parameter.shape))
    signals = noise(2, 256, 12)
    once, twice = backbone(signals), backbone(2 * signals)
    assert (once - twice).std() > 0.01 * once.std()
