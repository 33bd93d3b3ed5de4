"""A federated run in Flower's own simulation engine: Ray actors, a SuperLink, the app's bundle.

Slower to start than ``simulations.in_process`` by about ten seconds, but it scales out
on a Ray cluster, and it runs the bundle that hospitals get.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server.deployment.superlink import SuperLink, project_folder
from server.deployment.waiting import require_result, wait_for_end, wait_until_healthy
from simulations.federation_folder import participating_policies
from simulations.in_process import collect_steps, open_ledgers, require_shards
from simulations.privacy_record import state_privacy
from wardlaw.config import RunConfig, to_flat
from wardlaw.deployment.environment import LOOPBACK, flower_environment, free_port, program
from wardlaw.deployment.processes import Children
from wardlaw.records import is_finished, record_folder


def run_in_flower_engine(config: RunConfig, records: Path) -> Path:
    """Compute a federated run over the sites of ``data.federation``, or go on where it stopped.

    The engine has a folder, a port and a working directory of its own, so that neither
    another checkout's code nor another user's SuperLink can be taken for ours, and its
    processes end with the call. Each site's actor has one processor.

    Parameters
    ----------
    config : RunConfig
        A run whose topology is ``federated``.
    records : Path
        Folder of record folders.

    Returns
    -------
    Path
        The finished record's folder.

    Raises
    ------
    ShardError
        If a site has no shard that the run can read.
    RoundError
        If the run failed or left no result.
    """
    policies = participating_policies(config)
    require_shards(config, policies)
    open_ledgers(config, policies)
    records = records.resolve()
    folder = record_folder(records, config)
    if not is_finished(folder):
        settings = to_flat(_located(config, records))
        home = Path(tempfile.mkdtemp(prefix="wardlaw-flower-"))
        with running_engine(home) as (superlink, children):
            run_id = superlink.submit(project_folder(), settings, simulated_nodes(len(policies)))
            state = wait_for_end(superlink, run_id, folder, children, between=lambda: None)
            require_result(superlink, state, folder, children.log(f"run-{run_id}"))
        # Kept where the run failed: its logs say why.
        shutil.rmtree(home)
    collect_steps(config, folder)
    state_privacy(config, folder)
    return folder


@contextmanager
def running_engine(home: Path) -> Iterator[tuple[SuperLink, Children]]:
    """A SuperLink that simulates its nodes, on a port of its own, while the block runs."""
    port = free_port()
    superlink = SuperLink(home, f"{LOOPBACK}:{port}", root_certificates=None)
    superlink.write_connection()
    with Children(home / "logs", flower_environment(home)) as children:
        children.start(
            "superlink",
            [
                program("flower-superlink"),
                *("--insecure", "--simulation", "--isolation", "subprocess"),
                *("--host", LOOPBACK, "--port", str(port)),
                "--disable-runtime-dependency-installation",
            ],
        )
        wait_until_healthy(port, children, root_certificates=None)
        yield superlink, children


def simulated_nodes(number: int) -> str:
    """Flower's settings of a simulation with as many nodes, each on one processor."""
    return f"num-supernodes={number} client-resources-num-cpus=1"


def _located(config: RunConfig, records: Path) -> RunConfig:
    """The same run with absolute places: a ServerApp's working directory is anybody's guess."""
    return config.model_copy(
        update={
            "run": config.run.model_copy(update={"records": str(records)}),
            "data": config.data.model_copy(
                update={"federation": str(Path(config.data.federation).resolve())}
            ),
        }
    )
