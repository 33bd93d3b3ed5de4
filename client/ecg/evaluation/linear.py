"""Linear probe: what a logistic regression makes of frozen, mean-pooled features."""

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor

from client.ecg.evaluation.answers import Answers, Cohorts, learnable
from client.ecg.evaluation.readout import pooled_features, record_means
from client.evaluation.probe import fit_probe
from models.ecg.batch import SignalBatch
from models.ecg.model import EcgModel
from wardlaw.config import RunConfig


def linear_answers(model: EcgModel, cohorts: Cohorts, config: RunConfig) -> Answers:
    """A logistic regression a class on standardised features, its strength chosen on tuning."""
    device = next(model.parameters()).device
    model.eval()

    def read(batch: SignalBatch) -> Tensor:
        return pooled_features(model.backbone, batch)

    train, tuning, asked = (
        record_means(read, cohort, config.model.context, device)
        for cohort in (cohorts.train, cohorts.tuning, cohorts.asked)
    )
    labels, chosen_by = (cohort.labels.astype(np.float64) for cohort in (cohorts.train, cohorts.tuning))
    answered = learnable(cohorts.train.labels)
    questions = np.concatenate([tuning, asked])
    probabilities = np.zeros((len(questions), len(answered)))
    # Small products on many threads mostly wait for each other.
    with threadpool_limits(config.train.threads):
        for number in np.flatnonzero(answered):
            probabilities[:, number] = fit_probe(
                (train, labels[:, number]), (tuning, chosen_by[:, number]), questions
            )
    return Answers(probabilities[: len(tuning)], probabilities[len(tuning) :], answered)
