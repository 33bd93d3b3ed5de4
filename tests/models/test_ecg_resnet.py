from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models.ecg.convolution import groups_of
from models.ecg.resnet import HalfRate, ResNet, build_resnet, depths_of, halve_by_maximum
from models.ecg.scaling import initialise


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def plain_resnet(weights: dict[str, Tensor], depths: tuple[int, ...], signals: Tensor) -> list[Tensor]:
    """The network written out over (B, C, L) with functions of one dimension."""

    def norm(name: str, x: Tensor) -> Tensor:
        return functional.group_norm(
            x, groups_of(x.shape[1]), weights[f"{name}.weight"], weights[f"{name}.bias"]
        )

    def convolve(name: str, x: Tensor, stride: int = 1) -> Tensor:
        kernel, bias = weights[f"{name}.weight"].squeeze(2), weights.get(f"{name}.bias")
        return functional.conv1d(x, kernel, bias, stride=stride, padding=kernel.shape[-1] // 2)

    x = convolve("stem.0.0", signals.transpose(1, 2), 2).relu()
    for index in (1, 2):
        x = norm(f"stem.{index}.1", convolve(f"stem.{index}.0", x)).relu()
    x = functional.max_pool1d(x, 3, 2, 1)
    outputs: list[Tensor] = []
    for stage, depth in enumerate(depths):
        outputs = []
        for index in range(depth):
            name, halved = f"stages.{stage}.{index}", stage > 0 and index == 0
            branch = norm(f"{name}.branch.0.1", convolve(f"{name}.branch.0.0", x, 2 if halved else 1)).relu()
            branch = norm(f"{name}.branch.2", convolve(f"{name}.branch.1", branch))
            if halved:
                x = convolve(f"{name}.shortcut.1", functional.avg_pool1d(x, 2))
                x = norm(f"{name}.shortcut.2", x)
            x = (x + branch).relu()
            outputs.append(x.transpose(1, 2))
    gain, bias = weights["norm.weight"], weights["norm.bias"]
    return [*outputs[:-1], functional.layer_norm(outputs[-1], gain.shape, gain, bias)]


@pytest.mark.parametrize("width", [8, 40])
def test_it_is_the_plain_network_of_one_dimension(width, monkeypatch):
    monkeypatch.setattr("models.ecg.resnet.depths_of", lambda width: (2, 1, 3))
    model = ResNet(width)
    initialise(model, model, 0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1:
                parameter.add_(noise(*parameter.shape) * 0.3 if "bias" in name else 0.5)
    signals = noise(3, 96, 12)
    weights = {name: value.double() for name, value in model.state_dict().items()}
    wanted = plain_resnet(weights, (2, 1, 3), signals.double())
    found = model.layers(signals)
    assert len(found) == len(wanted) == 3
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours.double(), theirs, atol=2e-4, rtol=2e-4)


def test_depth_grows_in_steps_of_144_channels():
    assert [depths_of(width) for width in (8, 143, 144, 288, 424)] == [
        (1, 1, 2),
        (1, 1, 2),
        (2, 2, 4),
        (3, 3, 6),
        (3, 3, 6),
    ]
    assert len(build_resnet("20k").layers(torch.zeros(1, 16, 12))) == 2


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (halve_by_maximum, lambda x: functional.max_pool1d(x, 3, 2, 1)),
        (HalfRate(), lambda x: functional.avg_pool1d(x, 2)),
    ],
)
def test_pooling_is_that_of_one_dimension(
    ours: Callable[[Tensor], Tensor], theirs: Callable[[Tensor], Tensor]
):
    x = noise(2, 32, 8)
    torch.testing.assert_close(ours(x), theirs(x.transpose(1, 2)).transpose(1, 2))


def test_the_last_gain_of_each_branch_starts_at_zero():
    model = build_resnet("20k")
    zeros = [name for name, value in model.named_parameters() if name.endswith("weight") and not value.any()]
    assert len(zeros) == 4
    assert all(name.endswith("branch.2.weight") for name in zeros)
