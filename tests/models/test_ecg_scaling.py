"""Rates of ECG models over width: the table of roles, and the coordinate check."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from models.ecg.convnext import ConvNext
from models.ecg.counts import outline
from models.ecg.families import RUNGS
from models.ecg.objectives.registry import build_objective
from models.ecg.regnet import RegNet, design_of
from models.ecg.resnet import ResNet
from models.ecg.s4d import S4D
from models.ecg.scaling import initialise, parameter_groups
from models.ecg.transformer import Transformer, shape_of
from models.registry import build_model
from tests.models.small_ecg import CLASSES, NAMES, SAMPLES, beats
from wardlaw.config import from_flat
from wardlaw.config.model import ECG_FAMILIES, ModelSection
from wardlaw.config.objective import ObjectiveSection

WIDTHS = (16, 32, 64)
OF_WIDTH = {
    "resnet": ResNet,
    "transformer": lambda width: Transformer(replace(shape_of(2 * width), depth=2)),
    "convnext": ConvNext,
    "regnet": lambda width: RegNet(design_of(width)),
    "s4d": lambda width: S4D(width, 2),
}


class Supervised(nn.Module):
    """A backbone of any width, learning labels."""

    def __init__(self, family, width):
        super().__init__()
        self.backbone = OF_WIDTH[family](width)
        self.objective = build_objective(ObjectiveSection(name="bce"), self.backbone, CLASSES, SAMPLES)
        initialise(self, self.backbone, 0)

    def seen(self, batch):
        """Features, logits, and the stem's output."""
        with torch.no_grad():
            stem = self.backbone.stem
            outputs = [self.backbone(batch.signals), self.objective.logits(self.backbone, batch)]
            return [*outputs, stem(batch.signals)] if isinstance(self.backbone, ResNet) else outputs

    def groups(self, optimiser):
        return parameter_groups(self, self.backbone, optimiser)


def slopes(family, optimiser, rate, *, multiplied=True, widths=WIDTHS):
    """Exponents in width of the changes of what is seen, after four steps."""
    changes = []
    for width in widths:
        model, batch = Supervised(family, width), beats(8)
        before = model.seen(batch)
        groups = [
            {"params": g["params"], "lr": rate * (g["lr_multiplier"] if multiplied else 1.0)}
            for g in model.groups(optimiser)
        ]
        made = (
            torch.optim.AdamW(groups, weight_decay=0.0) if optimiser == "adamw" else torch.optim.SGD(groups)
        )
        for _ in range(4):
            made.zero_grad()
            model.objective.losses(model.backbone, batch).mean().backward()
            made.step()
        changes.append(
            [(b - a).square().mean().sqrt().log() for a, b in zip(before, model.seen(batch), strict=True)]
        )
    x = torch.tensor(widths, dtype=torch.float64).log()
    x = x - x.mean()
    return [
        float((x * torch.stack(list(y)).double()).sum() / x.square().sum())
        for y in zip(*changes, strict=True)
    ]


@pytest.mark.parametrize("family", ECG_FAMILIES)
def test_updates_neither_grow_nor_vanish_with_width_under_adamw(family):
    """The coordinate check of arXiv 2203.03466, appendix D.1."""
    features, logits, *_ = slopes(family, "adamw", 0.003)
    assert abs(features) < 0.3
    assert abs(logits) < 0.3
    assert slopes(family, "adamw", 0.003, multiplied=False)[1] > 0.5


@pytest.mark.parametrize("family", ECG_FAMILIES)
def test_logits_do_not_grow_with_width_under_sgd(family):
    assert slopes(family, "sgd", 0.1)[1] < 0.35


def test_a_stem_of_three_layers_does_not_learn_faster_in_wide_models():
    """0.55 if all three layers learn at the stem's rate."""
    assert abs(slopes("resnet", "adamw", 0.0003, widths=(16, 32, 64, 128))[2]) < 0.3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("family", ECG_FAMILIES)
def test_groups_hold_every_trained_parameter_once(family, name):
    model = outline(ModelSection(family=family, size=RUNGS[family][2]), ObjectiveSection(name=name), 26)
    for optimiser in ("adamw", "sgd"):
        members = [id(p) for group in model.parameter_groups(optimiser) for p in group["params"]]
        assert len(members) == len(set(members))
        assert set(members) == {id(p) for p in model.parameters() if p.requires_grad}


@pytest.mark.parametrize("family", ECG_FAMILIES)
def test_rates_and_decay_are_those_of_the_table(family):
    model = outline(ModelSection(family=family, size="1m"), ObjectiveSection(name="dinosr"), 26)
    ratio = model.backbone.width_ratio
    assert ratio != 1
    table = {
        "vector": (1, ratio, False),
        "fixed": (1, 1, False),
        "stem": (1, ratio, False),
        "grouped": (1, ratio, True),
        "hidden": (1 / ratio, 1, True),
        "head": (1 / ratio, 1 / ratio, True),
    }
    for optimiser, column in (("adamw", 0), ("sgd", 1)):
        for group in model.parameter_groups(optimiser):
            assert group["lr_multiplier"] == pytest.approx(table[group["name"]][column])
            product = group["lr_multiplier"] * group["weight_decay_multiplier"]
            assert product == pytest.approx(1.0 if table[group["name"]][2] else 0.0)


def test_only_the_first_layer_of_a_stem_is_one():
    model = outline(ModelSection(family="resnet", size="20k"), ObjectiveSection(name="bce"), 26)
    names = {id(p): name for name, p in model.named_parameters()}
    members = {g["name"]: {names[id(p)] for p in g["params"]} for g in model.parameter_groups("adamw")}
    assert members["stem"] == {"backbone.stem.0.0.weight"}
    assert {"backbone.stem.1.0.weight", "backbone.stem.2.0.weight"} < members["hidden"]
    assert members["fixed"] == {"objective.head.bias"}


@pytest.mark.parametrize("family", ECG_FAMILIES)
def test_weights_follow_from_the_seed_alone(family):
    def weights(seed):
        settings = {"model.family": family, "model.size": RUNGS[family][0], "objective.name": "dinosr"}
        return build_model(from_flat(settings | {"run.seed": seed}), 26).state_dict()

    torch.manual_seed(1)
    first = weights(7)
    torch.manual_seed(2)
    second, other = weights(7), weights(8)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["objective.head.weight"], other["objective.head.weight"])
    # The teacher starts as its student.
    for name, value in first.items():
        if name.startswith("backbone."):
            assert torch.equal(value, first[f"objective.teacher.{name}"])


@pytest.mark.parametrize("family", ECG_FAMILIES)
def test_matrices_start_with_the_tables_spread(family):
    settings = {"model.family": family, "model.size": "1m", "objective.name": "bce"}
    model = build_model(from_flat(settings), 26)
    names = {id(p): name for name, p in model.named_parameters()}
    for group in model.parameter_groups("adamw"):
        for weight in group["params"]:
            fan_in = weight[0].numel()
            std = {"head": 1 / fan_in}.get(group["name"], fan_in**-0.5)
            if group["name"] in {"stem", "grouped", "hidden", "head"} and weight.numel() > 2000:
                assert weight.std().item() == pytest.approx(std, rel=0.1), names[id(weight)]
