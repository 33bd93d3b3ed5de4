"""What a deployment does when something dies, and what the commands say of it."""

import os
import signal

import pytest

from simulations.in_process import run_in_process

pytestmark = pytest.mark.slow


def test_a_killed_server_app_fails_the_command_and_the_next_start_resumes(
    tiny_run, final_weights, deploy, tmp_path
):
    deployment = deploy(tiny_run())
    first_round = "runs/*/checkpoints/round-000001.json"
    with deployment.server() as server, deployment.nodes():
        deployment.wait_for(lambda: list(deployment.state.glob(first_round)), "first round", server)
        (number,) = deployment.processes("flwr-serverapp")
        os.kill(number, signal.SIGKILL)
        assert server.wait(600) == 8, deployment.told()
        assert not (deployment.record / "result.json").exists()
        # The sites' nodes were left alone and find the new server by themselves.
        with deployment.server() as again:
            assert again.wait(600) == 0, deployment.told()
    here = run_in_process(tiny_run(), tmp_path)
    assert final_weights(deployment.record) == final_weights(here)


def test_a_stopped_server_takes_its_processes_along(tiny_run, deploy):
    deployment = deploy(tiny_run())
    with deployment.server() as server:
        server.terminate()
        assert server.wait(60) == 143, deployment.told()
    deployment.wait_for(lambda: not deployment.processes(), "end of all processes")


def test_an_unregistered_node_is_refused_in_one_line(tiny_run, deploy):
    deployment = deploy(tiny_run())
    (deployment.state / "sites/site-1.pub").unlink()
    with deployment.server(), pytest.raises(AssertionError, match=r"\[ADM\].*key is not registered"):  # noqa: SIM117
        with deployment.nodes():
            pass
