from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.ecg.backbone import over_patches
from models.ecg.objectives.masking import covered, draw_masks, masked_count, masked_mean, span_mask
from tests.models.small_ecg import Small, beats, made


@given(st.integers(0, 2**62), st.integers(2, 60), st.floats(0.01, 0.99), st.integers(1, 12))
def test_a_mask_has_the_exact_share_in_whole_spans(seed, patches, fraction, span):
    masked = masked_count(patches, fraction)
    row = span_mask(seed, patches, masked, span)
    assert len(row) == patches
    assert row.sum() == masked
    assert 0 < masked < patches
    assert abs(masked - fraction * patches) <= 1
    # Spans may touch, so only one run of masked patches can be off the span's multiples.
    runs = [len(list(run)) for hidden, run in groupby(row) if hidden]
    assert sum(run % span > 0 for run in runs) == (masked % span > 0)


def test_every_patch_is_masked_as_often_as_its_share_says():
    rows = np.stack([span_mask(seed, 16, 8, 2) for seed in range(4000)])
    inner = rows.mean(0)
    # Half of what is shuffled is spans of two: an end has a span with the share of spans among items, 1/3.
    assert inner[[0, -1]] == pytest.approx(1 / 3, abs=0.03)
    assert inner.mean() == 0.5
    assert inner[3:-3] == pytest.approx(inner[3:-3].mean(), abs=0.04)


def test_a_record_keeps_its_mask_in_any_batch():
    batch = beats(5)
    masks = draw_masks(batch, 16, 0.5, 3)
    assert len({tuple(row) for row in masks.tolist()}) > 3
    order = torch.tensor([3, 0, 4])
    part = replace(
        batch,
        signals=batch.signals[order],
        labels=batch.labels[order],
        lengths=batch.lengths[order],
        seeds=batch.seeds[order],
    )
    assert torch.equal(draw_masks(part, 16, 0.5, 3), masks[order])


def test_patches_in_the_padding_are_never_masked():
    batch = replace(beats(4), lengths=torch.tensor([256, 250, 47, 5]))
    masks = draw_masks(batch, 16, 0.4, 3)
    assert masks.sum(1).tolist() == [6, 6, 1, 0]
    assert not masks[1, 15]
    assert not masks[2, 2:].any()


def test_masked_samples_hold_the_value_and_others_their_own():
    batch, value = beats(2), torch.arange(12.0)
    mask = draw_masks(batch, 16, 0.5, 3)
    found = covered(batch.signals, mask, value)
    for row in range(2):
        for place in range(256):
            wanted = value if mask[row, place // 16] else batch.signals[row, place]
            assert torch.equal(found[row, place], wanted)


def test_nothing_of_a_masked_patch_reaches_the_student():
    """Its features are bit for bit those of a signal with other samples under the mask."""
    model, batch = made("reconstruction"), beats(3)
    mask = draw_masks(batch, 16, 0.5, 3)
    hidden = mask.repeat_interleave(16, 1)[..., None]
    other = torch.where(hidden, torch.full_like(batch.signals, 1e3), batch.signals)
    value = model.objective.mask_value
    first, second = (model.backbone(covered(x, mask, value)) for x in (batch.signals, other))
    assert torch.equal(first, second)
    # The loss itself does see them: they are its targets.
    found = model.objective.losses(model.backbone, replace(batch, signals=other))
    assert not torch.equal(found.nats, model.objective.losses(model.backbone, batch).nats)


def test_features_are_the_means_of_their_patches():
    backbone, features = Small(), torch.randn(2, 8, 16)
    found = over_patches(features, backbone)
    assert torch.allclose(found[1, 2], (features[1, 4] + features[1, 5]) / 2)


def test_masked_mean_is_the_mean_of_what_is_masked():
    stream = torch.Generator().manual_seed(0)
    values, mask = torch.randn(3, 4, 5, 2, generator=stream), torch.rand(3, 4, generator=stream) < 0.5
    assert torch.allclose(masked_mean(values, mask), values[mask].mean(0), atol=1e-6)
    assert torch.equal(masked_mean(values, torch.zeros_like(mask)), torch.zeros(5, 2))
