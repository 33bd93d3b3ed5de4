import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from models.ecg.convolution import Convolution, groups_of
from models.ecg.regnet import RUNGS, RegNet, build_regnet, design_of, stages_of
from models.ecg.scaling import initialise
from wardlaw.config.model import ModelSection, RegnetSection

STUDY = st.builds(
    RegnetSection,
    depth=st.integers(4, 20),
    w_0=st.sampled_from(range(32, 129, 8)),
    w_a=st.floats(10, 50),
    w_m=st.sampled_from([tenth / 10 for tenth in range(11, 31)]),
    group_width=st.sampled_from([1, 2, 4, 8, 16, 32]),
    bottleneck=st.sampled_from([0.5, 1.0, 2.0, 4.0]),
    squeeze=st.sampled_from([0.0, 0.25]),
    kernel=st.sampled_from([3, 9, 15]),
)
"""Designs of the scaling study."""


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def custom(**values: float) -> RegNet:
    section = ModelSection(family="regnet", size="custom", regnet=RegnetSection(**values))
    return build_regnet(section)


@pytest.mark.parametrize(
    ("design", "widths", "depths"),
    [
        # RegNetX-200MF: its widths need no further change for its groups of eight.
        ({"w_0": 24, "w_a": 36.44, "w_m": 2.49, "depth": 13}, (24, 56, 152, 368), (1, 1, 4, 7)),
        # The published depths of X-400MF, X-600MF and Y-1.6GF.
        ({"w_0": 24, "w_a": 24.48, "w_m": 2.54, "depth": 22}, None, (1, 2, 7, 12)),
        ({"w_0": 48, "w_a": 36.97, "w_m": 2.24, "depth": 16}, None, (1, 3, 5, 7)),
        ({"w_0": 48, "w_a": 20.71, "w_m": 2.65, "depth": 27}, None, (2, 6, 17, 2)),
    ],
)
def test_stages_are_the_published_ones(design, widths, depths):
    """Radosavovic et al., arXiv 2003.13678, figures 17 and 18."""
    stages = stages_of(RegnetSection(**design))
    assert tuple(stage.depth for stage in stages) == depths
    assert widths is None or tuple(stage.width for stage in stages) == widths


def test_the_study_s_best_design_has_five_stages():
    design = RegnetSection(depth=18, w_0=64, w_a=40, w_m=2.0, group_width=4, bottleneck=2.0, kernel=3)
    assert [stage.width for stage in stages_of(design)] == [64, 128, 256, 512, 1024]
    with torch.device("meta"):
        model = RegNet(design)
    assert model.stride == 64
    final_norm, head = 2 * 1024, 26 * 1024 + 26
    parameters = sum(p.numel() for p in model.parameters()) - final_norm + head
    assert f"{parameters / 1e6:.2f} M" == "14.68 M"


