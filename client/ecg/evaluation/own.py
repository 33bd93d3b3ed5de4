"""A supervised model's own head."""

import numpy as np
from scipy.special import expit
from torch import Tensor

from client.ecg.evaluation.answers import Answers, Cohorts, Floats, learnable
from client.ecg.evaluation.cohort import Cohort
from client.ecg.evaluation.readout import record_means
from models.ecg.batch import SignalBatch
from models.ecg.model import EcgModel
from models.ecg.objectives.supervised import Supervised
from wardlaw.config import RunConfig
from wardlaw.errors import ConfigError


def own_answers(model: EcgModel, cohorts: Cohorts, config: RunConfig) -> Answers:
    """Probabilities of a model's head, by the mean logit of a record's crops.

    Parameters
    ----------
    model : EcgModel
    cohorts : Cohorts
        ``train`` is what the model was trained on: it has answers for the classes to be learnt there.
    config : RunConfig

    Raises
    ------
    ConfigError
        If the model was not trained on diagnoses.
    """
    objective = model.objective
    if not isinstance(objective, Supervised):
        raise ConfigError(
            f"objective.name = '{model.settings.name}' trains no head for diagnoses",
            remedy="Use --method linear, attention or finetune",
        )
    device = next(model.parameters()).device
    answered = learnable(cohorts.train.labels)
    model.eval()

    def probabilities(cohort: Cohort) -> Floats:
        def read(batch: SignalBatch) -> Tensor:
            return objective.logits(model.backbone, batch)

        logits = record_means(read, cohort, config.model.context, device)
        found: Floats = expit(logits.astype(np.float64)) * answered
        return found

    return Answers(probabilities(cohorts.tuning), probabilities(cohorts.asked), answered)
