import math

import numpy as np
import pytest
import torch

from models.ecg.objectives.codebook import Codebook, code_nats, log_use
from models.ecg.objectives.sinkhorn import sinkhorn
from tests.models.small_ecg import beats, made


def clusters(stream: torch.Generator, centres: torch.Tensor, size: int) -> torch.Tensor:
    chosen = torch.randint(len(centres), (size,), generator=stream)
    return centres[chosen] + 0.1 * torch.randn(size, centres.shape[1], generator=stream)


def nearest(book: Codebook, features: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.one_hot(book.distances(features).argmin(-1), len(book.counts)).float()


def test_first_codes_are_unit_vectors_by_name():
    first, again, other = Codebook("a", 6, 10, 0.9), Codebook("a", 6, 10, 0.9), Codebook("b", 6, 10, 0.9)
    torch.testing.assert_close(first.centroids().norm(dim=1), torch.ones(6))
    assert torch.equal(first.sums, again.sums)
    assert not torch.equal(first.sums, other.sums)


def test_distances_are_squared_distances_less_the_features_own_square():
    book, features = Codebook("a", 6, 10, 0.9), torch.randn(3, 4, 10)
    full = torch.cdist(features.double().view(-1, 10), book.centroids().double()).square().view(3, 4, 6)
    wanted = full - features.double().square().sum(-1, keepdim=True)
    torch.testing.assert_close(book.distances(features).double(), wanted, atol=1e-5, rtol=1e-5)


def test_codes_are_the_moving_averages_of_van_den_oord():
    book, stream = Codebook("a", 3, 4, 0.8), torch.Generator().manual_seed(0)
    sums, counts = book.sums.double(), book.counts.double()
    for _ in range(4):
        features = torch.randn(9, 4, generator=stream)
        shares = torch.rand(9, 3, generator=stream)
        # In two parts, as where a step's batch does not fit the memory.
        book.collect(features[:5], shares[:5])
        book.collect(features[5:], shares[5:])
        book.follow()
        for code in range(3):
            weight = shares[:, code].double()
            sums[code] = 0.8 * sums[code] + 0.2 * (weight[:, None] * features).sum(0)
            counts[code] = 0.8 * counts[code] + 0.2 * weight.sum()
    torch.testing.assert_close(book.centroids().double(), sums / counts[:, None], atol=1e-5, rtol=1e-5)
    before = book.sums.clone()
    book.follow()
    assert torch.equal(before, book.sums)


def test_codes_find_the_clusters():
    stream = torch.Generator().manual_seed(3)
    centres = torch.randn(4, 12, generator=stream) * 2
    book = Codebook("a", 16, 12, 0.9)
    for _ in range(60):
        features = clusters(stream, centres, 200)
        book.collect(features, nearest(book, features))
        book.follow()
    gaps = torch.cdist(centres, book.centroids()).amin(1)
    assert gaps.max() < 0.3


def test_a_code_that_nothing_chooses_goes_back_to_the_origin():
    book = Codebook("a", 2, 4, 0.5)
    features = torch.full((8, 4), 3.0)
    shares = torch.tensor([[1.0, 0.0]]).expand(8, 2)
    norms = []
    for _ in range(200):
        book.collect(features, shares)
        book.follow()
        norms.append(book.centroids()[1].norm().item())
    assert norms[5] == pytest.approx(1.0)
    assert norms[-1] < 1e-6
    assert book.centroids().isfinite().all()
    torch.testing.assert_close(book.centroids()[0], features[0])


def test_averaged_codebooks_have_codes_weighted_by_their_counts():
    stream = torch.Generator().manual_seed(5)
    books = [Codebook("a", 4, 6, 0.9) for _ in range(3)]
    for site, book in enumerate(books):
        for _ in range(5):
            features = torch.randn(20 * (site + 1), 6, generator=stream) + site
            book.collect(features, nearest(book, features))
            book.follow()
    shares = torch.tensor([0.2, 0.5, 0.3])
    average = Codebook("a", 4, 6, 0.9)
    for name, value in average.state_dict().items():
        value.copy_(sum(w * book.state_dict()[name] for w, book in zip(shares, books, strict=True)))
    weights = torch.stack([w * book.counts for w, book in zip(shares, books, strict=True)])
    codes = torch.stack([book.centroids() for book in books])
    wanted = (weights[..., None] * codes).sum(0) / weights.sum(0)[:, None]
    torch.testing.assert_close(average.centroids(), wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["dinosr", "hubert"])
def test_codes_move_by_training_steps_only(name):
    model, batch = made(name), beats(8)
    buffers = {key: value.clone() for key, value in model.objective.named_buffers()}

    def moved():
        model.objective.after_step(model.backbone)
        return any(not torch.equal(value, buffers[key]) for key, value in model.objective.named_buffers())

    model.objective.chance(model.backbone, batch)
    assert not moved()
    model.eval()
    model.objective.losses(model.backbone, batch)
    assert not moved()
    model.train()
    model.objective.losses(model.backbone, batch)
    assert moved()


@pytest.mark.parametrize("name", ["dinosr", "hubert"])
def test_codes_take_nothing_from_padding(name):
    """A batch of a record and a record of padding moves the codes as the record alone does."""
    both = beats(2)
    both.signals[1] = 0
    both.lengths[1] = 0
    alone = type(both)(both.signals[:1], both.labels[:1], both.lengths[:1], both.seeds[:1])
    found = []
    for batch in (both, alone):
        model = made(name)
        model.objective.losses(model.backbone, batch)
        model.objective.after_step(model.backbone)
        found.append(dict(model.objective.named_buffers()))
    for key, value in found[0].items():
        torch.testing.assert_close(value, found[1][key], atol=1e-5, rtol=1e-5)


def test_all_codes_of_hubert_stay_in_use():
    model = made("hubert", codes=16)
    for step in range(60):
        model.objective.losses(model.backbone, beats(16, seed=step))
        model.objective.after_step(model.backbone)
    shares = model.eval().objective.targets(beats(32, seed=99)).flatten(0, 1)
    use = shares.mean(0)
    assert -(use * use.log()).sum().item() > 0.95 * math.log(16)
    # Distributions, yet not all the same one: they tell something of the signal.
    torch.testing.assert_close(shares.sum(1), torch.ones(len(shares)))
    entropy = -(shares * shares.log()).sum(1).mean().item()
    assert entropy < 0.9 * math.log(16)


def test_sinkhorn_is_alternate_scaling_by_a_loop():
    scores = torch.randn(7, 4) * 2
    table = scores.double().exp().numpy()
    for _ in range(30):
        table = table / table.sum(0, keepdims=True)
        table = table / table.sum(1, keepdims=True)
    found = sinkhorn(scores, torch.ones(7, dtype=torch.bool)).numpy()
    np.testing.assert_allclose(found, table, rtol=1e-4)


def test_sinkhorn_balances_columns():
    stream = torch.Generator().manual_seed(0)
    scores = torch.randn(400, 5, generator=stream) + torch.tensor([4.0, 0, 0, 0, -4])
    use = sinkhorn(scores, torch.ones(400, dtype=torch.bool)).mean(0)
    assert use.numpy() == pytest.approx(0.2, abs=0.02)
    assert scores.softmax(1).mean(0).max() > 0.8


def test_sharp_scores_are_balanced_too():
    """A spread of 14, as that of real ECGs' spectra: three rounds leave codes unused."""
    stream = torch.Generator().manual_seed(0)
    scores = 14 * (torch.randn(480, 64, generator=stream) + torch.randn(64, generator=stream) / 2)
    use = sinkhorn(scores, torch.ones(480, dtype=torch.bool)).mean(0)
    assert -(use * use.log()).sum().item() > 0.98 * math.log(64)
    assert (use > 0).all()


def test_absent_rows_have_no_say():
    scores = torch.randn(9, 4)
    present = torch.arange(9) < 6
    with_absent = sinkhorn(scores, present)
    torch.testing.assert_close(with_absent[:6], sinkhorn(scores[:6], present[:6]))
    assert sinkhorn(scores, torch.zeros(9, dtype=torch.bool)).isfinite().all()
    extreme = sinkhorn(scores * 1e4, present)
    assert extreme.isfinite().all()


def test_the_best_constant_logits_have_the_entropy_of_use():
    shares = torch.rand(3, 5, 2, 4)
    shares = shares / shares.sum(-1, keepdim=True)
    mask = torch.rand(3, 5) < 0.6
    mask[0, 0] = True
    use = shares[mask].mean(0).double()
    found = code_nats(log_use(shares, mask).expand_as(shares), shares)[mask].mean(0).double()
    torch.testing.assert_close(found, -(use * use.log()).sum(-1), atol=1e-5, rtol=1e-5)
