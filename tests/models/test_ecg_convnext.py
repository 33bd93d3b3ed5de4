import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models.ecg.convnext import RUNGS, ConvNext, build_convnext, crop_hash, drop_rate_of, uniform
from models.ecg.scaling import initialise


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def dropping(monkeypatch) -> ConvNext:
    """A small network that drops half of its last block, with layer scales that matter."""
    monkeypatch.setattr("models.ecg.convnext.drop_rate_of", lambda width: 0.5)
    model = ConvNext(8).train()
    initialise(model, model, 0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("scale"):
                parameter.fill_(1.0)
    return model


def plain_convnext(weights: dict[str, Tensor], depths: tuple[int, ...], signals: Tensor) -> list[Tensor]:
    """The network written out over (B, C, L), nothing dropped."""

    def norm(name: str, x: Tensor) -> Tensor:
        gain, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        return functional.layer_norm(x.transpose(1, 2), gain.shape, gain, bias).transpose(1, 2)

    def convolve(name: str, x: Tensor, **settings: int) -> Tensor:
        kernel = weights[f"{name}.weight"]
        kernel = kernel[:, :, None] if kernel.dim() == 2 else kernel.squeeze(2)
        return functional.conv1d(x, kernel, weights[f"{name}.bias"], **settings)

    x = convolve("stem", signals.transpose(1, 2), stride=4)
    outputs: list[Tensor] = []
    for stage, depth in enumerate(depths):
        if stage:
            name = f"downsamplings.{stage - 1}"
            x = convolve(f"{name}.1", norm(f"{name}.0", x), stride=2)
        outputs = []
        for index in range(depth):
            name = f"stages.{stage}.{index}"
            y = norm(f"{name}.branch.1", convolve(f"{name}.branch.0", x, padding=3, groups=x.shape[1]))
            y = convolve(f"{name}.branch.4", functional.gelu(convolve(f"{name}.branch.2", y)))
            x = x + y * weights[f"{name}.scale"][:, None]
            outputs.append(x.transpose(1, 2))
    return [*outputs[:-1], norm("norm", x).transpose(1, 2)]


def test_it_is_the_plain_network_of_one_dimension(dropping):
    model = dropping.eval()
    signals = noise(3, 96, 12)
    weights = {name: value.double() for name, value in model.state_dict().items()}
    found, wanted = model.layers(signals), plain_convnext(weights, (1, 1, 2), signals.double())
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours.double(), theirs, atol=2e-4, rtol=2e-4)


def test_layer_scales_start_small():
    scales = [value for name, value in build_convnext("20k").named_parameters() if name.endswith("scale")]
    assert len(scales) == 4
    assert all(torch.equal(scale, torch.full_like(scale, 1e-6)) for scale in scales)


def test_only_wide_networks_are_dropped():
    rates = [drop_rate_of(width) for width in RUNGS.values()]
    assert rates == sorted(rates)
    assert rates[: list(RUNGS).index("5m")] == [0] * list(RUNGS).index("5m")
    assert 0.4 < rates[-1] < 0.5


def test_a_dropped_branch_leaves_the_crop_and_a_kept_one_weighs_more(dropping):
    signals = noise(64, 16, 12)
    keep = dropping.keep(signals)
    rates = torch.tensor([1 / 8, 2 / 8, 3 / 8, 4 / 8])
    for row, rate in zip(keep[:, :, 0, 0], rates, strict=True):
        assert set(row.tolist()) <= {0.0, (1 / (1 - rate)).item()}
    earlier, last = dropping.layers(signals)
    block = dropping.stages[-1][-1]
    plain = earlier + block.branch(earlier) * block.scale * keep[-1]
    torch.testing.assert_close(last, dropping.norm(plain))
    dropped = keep[-1, :, 0, 0] == 0
    assert 0 < dropped.sum() < 64
    torch.testing.assert_close(last[dropped], dropping.norm(earlier[dropped]))


def test_rates_are_what_they_say(dropping):
    kept = dropping.keep(noise(20_000, 8, 12))[:, :, 0, 0] > 0
    wanted = 1 - torch.tensor([1 / 8, 2 / 8, 3 / 8, 4 / 8])
    torch.testing.assert_close(kept.float().mean(1), wanted, atol=0.015, rtol=0)
    assert (torch.corrcoef(kept.float()) - torch.eye(4)).abs().max() < 0.03


def test_drops_follow_from_the_crop_alone(dropping):
    signals = noise(50, 64, 12)
    keep = dropping.keep(signals)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(1))
    assert torch.equal(dropping.keep(signals[order]), keep[:, order])
    assert torch.equal(dropping.keep(signals.transpose(1, 2).contiguous().transpose(1, 2)), keep)
    assert torch.equal(dropping.keep(signals), keep)
    nudged = dropping.keep(signals + 1e-3)
    assert not torch.equal(nudged, keep)


def test_nothing_is_dropped_in_evaluation(dropping):
    signals = noise(8, 16, 12)
    training = dropping(signals)
    factors = dropping.eval().keep(signals)
    assert factors.shape == (4, 1, 1, 1)
    assert torch.equal(factors, torch.ones_like(factors))
    assert not torch.equal(dropping(signals), training)


def test_a_crop_hash_is_the_exact_sum_of_bits():
    signals = noise(4, 32, 12)
    wanted = [sum(row.numpy().view("int32").ravel().tolist()) for row in signals]
    assert crop_hash(signals).tolist() == wanted


@pytest.mark.parametrize("start", [0, -5_000, 1 << 40])
def test_hashed_integers_are_evenly_spread(start):
    """Chi-squared over 100 bins, in a row and in pairs of neighbours."""
    values = uniform(torch.arange(start, start + 100_000))
    assert values.min() >= 0
    assert values.max() < 1
    bins = torch.bincount((values * 100).long(), minlength=100)
    assert ((bins - 1000.0) ** 2 / 1000).sum() < 149  # 0.999 quantile of 99 degrees of freedom
    pairs = (values[:-1] * 10).long() * 10 + (values[1:] * 10).long()
    assert ((torch.bincount(pairs, minlength=100) - 1000.0) ** 2 / 1000).sum() < 160
