"""Every objective on every family of the ladder, at its smallest rung."""

from dataclasses import replace

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models.ecg.families import BUILDERS, RUNGS, build_backbone
from models.ecg.scaling import parameter_groups
from tests.models.small_ecg import NAMES, SAMPLES, Trained, beats, section_of
from wardlaw.config.model import ModelSection

FAMILIES = tuple(BUILDERS)


def smallest(family: str, name: str) -> Trained:
    backbone = build_backbone(ModelSection(family=family, size=RUNGS[family][0]))
    # A regnet's patches are long: twice the crop, so that there are enough of them.
    return Trained(backbone, section_of(name), samples_of(backbone), 0)


def samples_of(backbone) -> int:
    return max(SAMPLES, 16 * backbone.patch)


def train(model: Trained, steps: int) -> None:
    """With warm-up and clipping, as a run trains; a transformer's features collapse without either."""
    groups = [
        {"params": group["params"], "lr": 0.003 * group["lr_multiplier"]}
        for group in parameter_groups(model, model.backbone, "adamw")
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, start_factor=1 / 30, total_iters=30)
    for step in range(steps):
        model.step(optimiser, beats(16, step + 1, samples_of(model.backbone)), clip_norm=1.0)
        schedule.step()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_is_finite_and_moves_all_that_is_trained(family, name):
    model = smallest(family, name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    train(model, 2)
    after = model.state_dict()
    assert all(value.isfinite().all() for value in after.values())
    still = {key for key, value in after.items() if torch.equal(value, before[key])}
    assert not still


@pytest.mark.parametrize("family", FAMILIES)
def test_no_family_looks_past_the_cut(family):
    model = smallest(family, "cpc")
    batch = beats(2, samples=samples_of(model.backbone))
    other = batch.signals.clone()
    other[:, -4 * model.backbone.patch :] = 1e3
    first, second = (model.objective.context(model.backbone, x) for x in (batch.signals, other))
    assert torch.equal(first, second)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("cpc", "dinosr", "hubert")])
@pytest.mark.parametrize("family", FAMILIES)
def test_no_family_couples_records(family, name):
    model = smallest(family, name).eval()
    batch = beats(3, samples=samples_of(model.backbone))
    changed = replace(batch, signals=batch.signals.clone())
    changed.signals[0] = batch.signals[0].flip(0)
    first, second = (model.objective.losses(model.backbone, b).nats for b in (batch, changed))
    assert torch.equal(first[1:], second[1:])
    assert first[0] != second[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_gets_below_chance(family, name):
    model = smallest(family, name)
    train(model, 300)
    model.eval()
    unseen = beats(64, 999, samples_of(model.backbone))
    with torch.no_grad():
        found = model.objective.losses(model.backbone, unseen).mean()
    assert found / model.objective.chance(model.backbone, unseen).mean() < 0.97


def features_of(model: Trained, batch) -> torch.Tensor:
    with torch.no_grad():
        return model.backbone(batch.signals).mean(1)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("bce", "asymmetric")])
def test_features_that_were_learned_without_labels_tell_the_rate(name):
    """A linear probe of the rule that a record's rate is above 1.5 Hz; a coin has 0.5."""
    model = smallest("resnet", name)
    train(model, 200)
    model.eval()
    seen, unseen = beats(256, 5000), beats(256, 6000)
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    probe.fit(features_of(model, seen), seen.labels[:, 0])
    scores = probe.decision_function(features_of(model, unseen))
    assert roc_auc_score(unseen.labels[:, 0], scores) > 0.9
