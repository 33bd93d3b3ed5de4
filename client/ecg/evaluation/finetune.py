"""Full fine-tuning: all weights go on from the checkpoint, trained on diagnoses by the one trainer."""

from collections.abc import Iterator

import torch
from torch import nn

from client.ecg.batches import SignalStream
from client.ecg.evaluation.answers import Answers, Cohorts
from client.ecg.evaluation.cohort import Cohort
from client.ecg.evaluation.early_stop import keep_best
from client.ecg.evaluation.own import own_answers
from client.ecg.loss import evaluate_loss
from client.training.gradient import BatchGradient
from client.training.replica import Replica, build_optimiser, training_device
from client.training.trainer import train_steps
from models.ecg.model import EcgModel, build_ecg_model
from models.ecg.objectives.supervised import Supervised
from wardlaw.config import RunConfig
from wardlaw.config.objective import ObjectiveSection
from wardlaw.config.train import TrainSection

STEPS, STAGE, PATIENCE = 200, 20, 5
"""Longest training, steps between two looks at tuning, and looks without a better loss."""

CROPS = 32
"""Crops of a step."""

LEARNING_RATE = 5e-3
"""Peak at the ladder's base width: half of what training from nothing takes by default."""


def finetuned_answers(model: EcgModel, cohorts: Cohorts, config: RunConfig) -> Answers:
    """Answers of a fine-tuned copy of a model; the model itself stays as it is."""
    return own_answers(finetune(model, cohorts, config), cohorts, config)


def finetune(model: EcgModel, cohorts: Cohorts, config: RunConfig) -> EcgModel:
    """Train all weights on the train split's diagnoses, stopped by the loss on tuning.

    Parameters
    ----------
    model : EcgModel
        Its backbone is where training begins, and its head if it has one; a new head begins
        from the classes' frequencies.
    cohorts : Cohorts
    config : RunConfig
        The run's, of which context, seed, device, threads and precision are kept.

    Raises
    ------
    TrainingError
        If training diverges.
    """
    settings = finetuning_config(config)
    shards = [(part.site, part.shard) for part in cohorts.train.parts]
    stream = SignalStream(
        shards, settings.replica_batch_tokens, config.model.context, config.run.seed, "finetune"
    )
    tuned = _begun_from(model, cohorts.train, settings)
    gradient = BatchGradient(stream, settings.train)
    replica = Replica(settings, tuned, build_optimiser(settings.train, tuned), stream, gradient)
    keep_best(
        tuned,
        _stages(replica, settings.steps),
        lambda: _loss(tuned, cohorts.tuning, config.model.context),
        PATIENCE,
    )
    return tuned


def finetuning_config(config: RunConfig) -> RunConfig:
    """Settings of the fine-tuning of a run's models."""
    batch = CROPS * config.model.context
    train = TrainSection(
        tokens=batch * STEPS,
        batch_tokens=batch,
        learning_rate=LEARNING_RATE,
        precision=config.train.precision,
        device=config.train.device,
        threads=config.train.threads,
    )
    return RunConfig(
        run=config.run.model_copy(update={"topology": "centralised"}),
        data=config.data,
        model=config.model,
        objective=ObjectiveSection(name="bce"),
        train=train,
    )


@torch.no_grad()
def _begun_from(model: EcgModel, train: Cohort, settings: RunConfig) -> EcgModel:
    begun = build_ecg_model(settings, model.outputs)
    begun.backbone.load_state_dict(model.backbone.state_dict())
    head: nn.Linear = begun.get_submodule("objective.head")  # type: ignore[assignment]
    if isinstance(model.objective, Supervised):
        head.load_state_dict(model.objective.head.state_dict())
    else:
        labels = torch.from_numpy(train.labels).float()
        # Half a record more on either side, so that no class begins at infinity.
        head.bias.copy_(((labels.sum(0) + 0.5) / (len(labels) + 1)).logit())
    return begun.to(training_device(settings.train))


def _stages(replica: Replica, steps: int) -> Iterator[None]:
    for first in range(0, steps, STAGE):
        train_steps(replica, range(first, min(first + STAGE, steps)))
        yield


def _loss(model: EcgModel, tuning: Cohort, context: int) -> float:
    sums = [evaluate_loss(model, part.shard, part.split, context) for part in tuning.parts]
    return sum(part.nats for part in sums) / sum(part.tokens for part in sums)
