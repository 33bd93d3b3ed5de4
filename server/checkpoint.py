"""Checkpoints of a federation, one a round, whole or absent.

    checkpoints/round-000012.safetensors   model/<array> and strategy/<state>/<array>
    checkpoints/round-000012.json          what they belong to, and their digest; written last

The two newest are kept, so that a damaged one costs a round and not the run.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import ArrayRecord
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from wardlaw.arrays import array_record, record_views
from wardlaw.errors import CheckpointError
from wardlaw.files import file_sha256, write_atomically, write_text_atomically

FORMAT = "wardlaw-federation-1"
KEPT = 2

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progress:
    """How far a federation is.

    Attributes
    ----------
    server_round : int
        The last round that is done; 0 before the first.
    sites : tuple of str
        The roster.
    tokens : int
        Trained on so far.
    flops : float
        Of that training.
    examples : dict of str to int
        Training tokens of the shard of each site that has counted so far.
    rows : tuple of dict
        Rows of ``rounds``, failed tries included.
    """

    server_round: int = 0
    sites: tuple[str, ...] = ()
    tokens: int = 0
    flops: float = 0.0
    examples: Mapping[str, int] = field(default_factory=dict)
    rows: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """A federation between two rounds: the global model and the strategy's state."""

    progress: Progress
    arrays: ArrayRecord
    state: Mapping[str, NDArray[np.float64]]


def oldest_resumable_round(server_round: int) -> int:
    """First round that could be asked for again while ``server_round`` is under way.

    The oldest checkpoint kept is then of round ``server_round - KEPT``; sites must be
    able to return to what they were before the round after it.
    """
    return max(1, server_round - KEPT + 1)


def save_snapshot(folder: Path, fingerprint: str, snapshot: Snapshot) -> None:
    """Write a checkpoint and remove those that are older than the two newest."""
    model = record_views(snapshot.arrays)
    tensors = {f"model/{name}": np.asarray(array) for name, array in model.items()}
    tensors |= {f"strategy/{name}": np.asarray(array) for name, array in snapshot.state.items()}
    path = folder / f"round-{snapshot.progress.server_round:06d}.json"
    weights = path.with_suffix(".safetensors")
    write_atomically(weights, lambda temporary: save_file(tensors, temporary))
    manifest = {
        "format": FORMAT,
        "fingerprint": fingerprint,
        "sha256": file_sha256(weights),
        "arrays": list(model),
        "progress": asdict(snapshot.progress),
    }
    write_text_atomically(path, json.dumps(manifest) + "\n")
    for old in _manifests(folder)[:-KEPT]:
        # The manifest first: weights without one are no checkpoint.
        old.unlink()
        old.with_suffix(".safetensors").unlink(missing_ok=True)


def newest_snapshot(folder: Path, fingerprint: str) -> Snapshot | None:
    """Read the newest checkpoint that is whole; none where there is no checkpoint.

    Raises
    ------
    CheckpointError
        If checkpoints are another run's, or none of them is whole.
    """
    paths = _manifests(folder)
    for path in reversed(paths):
        try:
            return _load(path, fingerprint)
        except (OSError, ValueError, TypeError, KeyError, SafetensorError) as error:
            logger.warning("%s is damaged and not used: %s", path.stem, error)
    if paths:
        raise CheckpointError(
            "no checkpoint of the run is whole",
            where=str(folder),
            remedy="Remove the folder to start the run anew",
        )
    return None


def _load(path: Path, fingerprint: str) -> Snapshot:
    manifest = json.loads(path.read_text(encoding="utf-8"))
    if manifest["format"] != FORMAT:
        raise ValueError(f"its format is '{manifest['format']}'")
    if manifest["fingerprint"] != fingerprint:
        raise CheckpointError(
            f"the checkpoint is of the run {manifest['fingerprint'][:12]}, not {fingerprint[:12]}",
            where=str(path),
            remedy="Give the other run another folder of records",
        )
    weights = path.with_suffix(".safetensors")
    if file_sha256(weights) != manifest["sha256"]:
        raise ValueError("its digest is not the recorded one")
    tensors = load_file(weights)
    progress = Progress(**manifest["progress"])
    return Snapshot(
        replace(progress, sites=tuple(progress.sites), rows=tuple(progress.rows)),
        array_record({name: tensors[f"model/{name}"] for name in manifest["arrays"]}),
        {
            name.removeprefix("strategy/"): array
            for name, array in tensors.items()
            if name.startswith("strategy/")
        },
    )


def _manifests(folder: Path) -> list[Path]:
    return sorted(folder.glob("round-*.json"))
