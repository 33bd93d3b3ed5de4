"""Membership inference on the models of finished runs, by each patient's loss."""

from dataclasses import asdict

import numpy as np
import polars as pl
import torch

from client.ehr.loss import patient_nats
from client.ehr.shard import TokenShard
from models.ehr.decoder import Decoder
from simulations.audit.membership import Scores, attack
from simulations.downstream import run_decoders, token_shard
from simulations.federation_folder import participating_policies
from wardlaw.config import RunConfig
from wardlaw.files import write_atomically
from wardlaw.records import RunRecord


def attack_run(record: RunRecord, false_positive_rate: float = 0.001) -> pl.DataFrame:
    """Tell train patients from held-out ones of the same sites by each final model's loss.

    Writes ``membership.parquet`` to the run's record: a row a replica, with the fields of
    ``simulations.audit.membership.Attack`` and those of the run's privacy. The model of one site is tried on
    that site's patients, any other on those of all sites.

    Parameters
    ----------
    record : RunRecord
        Of a run of EHR; its ``data.federation`` must still be there.
    false_positive_rate : float
    """
    config = record.config
    torch.set_num_threads(config.train.threads)
    shards = [token_shard(policy, config.data.tokenizer) for policy in participating_policies(config)]
    by_site = {shard.manifest.site: shard for shard in shards}
    rows = []
    for replica, model in run_decoders(record).items():
        seen = [by_site[replica]] if replica in by_site else shards
        members, others = (
            np.concatenate([negative_losses(model, shard, split, config) for shard in seen])
            for split in ("train", config.evaluation.split)
        )
        privacy = {
            "mechanism": config.privacy.mechanism,
            "noise_batch_ratio": config.privacy.noise_batch_ratio,
        }
        rows.append({"replica": replica} | privacy | asdict(attack(members, others, false_positive_rate)))
    table = pl.DataFrame(rows)
    write_atomically(record.folder / "membership.parquet", lambda path: table.write_parquet(path))
    return table


def negative_losses(model: Decoder, shard: TokenShard, split: str, config: RunConfig) -> Scores:
    """Minus the mean nats of each patient of a split who has a target."""
    patients = shard.split(split)
    budget = max(config.replica_batch_tokens, config.model.context)
    nats = patient_nats(model, patients, shard.manifest.scheme, config.model.context, budget)
    targets = patients.lengths.astype(np.int64) - 1
    scored: Scores = -nats[targets > 0] / targets[targets > 0]
    return scored
