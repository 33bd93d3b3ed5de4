"""Loss of finished runs on sites that were in no federation: whether what was learnt carries over."""

from pathlib import Path

import polars as pl
import torch

from client.modalities import evaluate_shard, require_kind
from client.site import open_site_shard
from simulations.downstream import run_models
from simulations.federation_folder import load_federation, site_folder
from wardlaw.config import load_site_policy
from wardlaw.errors import ShardError
from wardlaw.files import write_atomically
from wardlaw.records import RunRecord

_REMEDIES = {
    "ehr": "Prepare them with --vocabulary of the run's federation",
    "ecg": "Make them again with the --rate of the run's shards",
}


def evaluate_transfer(record: RunRecord, outside: Path) -> pl.DataFrame:
    """Score a run's models on all patients of sites that it never saw.

    Writes ``transfer.parquet`` to the run's record: a row a replica, site and split, with the
    sums of ``client.evaluation.loss_sums.LossSums``.

    Parameters
    ----------
    record : RunRecord
    outside : Path
        Federation folder of the other sites, whose shards were made as the run's were.

    Raises
    ------
    ShardError
        If the other sites' shards are of another kind, or of another fingerprint: vocabulary, or
        rate and classes.
    """
    torch.set_num_threads(record.config.train.threads)
    manifest = load_federation(outside)
    shards = {
        site: open_site_shard(load_site_policy(site_folder(outside, site) / "site.toml"), manifest.tokenizer)
        for site in sorted(manifest.sites)
    }
    for shard in shards.values():
        require_kind(record.config, shard)
    if manifest.tokenizer != record.config.data.tokenizer:
        raise ShardError(
            f"the shards of the sites outside have fingerprint {manifest.tokenizer[:16]}, "
            f"the run's have {record.config.data.tokenizer[:16]}",
            where=str(outside),
            remedy=_REMEDIES[record.config.model.reads],
        )
    rows = []
    for replica, model in run_models(record).items():
        for site, shard in shards.items():
            for split in shard.manifest.splits:
                sums = evaluate_shard(model, shard, split, record.config)
                rows.append({"replica": replica, "site": site, "split": split, **vars(sums)})
    table = pl.DataFrame(rows)
    write_atomically(record.folder / "transfer.parquet", lambda path: table.write_parquet(path))
    return table
