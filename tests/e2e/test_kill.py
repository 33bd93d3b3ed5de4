"""A run that is killed and started again ends in the bits of one that was not."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from simulations.in_process import run_in_process
from wardlaw.config import RunConfig, load_manifest, save_manifest
from wardlaw.records import load_record, record_folder

CHILD = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from simulations.in_process import run_in_process
from wardlaw.config import load_manifest
run_in_process(load_manifest(Path(sys.argv[1])), Path(sys.argv[2]))
"""
ROUNDS = 8


@pytest.fixture(scope="module")
def settings(random_federation, tmp_path_factory):
    """Writes the settings of a run over sites of its own."""

    def write() -> Path:
        path = tmp_path_factory.mktemp("settings") / "manifest.json"
        tables = {
            "data": {"federation": str(random_federation(sites=3))},
            "model": {"size": "xs", "context": 16},
            "train": {"tokens": 192 * 3 * ROUNDS, "batch-tokens": 192},
            "federation": {"replicas": 2, "local-steps": 3, "quorum": 2},
            "strategy": {"name": "fednesterov", "server-learning-rate": 0.7, "server-momentum": 0.9},
        }
        save_manifest(RunConfig.model_validate(tables), path)
        return path

    return write


def weights(folder: Path) -> bytes:
    return (folder / "checkpoints" / f"round-{ROUNDS:06d}.safetensors").read_bytes()


@pytest.fixture(scope="module")
def uninterrupted(settings, tmp_path_factory) -> Path:
    return run_in_process(load_manifest(settings()), tmp_path_factory.mktemp("uninterrupted"))


@pytest.mark.parametrize(("after_round", "later_s"), [(1, 0.0), (4, 0.03)])
def test_sigkill_and_resume(settings, uninterrupted, tmp_path, after_round, later_s):
    manifest = settings()
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(manifest), str(tmp_path)], cwd=Path(__file__).parents[2]
    )
    folder = record_folder(tmp_path, load_manifest(manifest))
    while not list(folder.glob(f"checkpoints/round-{after_round:06d}.json")):
        assert child.poll() is None, "it ended before it could be killed"
        time.sleep(0.002)
    time.sleep(later_s)
    child.kill()
    assert child.wait() == -9
    assert not (folder / "result.json").exists()

    assert run_in_process(load_manifest(manifest), tmp_path) == folder
    assert weights(folder) == weights(uninterrupted)
    ours, theirs = load_record(folder), load_record(uninterrupted)
    assert ours.result.loss_per_token == theirs.result.loss_per_token
    assert ours.table("steps").equals(theirs.table("steps"))
    assert ours.table("evaluation").equals(theirs.table("evaluation"))
