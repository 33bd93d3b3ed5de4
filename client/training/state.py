"""State of a replica on disk: whole or absent, and only ever loaded into the run that wrote it.

step-00000100.safetensors   the model's state and the optimiser's moments
step-00000100.json          step, fingerprint, replica, and SHA-256 of both files' content
"""

import hashlib
import json
import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from client.training.replica import Replica
from wardlaw.errors import CheckpointError
from wardlaw.files import file_sha256, write_atomically, write_text_atomically

_REMEDY = "Delete it to go on from an earlier state"
_log = logging.getLogger(__name__)


def save_state(folder: Path, replica: Replica, step: int) -> None:
    """Save a replica before the step ``step``; the manifest comes last and makes it whole."""
    path = _tensors_path(folder, step)
    tensors = replica_tensors(replica)
    path.with_suffix(".json").unlink(missing_ok=True)
    write_atomically(path, lambda temporary: save_file(tensors, temporary))
    manifest = {
        "fingerprint": replica.config.fingerprint,
        "replica": replica.name,
        "step": step,
        "tensors": file_sha256(path),
    }
    text = json.dumps(manifest | {"digest": _digest(manifest)}, indent=2)
    write_text_atomically(path.with_suffix(".json"), text + "\n")


def state_digest(folder: Path, step: int) -> str:
    """SHA-256 of a saved state's tensors."""
    return file_sha256(_tensors_path(folder, step))


def load_state(folder: Path, replica: Replica, step: int) -> None:
    """Bring a replica back to the bits that it had before the step ``step``.

    Raises
    ------
    CheckpointError
        If there is no such state, if a byte of it changed, or if another run or replica wrote it;
        the replica is then as it was.
    """
    path = _tensors_path(folder, step)
    manifest = _read_manifest(path.with_suffix(".json"))
    origin = (replica.config.fingerprint, replica.name, step)
    if (manifest["fingerprint"], manifest["replica"], manifest["step"]) != origin:
        raise CheckpointError(
            "it belongs to another run, replica or step",
            where=str(path),
            remedy="Use this run's own folder, or start the run in a new one",
        )
    try:
        intact = file_sha256(path) == manifest["tensors"]
        tensors = load_file(path) if intact else {}
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"cannot read it ({type(error).__name__})", where=str(path), remedy=_REMEDY
        ) from None
    if not intact:
        raise CheckpointError("its content has changed", where=str(path), remedy=_REMEDY)
    fill_replica(replica, tensors, str(path))


def saved_steps(folder: Path) -> list[int]:
    """Steps of the states in a folder, increasing; those without a manifest do not count."""
    return sorted(int(path.stem.removeprefix("step-")) for path in folder.glob("step-*.json"))


def resume(folder: Path, replica: Replica) -> int:
    """Load the newest intact state; a damaged one is passed over with a warning.

    Returns
    -------
    int
        Step to go on with; 0 if the folder has no state.

    Raises
    ------
    CheckpointError
        If there are states and none can be loaded.
    """
    steps = saved_steps(folder)
    for step in reversed(steps):
        try:
            load_state(folder, replica, step)
        except CheckpointError as error:
            if step == steps[0]:
                raise
            _log.warning("%s; trying an earlier state", error)
        else:
            return step
    return 0


def retain_states(folder: Path, steps: Collection[int]) -> None:
    """Delete all states but those before ``steps``, and what killed processes left half written."""
    kept = {_tensors_path(folder, step).stem for step in steps}
    # Manifests sort before tensors: a state is never there by half.
    for path in sorted([*folder.glob("step-*"), *folder.glob(".step-*.tmp")], key=lambda path: path.suffix):
        if path.stem not in kept:
            path.unlink()


def replica_tensors(replica: Replica) -> dict[str, Tensor]:
    """The model's state as ``model.<name>`` and the optimiser's as ``<moment>.<name>``, on the CPU."""
    tensors = {f"model.{name}": value.detach().cpu() for name, value in replica.model.state_dict().items()}
    for name, weight in replica.model.named_parameters():
        for moment, value in replica.optimiser.state.get(weight, {}).items():
            # SGD without momentum keeps an empty place.
            if value is not None:
                tensors[f"{moment}.{name}"] = value.cpu()
    return tensors


@torch.no_grad()
def fill_replica(replica: Replica, tensors: Mapping[str, Tensor], where: str) -> None:
    """Take over state and moments; names and shapes must be this replica's."""
    state, weights = replica.model.state_dict(), dict(replica.model.named_parameters())
    found = {key: value.shape for key, value in tensors.items() if key.startswith("model.")}
    if found != {f"model.{name}": value.shape for name, value in state.items()}:
        raise CheckpointError("its tensors are not this model's", where=where)
    replica.optimiser.state.clear()
    for key, value in tensors.items():
        kind, _, name = key.partition(".")
        if kind == "model":
            state[name].copy_(value)
        else:
            replica.optimiser.state[weights[name]][kind] = value.to(weights[name].device, copy=True)


def _tensors_path(folder: Path, step: int) -> Path:
    return folder / f"step-{step:08d}.safetensors"


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        digest = manifest.pop("digest")
    except FileNotFoundError:
        raise CheckpointError("no such state", where=str(path)) from None
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"not a state's manifest ({type(error).__name__})", where=str(path), remedy=_REMEDY
        ) from None
    if digest != _digest(manifest):
        raise CheckpointError("its content has changed", where=str(path), remedy=_REMEDY)
    return manifest


def _digest(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