@settings(max_examples=8, deadline=None)
@given(STUDY)
def test_every_design_of_the_study_is_a_network(design):
    stages = stages_of(design)
    assert 1 <= len(stages) <= 7
    assert sum(stage.depth for stage in stages) == design.depth
    assert all(stage.width % 8 == 0 for stage in stages)
    with torch.device("meta"):
        model = RegNet(design)
    assert model.stride == 2 ** (len(stages) + 1)
    assert model.patch == max(16, model.stride)
    with FlopCounterMode(display=False) as counter:
        layers = model.layers(torch.empty(1, 512, 12, device="meta"))
    assert model.forward_flops(512) == counter.get_total_flops()
    assert len(layers) == stages[-1].depth + 1 >= 2
    assert {tuple(layer.shape) for layer in layers} == {(1, 512 // model.stride, stages[-1].width)}


def test_widths_beyond_seven_stages_join_the_seventh():
    design = RegnetSection(depth=40, w_0=32, w_a=19, w_m=1.5)
    stages = stages_of(design)
    # The eighth width would be 32 x 1.5^7.
    assert [stage.width for stage in stages] == [32, 48, 72, 112, 160, 240, 368]
    assert sum(stage.depth for stage in stages) == 40
    assert stages[-1].depth == sum(1 + 19 * block / 32 > 1.5**5.5 for block in range(40))


def test_rungs_double_their_widths_in_three_stages():
    for width in RUNGS.values():
        design = design_of(width)
        assert [stage.width for stage in stages_of(design)] == [width, 2 * width, 4 * width]
        assert design.depth == 4 + width // 80
        assert stages_of(design)[-1].depth >= 2


@pytest.mark.parametrize(
    ("group_width", "bottleneck", "group", "inner"),
    [(8, 1.0, 8, 24), (16, 1.0, 16, 32), (32, 0.5, 12, 12), (5, 1.0, 5, 25), (1, 2.0, 1, 48)],
)
def test_inner_widths_fit_the_groups(group_width, bottleneck, group, inner):
    model = custom(depth=4, w_0=24, w_a=0.1, w_m=2.0, group_width=group_width, bottleneck=bottleneck)
    grouped = [m for m in model.modules() if isinstance(m, Convolution) and m.kernel_size == (1, 3)][1:]
    assert {(m.in_channels, m.in_channels // m.groups) for m in grouped} == {(inner, group)}


def plain_regnet(weights: dict[str, Tensor], design: RegnetSection, signals: Tensor) -> Tensor:
    """The network written out over (B, C, L); groups and shortcuts are read off the weights."""

    def convolve(name: str, x: Tensor, stride: int = 1) -> Tensor:
        kernel = weights[f"{name}.0.weight"].squeeze(2)
        padding, groups = kernel.shape[-1] // 2, x.shape[1] // kernel.shape[1]
        x = functional.conv1d(x, kernel, stride=stride, padding=padding, groups=groups)
        gain, bias = weights[f"{name}.1.weight"], weights[f"{name}.1.bias"]
        return functional.group_norm(x, groups_of(x.shape[1]), gain, bias)

    kernel, bias = weights["stem.0.weight"].squeeze(2), weights["stem.0.bias"]
    x = functional.conv1d(signals.transpose(1, 2), kernel, bias, 2, kernel.shape[-1] // 2).relu()
    for number, stage in enumerate(stages_of(design)):
        for index in range(stage.depth):
            name, stride = f"stages.{number}.{index}", 2 if index == 0 else 1
            y = convolve(f"{name}.enter", x).relu()
            y = convolve(f"{name}.mix", y, stride).relu()
            first, second = f"{name}.excite.gates.0", f"{name}.excite.gates.2"
            if f"{first}.weight" in weights:
                hidden = y.mean(2) @ weights[f"{first}.weight"].T + weights[f"{first}.bias"]
                gates = hidden.relu() @ weights[f"{second}.weight"].T + weights[f"{second}.bias"]
                y = y * gates.sigmoid()[:, :, None]
            y = convolve(f"{name}.leave", y)
            x = (y + (convolve(f"{name}.shortcut", x, 2) if index == 0 else x)).relu()
    gain, bias = weights["norm.weight"], weights["norm.bias"]
    return functional.layer_norm(x.transpose(1, 2), gain.shape, gain, bias)


@pytest.mark.parametrize("squeeze", [0.0, 0.25])
@pytest.mark.parametrize("bottleneck", [0.5, 2.0])
def test_it_is_the_plain_network_of_one_dimension(squeeze, bottleneck):
    design = RegnetSection(
        depth=5, w_0=16, w_a=12, w_m=2.0, group_width=4, bottleneck=bottleneck, squeeze=squeeze, kernel=9
    )
    model = RegNet(design)
    initialise(model, model, 0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(noise(*parameter.shape) * 0.2 + 0.3)
    signals = noise(2, 96, 12)
    weights = {name: value.double() for name, value in model.state_dict().items()}
    wanted = plain_regnet(weights, design, signals.double())
    torch.testing.assert_close(model(signals).double(), wanted, atol=2e-4, rtol=2e-4)


def test_an_even_kernel_is_refused():
    with pytest.raises(ValidationError, match="take an odd one"):
        custom(kernel=4)
