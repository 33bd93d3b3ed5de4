"""Linear probe: how much a frozen model's hidden state already says about a task."""

import numpy as np
import torch
from numpy.typing import NDArray

from client.ehr.positions import window_positions
from client.ehr.shard import TokenSplit
from client.evaluation.prompts import Prompts, visible_tokens
from models.ehr.decoder import Decoder
from models.ehr.packed import IGNORED, PackedBatch
from wardlaw.errors import DataError
from wardlaw.vocabulary import Scheme

STRENGTHS = tuple(10.0**power for power in range(-4, 3))
"""Inverse regularisation strengths that the tuning split chooses among."""


@torch.no_grad()
def prompt_features(
    model: Decoder, split: TokenSplit, prompts: Prompts, scheme: Scheme, context: int, batch_tokens: int
) -> NDArray[np.float32]:
    """Hidden state at the last visible token of each question, shape (n, d).

    Questions are read several at a time, packed as in training.
    """
    device = next(model.parameters()).device
    features = []
    group: list[int] = []
    room = batch_tokens
    lengths = np.minimum(prompts.stop - prompts.first, context)
    for question, length in enumerate(lengths.tolist()):
        if group and length > room:
            features.append(_last_states(model, split, prompts, group, scheme, context, device))
            group, room = [], batch_tokens
        group.append(question)
        room -= length
    if group:
        features.append(_last_states(model, split, prompts, group, scheme, context, device))
    return np.concatenate(features) if features else np.empty((0, model.shape.width), np.float32)


def fit_probe(
    train: tuple[NDArray[np.float32], NDArray[np.float64]],
    tuning: tuple[NDArray[np.float32], NDArray[np.float64]],
    questions: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Probabilities of a logistic regression on standardised features.

    Its strength is the one with the least log loss on the tuning split; both splits are
    then not used again.

    Parameters
    ----------
    train, tuning : (features, labels)
    questions : (n, d) array
        Features to answer.

    Raises
    ------
    DataError
        If the train split has one class only.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(np.unique(train[1])) < 2:
        raise DataError(
            "the train split has one class only", remedy="Probe a task with outcomes, or more sites"
        )
    fitted = [
        make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000)).fit(*train)
        for strength in STRENGTHS
    ]
    best = min(
        fitted, key=lambda probe: log_loss(tuning[1], probe.predict_proba(tuning[0])[:, 1], labels=[0.0, 1.0])
    )
    probabilities: NDArray[np.float64] = best.predict_proba(questions)[:, 1]
    return probabilities


def _last_states(
    model: Decoder,
    split: TokenSplit,
    prompts: Prompts,
    group: list[int],
    scheme: Scheme,
    context: int,
    device: torch.device,
) -> NDArray[np.float32]:
    tokens, positions = [], []
    for question in group:
        window = visible_tokens(split, prompts, question, context)
        tokens.append(window)
        stop = prompts.stop[question]
        positions.append(window_positions(scheme, split.minutes[stop - len(window) : stop]))
    segments = tuple(len(window) for window in tokens)
    joined = torch.from_numpy(np.concatenate(tokens))
    places = torch.from_numpy(np.concatenate(positions))
    batch = PackedBatch(joined, torch.full_like(joined, IGNORED), places, segments)
    last = torch.tensor(segments).cumsum(0) - 1
    states: NDArray[np.float32] = model.hidden(batch.to(device))[last.to(device)].float().cpu().numpy()
    return states
