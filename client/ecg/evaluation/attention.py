"""Frozen features with an attention head: what a model knows that its mean feature does not say."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from client.ecg.evaluation.answers import Answers, Classes, Cohorts, Floats, learnable
from client.ecg.evaluation.attention_head import AttentionHead
from client.ecg.evaluation.cohort import Cohort
from client.ecg.evaluation.early_stop import keep_best
from client.ecg.evaluation.readout import crops, patch_features, record_means
from models.ecg.batch import SignalBatch
from models.ecg.model import EcgModel
from wardlaw.config import RunConfig
from wardlaw.seeds import derive_seed, generator

STEPS, STAGE, PATIENCE = 400, 20, 5
"""Longest training of a head, steps between two looks at tuning, and looks without a better loss."""

RECORDS = 64
"""Records of a step, a random crop of each."""

LEARNING_RATE, WEIGHT_DECAY = 3e-3, 0.1


@dataclass(frozen=True, eq=False)
class CropFeatures:
    """Patch features of a cohort's crops, held in memory: 4 x width bytes a patch.

    Attributes
    ----------
    features : Tensor, (crops, P, width)
    own : Tensor, (crops, P) bool
    first : ndarray of int64, (records + 1,)
        A record's crops are ``first[record]:first[record + 1]``.
    labels : Tensor, (records, classes) float32
    """

    features: Tensor
    own: Tensor
    first: NDArray[np.int64]
    labels: Tensor


def attention_answers(model: EcgModel, cohorts: Cohorts, config: RunConfig) -> Answers:
    """An attention head trained with AdamW on frozen features, stopped by its loss on tuning."""
    device = next(model.parameters()).device
    answered = learnable(cohorts.train.labels)
    model.eval()
    train, tuning = (
        _crop_features(model, cohort, answered, config.model.context, device)
        for cohort in (cohorts.train, cohorts.tuning)
    )
    head = AttentionHead(train.features[train.own], train.labels.mean(0)).to(device)
    _train_head(head, train, tuning, derive_seed(config.run.seed, "attention head"))

    def probabilities(cohort: Cohort) -> Floats:
        def read(batch: SignalBatch) -> Tensor:
            return head(*patch_features(model.backbone, batch))  # type: ignore[no-any-return]

        found = np.zeros((len(cohort), len(answered)))
        found[:, answered] = expit(
            record_means(read, cohort, config.model.context, device).astype(np.float64)
        )
        return found

    return Answers(probabilities(cohorts.tuning), probabilities(cohorts.asked), answered)


@torch.no_grad()
def _crop_features(
    model: EcgModel, cohort: Cohort, answered: Classes, context: int, device: torch.device
) -> CropFeatures:
    features, own, counts = [], [], []
    for part in cohort.parts:
        owners = [np.empty(0, np.int64)]
        for batch, places in crops(part, context, device):
            values, mine = patch_features(model.backbone, batch)
            features.append(values)
            own.append(mine)
            owners.append(places)
        counts.append(np.bincount(np.concatenate(owners), minlength=len(part.rows)))
    labels = torch.from_numpy(cohort.labels[:, answered].astype(np.float32)).to(device)
    first = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    return CropFeatures(torch.cat(features), torch.cat(own), first, labels)


def _train_head(head: AttentionHead, train: CropFeatures, tuning: CropFeatures, seed: int) -> None:
    optimiser = torch.optim.AdamW(head.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    random = generator(seed, "crops")

    def stages() -> Iterator[None]:
        for _ in range(STEPS // STAGE):
            for _ in range(STAGE):
                _train_step(head, optimiser, train, random)
            yield

    keep_best(head, stages(), lambda: _record_loss(head, tuning), PATIENCE)


def _train_step(
    head: AttentionHead, optimiser: torch.optim.Optimizer, train: CropFeatures, random: np.random.Generator
) -> None:
    records = random.integers(0, len(train.labels), RECORDS)
    chosen = torch.from_numpy(random.integers(train.first[records], train.first[records + 1]))
    logits = head(train.features[chosen], train.own[chosen])
    loss = binary_cross_entropy_with_logits(logits, train.labels[torch.from_numpy(records)])
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()


@torch.no_grad()
def _record_loss(head: AttentionHead, held: CropFeatures) -> float:
    logits = head(held.features, held.own)
    means = torch.segment_reduce(
        logits, "mean", lengths=torch.from_numpy(np.diff(held.first)).to(logits.device), axis=0
    )
    return float(binary_cross_entropy_with_logits(means, held.labels))
