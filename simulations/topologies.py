"""One run in its topology: centralised, local or federated, by one setting.

All three train with the same code (``client.training``), and are scored by the same code on
the same patients: those of every site's evaluation split.
"""

from collections.abc import Mapping
from pathlib import Path

import torch

from client.modalities import Shard, evaluate_shard
from client.site import open_site_shard
from client.training.replica import Replica
from client.training.run import train_alone
from client.training_replica import training_replica
from models.checkpoint import save_model
from simulations.federation_folder import participating_policies
from simulations.in_process import run_in_process
from simulations.privacy_record import state_privacy
from simulations.totals import run_totals
from wardlaw.config import RunConfig
from wardlaw.records import finish, open_record, read_rows, write_table

Shards = Mapping[str, Shard]


def run_topology(config: RunConfig, records: Path) -> Path:
    """Compute one run from its settings, or go on where it stopped.

    Parameters
    ----------
    config : RunConfig
    records : Path
        Folder of record folders.

    Returns
    -------
    Path
        The finished record's folder.
    """
    if config.run.topology == "federated":
        return run_in_process(config, records)
    # Evaluation after a resumption must sum as training did.
    torch.set_num_threads(config.train.threads)
    shards = {
        policy.site: open_site_shard(policy, config.data.tokenizer)
        for policy in participating_policies(config)
    }
    folder = open_record(records, config)
    groups = training_groups(config, shards)
    replicas = [train_replica(config, name, group, folder) for name, group in groups.items()]
    for table in ("steps", "rounds"):
        rows = [row for name in groups for row in read_rows(replica_folder(folder, name), table)]
        write_table(folder, table, rows)
    evaluation = [row for replica in replicas for row in evaluation_rows(config, replica, shards)]
    write_table(folder, "evaluation", evaluation)
    for replica in replicas:
        save_model(replica.model, folder / "models" / replica.name, config.model.context)
    state_privacy(config, folder)
    finish(folder, run_totals(config, replicas, shards, evaluation, folder))
    return folder


def training_groups(config: RunConfig, shards: Shards) -> dict[str, Shards]:
    """Shards of each replica: all together when centralised, one each when local."""
    if config.run.topology == "centralised":
        return {"union": shards}
    return {site: {site: shard} for site, shard in shards.items()}


def train_replica(config: RunConfig, name: str, shards: Shards, folder: Path) -> Replica:
    """Train one replica on the train split of some shards."""
    return train_alone(training_replica(config, shards, name), replica_folder(folder, name))


def replica_folder(folder: Path, name: str) -> Path:
    """Folder of what one replica of a run keeps."""
    return folder / "replicas" / name


def evaluation_rows(config: RunConfig, replica: Replica, shards: Shards) -> list[dict[str, object]]:
    """Sums of a replica's loss on each site's evaluation split."""
    return [
        {
            "replica": replica.name,
            "site": site,
            "split": config.evaluation.split,
            **vars(evaluate_shard(replica.model, shard, config.evaluation.split, config)),
        }
        for site, shard in shards.items()
    ]
