"""A score of each patient that is higher for those whom a model has learnt by heart."""

import numpy as np
from numpy.typing import NDArray

from client.ecg.loss import record_losses
from client.ecg.shard import SignalShard
from client.ehr.loss import patient_nats
from client.ehr.shard import TokenShard
from client.modalities import Shard
from models.ecg.model import EcgModel
from models.ehr.decoder import Decoder
from models.model import Model
from wardlaw.config import RunConfig
from wardlaw.errors import RecordError

Scores = NDArray[np.float64]


def negative_losses(model: Model, shard: Shard, split: str, config: RunConfig) -> Scores:
    """Minus the mean loss of each patient of a split who has a target, over all of the patient's records.

    Yeom et al., arXiv 1709.01604, section 3.

    Parameters
    ----------
    model : Model
    shard : Shard
        Of the kind that the model reads.
    split : str
    config : RunConfig
        Of the run that trained the model.

    Raises
    ------
    RecordError
        If model and shard are of two kinds.
    """
    if isinstance(model, Decoder) and isinstance(shard, TokenShard):
        nats, targets = _token_losses(model, shard, split, config)
    elif isinstance(model, EcgModel) and isinstance(shard, SignalShard):
        nats, targets = _signal_losses(model, shard, split, config)
    else:
        raise RecordError("the run's model does not read the site's shard", where=str(shard.folder))
    scored: Scores = -nats[targets > 0] / targets[targets > 0]
    return scored


def _token_losses(
    model: Decoder, shard: TokenShard, split: str, config: RunConfig
) -> tuple[Scores, NDArray[np.float64]]:
    patients = shard.split(split)
    budget = max(config.replica_batch_tokens, config.model.context)
    nats = patient_nats(model, patients, shard.manifest.scheme, config.model.context, budget)
    return nats, patients.lengths.astype(np.float64) - 1


def _signal_losses(
    model: EcgModel, shard: SignalShard, split: str, config: RunConfig
) -> tuple[Scores, NDArray[np.float64]]:
    nats, targets = record_losses(model, shard, split, config.model.context)
    _, owners = np.unique(shard.split(split).patients, return_inverse=True)
    return np.bincount(owners, nats).astype(np.float64), np.bincount(owners, targets).astype(np.float64)
