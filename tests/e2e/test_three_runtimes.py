"""One ServerApp, one ClientApp, three runtimes: the same weights, bit for bit."""

import logging

import pytest

import client.local_round
from client.app import app
from server.federation import run_federation
from simulations.federation_folder import participating_policies
from simulations.flower_engine import run_in_flower_engine
from simulations.grid import WireGrid
from simulations.in_process import run_in_process
from wardlaw.config import to_flat
from wardlaw.records import load_record

CANARY = "patient-10004235-canary"


def test_serialisation_changes_nothing(tiny_run, final_weights, tmp_path):
    plain = run_in_process(tiny_run(), tmp_path / "plain")
    config = tiny_run()
    wired = run_federation(WireGrid(app, 3, to_flat(config)), config, tmp_path / "wired")
    assert final_weights(wired) == final_weights(plain)


def test_a_run_leaves_no_word_of_a_patient_at_the_server(tiny_run, tmp_path, monkeypatch, caplog, capfd):
    config = tiny_run()
    config = config.model_copy(update={"federation": config.federation.model_copy(update={"quorum": 2})})
    train = client.local_round.train_steps

    def fail_at_one_site(replica, *rest):
        if replica.name == "site-1":
            raise KeyError(CANARY)
        return train(replica, *rest)

    monkeypatch.setattr(client.local_round, "train_steps", fail_at_one_site)
    with caplog.at_level(logging.DEBUG):
        folder = run_in_process(config, tmp_path)
    rounds = load_record(folder).table("rounds").to_pylist()
    assert [row["rejected"] for row in rounds] == [["site-1: failed"]] * 3
    assert not any(CANARY.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert CANARY not in caplog.text + "".join(capfd.readouterr())
    policy = participating_policies(config)[1]
    assert CANARY in (policy.state / "errors.log").read_text()


@pytest.mark.slow
def test_all_three_runtimes_end_in_the_same_bits(tiny_run, final_weights, deploy, is_healthy, tmp_path):
    here = run_in_process(tiny_run(), tmp_path / "in-process")
    engine = run_in_flower_engine(tiny_run(), tmp_path / "engine")
    assert final_weights(engine) == final_weights(here)
    assert load_record(engine).table("steps").equals(load_record(here).table("steps"))

    # TLS, registered keys, a SuperNode process a site.
    deployment = deploy(tiny_run())
    with deployment.server() as server, deployment.nodes() as nodes:
        assert server.wait(600) == 0, deployment.told()
        # The server is gone, the nodes wait for another, and their health says so.
        assert all(node.poll() is None for node in nodes)
        assert not any(is_healthy(port) for port in deployment.node_health)
    assert final_weights(deployment.record) == final_weights(here)
    for record in (engine, deployment.record):
        assert load_record(record).table("evaluation").equals(load_record(here).table("evaluation"))
    deployment.wait_for(lambda: not deployment.processes(), "end of all processes")
