"""The two kinds of shards, EHR and ECG, behind one set of functions.

A shard's manifest says its kind; nothing outside this file asks for it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client.ecg import modality as ecg
from client.ecg.shard import SignalShard
from client.ehr import modality as ehr
from client.ehr.shard import TokenShard
from client.evaluation.loss_sums import LossSums
from client.privacy.private_stream import PrivateStream
from client.training.stream import Stream
from models.model import Model
from wardlaw.config import RunConfig
from wardlaw.errors import ShardError

Shard = TokenShard | SignalShard


@dataclass(frozen=True)
class Modality:
    """How one kind of shard is opened, trained on and scored."""

    open: Callable[..., Shard]
    training_stream: Callable[[RunConfig, Sequence[tuple[str, Any]], str], Stream]
    private_stream: Callable[[RunConfig, Sequence[tuple[str, Any]], str, bytes], PrivateStream]
    evaluate: Callable[[Any, Any, str, RunConfig], LossSums]


MODALITIES: Mapping[str, Modality] = {
    "ehr": Modality(TokenShard.open, ehr.training_stream, ehr.private_stream, ehr.evaluate_shard),
    "ecg": Modality(SignalShard.open, ecg.training_stream, ecg.private_stream, ecg.evaluate_shard),
}


def open_shard(folder: Path, *, tokenizer: str = "", verify: bool = True) -> Shard:
    """Open a shard of either kind.

    Parameters
    ----------
    folder : Path
    tokenizer : str
        Fingerprint that the shard must have been made with; empty for any.
    verify : bool
        Whether to compare the files' digests.

    Raises
    ------
    ShardError
        If it is no shard, of another fingerprint, or a file is absent or altered.
    """
    path = folder / "manifest.json"
    try:
        kind = json.loads(path.read_text(encoding="utf-8"))["kind"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ShardError(f"not a shard ({type(error).__name__})", where=str(path)) from None
    if kind not in MODALITIES:
        raise ShardError(f"a shard of kind '{kind}' is not known here", where=str(path))
    return MODALITIES[kind].open(folder, tokenizer=tokenizer, verify=verify)


def training_stream(config: RunConfig, shards: Mapping[str, Shard], name: str) -> Stream:
    """Batches of the train splits of the sites' shards, for the replica ``name``."""
    for shard in shards.values():
        require_kind(config, shard)
    return MODALITIES[config.model.reads].training_stream(config, list(shards.items()), name)


def private_stream(config: RunConfig, shards: Mapping[str, Shard], name: str, key: bytes) -> PrivateStream:
    """Poisson draws of the train patients of the sites' shards, for the replica ``name``."""
    for shard in shards.values():
        require_kind(config, shard)
    return MODALITIES[config.model.reads].private_stream(config, list(shards.items()), name, key)


def evaluate_shard(model: Model, shard: Shard, split: str, config: RunConfig) -> LossSums:
    """Sums of a model's loss on one split of a shard."""
    require_kind(config, shard)
    return MODALITIES[config.model.reads].evaluate(model, shard, split, config)


def require_kind(config: RunConfig, shard: Shard) -> None:
    """Refuse a shard that the run's model cannot read.

    Raises
    ------
    ShardError
    """
    if shard.manifest.kind != config.model.reads:
        raise ShardError(
            f"it holds {shard.manifest.kind}, and model.family = '{config.model.family}' reads "
            f"{config.model.reads}",
            where=str(shard.folder),
            remedy="Choose a family for it: `wardlaw models list`",
        )
