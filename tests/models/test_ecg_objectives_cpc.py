import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.models.small_ecg import SAMPLES, beats, made

STEPS, NEGATIVES, PATCHES = 4, 15, SAMPLES // 16


def test_nothing_after_the_cut_reaches_the_context():
    model, batch = made("cpc"), beats(3)
    other = batch.signals.clone()
    other[:, -STEPS * 16 :] = 1e3
    first, second = (model.objective.context(model.backbone, x) for x in (batch.signals, other))
    assert torch.equal(first, second)
    other[:, -STEPS * 16 - 1] = 1e3
    assert not torch.equal(first, model.objective.context(model.backbone, other))


def test_loss_is_info_nce_by_a_loop():
    model, batch = made("cpc"), beats(5)
    objective = model.objective
    with torch.no_grad():
        context = objective.context(model.backbone, batch.signals).double()
        codes = objective.stem(batch.signals.view(5, PATCHES, 16 * 12)).double()
        codes = (codes - codes.mean(-1, keepdim=True)) / (
            codes.var(-1, keepdim=True, correction=0) + 1e-5
        ).sqrt()
        heads = objective.head.weight.double().view(STEPS, 64, -1)
    places = objective._draw_negatives(batch)
    for row in range(5):
        total = 0.0
        for step in range(STEPS):
            predicted = heads[step] @ context[row]
            right = predicted @ codes[row, PATCHES - STEPS + step] / 8
            wrong = [
                predicted @ codes[place // PATCHES, place % PATCHES] / 8 for place in places[row].tolist()
            ]
            total -= math.log(math.exp(right) / (math.exp(right) + sum(map(math.exp, wrong))))
        found = objective.losses(model.backbone, batch).nats[row].item()
        assert found == pytest.approx(total, rel=1e-4)


@pytest.mark.parametrize("lengths", [[256, 256, 256], [256, 200, 230], [64, 256, 15], [256]])
def test_negatives_are_any_whole_patches_but_those_that_are_predicted(lengths):
    records = len(lengths)
    batch = replace(beats(records), lengths=torch.tensor(lengths))
    objective = made("cpc", negatives=2000).objective
    places = objective._draw_negatives(batch).numpy()
    own = np.arange(PATCHES) < np.array(lengths)[:, None] // 16
    for row in range(records):
        allowed = own.copy()
        allowed[row, PATCHES - STEPS :] = False
        assert set(places[row]) == set(np.flatnonzero(allowed))
        counts = np.bincount(places[row], minlength=own.size)[np.flatnonzero(allowed)]
        assert counts == pytest.approx(2000 / allowed.sum(), rel=0.8)


def test_equal_scores_have_the_loss_of_chance():
    model, batch = made("cpc"), beats(4)
    with torch.no_grad():
        model.objective.head.weight.zero_()
    found = model.objective.losses(model.backbone, batch).mean().item()
    assert found == pytest.approx(math.log(1 + NEGATIVES), rel=1e-6)
    bound = model.objective.chance(model.backbone, batch)
    assert bound.mean().item() == pytest.approx(found, rel=1e-6)
    assert bound.targets.tolist() == [STEPS] * 4
