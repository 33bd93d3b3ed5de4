"""A federation of synthetic ECG in the three runtimes: teacher and codebooks too, bit for bit."""

import pytest

from simulations.ecg.prepare import prepare_ecg_federation
from simulations.flower_engine import run_in_flower_engine
from simulations.in_process import run_in_process
from tests.e2e.conftest import ROUNDS
from tests.noise_ecg import noise_shard
from wardlaw.config import RunConfig
from wardlaw.records import load_record

CONTEXT, SITES = 128, ("a", "b", "c")


@pytest.fixture(scope="module")
def ecg_run(tmp_path_factory):
    """Settings of a run over three sites of its own; always the same run."""

    def make() -> RunConfig:
        folder = tmp_path_factory.mktemp("ecg")
        shards = [noise_shard(folder / "shards" / site, site).folder for site in SITES]
        prepare_ecg_federation(shards, folder / "federation", drop_shared=False)
        tables = {
            "data": {"federation": str(folder / "federation")},
            "model": {"family": "transformer", "size": "20k", "context": CONTEXT},
            "objective": {"name": "dinosr"},
            "train": {"tokens": CONTEXT * 12 * 3 * ROUNDS, "batch-tokens": CONTEXT * 12},
            "federation": {"replicas": 3, "local-steps": 3, "quorum": 3},
            "strategy": {"name": "fedprox", "proximal-mu": 0.1},
        }
        return RunConfig.model_validate(tables)

    return make


@pytest.fixture(scope="module")
def here(ecg_run, tmp_path_factory):
    """The record of the run in this process."""
    return run_in_process(ecg_run(), tmp_path_factory.mktemp("in-process"))


@pytest.mark.slow
def test_flowers_engine_ends_in_the_same_bits(ecg_run, here, final_weights, tmp_path):
    engine = run_in_flower_engine(ecg_run(), tmp_path)
    assert final_weights(engine) == final_weights(here)
    for table in ("steps", "evaluation"):
        assert load_record(engine).table(table).equals(load_record(here).table(table))
    assert load_record(engine).result.synthetic


@pytest.mark.slow
def test_a_deployment_ends_in_the_same_bits(ecg_run, here, final_weights, deploy):
    deployment = deploy(ecg_run())
    with deployment.server() as server, deployment.nodes():
        assert server.wait(600) == 0, deployment.told()
    assert final_weights(deployment.record) == final_weights(here)
    assert load_record(deployment.record).table("evaluation").equals(load_record(here).table("evaluation"))
    deployment.wait_for(lambda: not deployment.processes(), "end of all processes")
