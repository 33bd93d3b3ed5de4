import math
from dataclasses import replace

import pytest
import torch

from models.ehr.decoder import Decoder
from models.ehr.ladder import Shape, rung, shape_of
from models.ehr.mup import BASE, initialise, parameter_groups
from models.registry import build_model
from wardlaw.config import RunConfig
from wardlaw.config.model import ModelSection
from wardlaw.config.run_section import RunSection


def made(shape, vocabulary=64, seed=0):
    model = Decoder(shape, vocabulary).to_empty(device="cpu")
    initialise(model, seed)
    return model


def test_groups_hold_every_parameter_once():
    model = build_model(RunConfig(model=ModelSection(size="600k")), 50)
    members = [p for group in parameter_groups(model) for p in group["params"]]
    assert len(members) == len(set(map(id, members)))
    assert set(map(id, members)) == set(map(id, model.parameters()))


def test_the_base_rung_trains_at_the_base_rate():
    assert {group["lr_multiplier"] for group in parameter_groups(made(BASE))} == {1.0}


@pytest.mark.parametrize("size", ["xs", "600k", "3m", "25m"])
def test_decay_per_step_is_the_same_at_every_size(size):
    for group in parameter_groups(Decoder(rung(size), 64)):
        product = group["lr_multiplier"] * group["weight_decay_multiplier"]
        assert product == pytest.approx(0.0 if group["name"] == "input" else 1.0)


def test_multipliers_follow_width_depth_and_head_dimension():
    found = {g["name"]: g["lr_multiplier"] for g in parameter_groups(Decoder(rung("25m"), 64))}
    width, depth, head = 64 / 512, 3 / 8, math.sqrt(16 / 64)
    assert found == {
        "input": 1.0,
        "query": width * head,
        "hidden": width,
        "branch": width * depth,
        "output": width,
    }


def test_values_start_as_the_table_says():
    model = made(rung("25m"), vocabulary=512)
    d, f = 512, 1368
    expected = {
        "model.embed_tokens": 1.0,
        "model.layers.0.self_attn.q_proj": 0.5 / math.sqrt(d),
        "model.layers.3.self_attn.k_proj": 1 / math.sqrt(d),
        "model.layers.3.mlp.up_proj": 1 / math.sqrt(d),
        "model.layers.7.self_attn.o_proj": (3 / 8) / math.sqrt(6) / math.sqrt(d),
        "model.layers.7.mlp.down_proj": (3 / 8) / math.sqrt(6) / math.sqrt(f),
        "lm_head": 1 / d,
    }
    for name, std in expected.items():
        weight = model.get_parameter(name + ".weight")
        assert weight.std().item() == pytest.approx(std, rel=0.01)
        assert abs(weight.mean().item()) < 0.02 * std
    assert torch.equal(model.model.norm.weight, torch.ones(d))


def test_weights_depend_on_the_seed_only():
    section = ModelSection(size="xs")
    torch.manual_seed(1)
    first = build_model(RunConfig(model=section, run=RunSection(seed=7)), 50).state_dict()
    state = torch.get_rng_state()
    torch.manual_seed(2)
    torch.rand(5)
    before = torch.get_rng_state()
    second, other = (
        build_model(RunConfig(model=section, run=RunSection(seed=seed)), 50).state_dict() for seed in (7, 8)
    )
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.equal(before, state)
    assert all(torch.equal(first[name], second[name]) for name in first)
    matrices = [name for name in first if first[name].dim() == 2]
    assert not any(torch.equal(first[name], other[name]) for name in matrices)
    shaped = [first[n] for n in matrices if first[n].shape == (16, 16)]
    assert all(not torch.equal(shaped[0], later) for later in shaped[1:])


def trained_scales(shape, make_batch, multiplied, steps=4, rate=0.003):
    """Root mean square of the change of hidden states and logits after some steps."""
    model = made(shape, vocabulary=97)
    batch = make_batch((32,) * 8)
    start = model.hidden(batch).detach(), model.logits(model.hidden(batch)).detach()
    optimiser = torch.optim.AdamW(
        [
            {"params": g["params"], "lr": rate * (g["lr_multiplier"] if multiplied else 1.0)}
            for g in parameter_groups(model)
        ],
        weight_decay=0.0,
    )
    for _ in range(steps):
        optimiser.zero_grad()
        model.loss(batch).backward()
        optimiser.step()
    end = model.hidden(batch).detach(), model.logits(model.hidden(batch)).detach()
    return [(b - a).pow(2).mean().sqrt().item() for a, b in zip(start, end, strict=True)]


def slope(widths, scales):
    x, y = (torch.tensor(v, dtype=torch.float64).log() for v in (widths, scales))
    return float(((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).pow(2).sum())


def test_updates_neither_grow_nor_vanish_with_width(make_batch):
    """The coordinate check of arXiv 2203.03466, appendix D.1."""
    widths = [32, 64, 128, 256]
    shapes = [replace(shape_of(width), depth=2) for width in widths]
    hidden, logits = zip(*(trained_scales(shape, make_batch, True) for shape in shapes), strict=True)
    assert abs(slope(widths, hidden)) < 0.15
    assert abs(slope(widths, logits)) < 0.3  # -0.5 at initialisation, which small widths still see
    plain = zip(*(trained_scales(shape, make_batch, False) for shape in shapes), strict=True)
    assert all(slope(widths, scales) > 0.4 for scales in plain)


def test_updates_neither_grow_nor_vanish_with_depth(make_batch):
    depths = [2, 4, 8, 16]
    shapes = [Shape(width=32, depth=depth, heads=2, hidden=88) for depth in depths]
    scaled = zip(*(trained_scales(shape, make_batch, True) for shape in shapes), strict=True)
    assert all(abs(slope(depths, scales)) < 0.1 for scales in scaled)
    plain = zip(*(trained_scales(shape, make_batch, False) for shape in shapes), strict=True)
    assert all(slope(depths, scales) > 0.2 for scales in plain)


def test_head_dimension_changes_only_the_query():
    few, many = (Shape(width=64, depth=3, heads=heads, hidden=168) for heads in (1, 4))
    rates = [{g["name"]: g["lr_multiplier"] for g in parameter_groups(Decoder(s, 8))} for s in (few, many)]
    assert {name for name in rates[0] if rates[0][name] != rates[1][name]} == {"query"}
    # A logit is a sum of k products over sqrt(k): q's factor sqrt(k0 / k) makes it k0 / k of the sum.
    assert rates[0]["query"] == pytest.approx(0.5 * rates[1]["query"])
