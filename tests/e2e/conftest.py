"""Small federations, alike to the bit, and a deployment of one on loopback."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from simulations.federation_folder import participating_policies
from wardlaw.config import RunConfig, to_flat
from wardlaw.deployment.environment import free_port, program

ROUNDS = 3


@pytest.fixture
def tiny_run(random_federation) -> Callable[[], RunConfig]:
    """Settings of a run over three sites of its own; always the same run."""

    def make() -> RunConfig:
        tables = {
            "data": {"federation": str(random_federation(sites=3))},
            "model": {"size": "xs", "context": 16},
            "train": {"tokens": 192 * 3 * ROUNDS, "batch-tokens": 192},
            "federation": {"replicas": 3, "local-steps": 3, "quorum": 3},
            "strategy": {"name": "fedprox", "proximal-mu": 0.1},
        }
        return RunConfig.model_validate(tables)

    return make


@pytest.fixture
def final_weights() -> Callable[[Path], bytes]:
    """The last checkpoint's weights of a finished record."""

    def read(folder: Path) -> bytes:
        assert (folder / "result.json").exists()
        return (folder / "checkpoints" / f"round-{ROUNDS:06d}.safetensors").read_bytes()

    return read


class Deployment:
    """A coordinator and its sites on loopback, run by the commands that a user types."""

    def __init__(self, folder: Path, config: RunConfig) -> None:
        self.folder, self.state = folder, folder / "coordinator"
        self.policies = participating_policies(config)
        self.port, self.server_health, *self.node_health = (free_port() for _ in range(5))
        folder.mkdir()
        # What a coordinator writes: a site's folder is none of its business.
        flat = {key: value for key, value in to_flat(config).items() if key != "data.federation"}
        lines = [f"{key} = {json.dumps(value)}\n" for key, value in flat.items()]
        (folder / "run.toml").write_text("".join(lines))
        self._wardlaw("server", "certificates", "--out", self.certificates, "--host", "localhost")
        for policy in self.policies:
            self._wardlaw("client", "key", "--out", folder / policy.site)
            public = folder / f"{policy.site}.pub"
            self._wardlaw("server", "register", public, "--name", policy.site, "--state", self.state)

    @property
    def certificates(self) -> Path:
        return self.state / "certificates"

    @property
    def record(self) -> Path:
        """The record of the only run."""
        (folder,) = (self.state / "runs").iterdir()
        return folder

    @contextmanager
    def server(self) -> Iterator[subprocess.Popen]:
        """``wardlaw server start``, once it says that it is healthy."""
        command = ["server", "start", "--config", self.folder / "run.toml", "--state", self.state]
        command += ["--port", self.port, "--health-port", self.server_health]
        with self._running("server", command) as server:
            self.wait_for(lambda: is_serving(self.server_health), "a healthy server", server)
            yield server

    @contextmanager
    def nodes(self) -> Iterator[list[subprocess.Popen]]:
        """``wardlaw client start`` for each site, once all say that they are healthy."""
        with ExitStack() as stack:
            nodes = []
            for policy, health in zip(self.policies, self.node_health, strict=True):
                site = policy.state.parent / "site.toml"
                command = ["client", "start", "--site", site, "--superlink", f"localhost:{self.port}"]
                command += ["--ca", self.certificates / "ca.crt", "--key", self.folder / policy.site]
                command += ["--health-port", health]
                nodes.append(stack.enter_context(self._running(policy.site, command)))
            for node, health in zip(nodes, self.node_health, strict=True):
                self.wait_for(lambda port=health: is_serving(port), "a healthy node", node)
            yield nodes

    def wait_for(
        self, condition: Callable[[], object], what: str, process: subprocess.Popen | None = None
    ) -> None:
        deadline = time.monotonic() + 300
        while not condition():
            assert time.monotonic() < deadline, f"no {what}\n{self.told()}"
            assert process is None or process.poll() is None, f"ended before {what}\n{self.told()}"
            time.sleep(0.2)

    def told(self) -> str:
        """All that the deployment's programs said, for a failing assertion."""
        logs = [*self.folder.glob("*.out"), *self.state.glob("logs/*.log")]
        logs += [log for policy in self.policies for log in policy.state.glob("logs/*.log")]
        return "\n".join(f"--- {log}\n{log.read_text()[-4000:]}" for log in logs)

    def processes(self, word: str = "") -> list[int]:
        """Processes that have to do with this deployment, and whose command line has the word."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                command, environment = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
            except OSError:
                continue
            if str(self.folder).encode() in command + environment and word.encode() in command:
                found.append(int(entry.name))
        return found

    @contextmanager
    def _running(self, name: str, command: list[object]) -> Iterator[subprocess.Popen]:
        with (self.folder / f"{name}.out").open("ab") as out:
            process = subprocess.Popen(
                [program("wardlaw"), *map(str, command)],
                stdout=out,
                stderr=out,
                cwd="/",
                env=dict(os.environ),
            )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)

    def _wardlaw(self, *command: object) -> None:
        subprocess.run([program("wardlaw"), *map(str, command)], check=True, capture_output=True)


@pytest.fixture
def deploy(tmp_path_factory) -> Callable[[RunConfig], Deployment]:
    """Makes certificates and keys for a run."""
    return lambda config: Deployment(tmp_path_factory.mktemp("deploy") / "here", config)


@pytest.fixture
def is_healthy() -> Callable[[int], bool]:
    return is_serving


def is_serving(port: int) -> bool:
    """Whether a health check on a loopback port says SERVING."""
    request = health_pb2.HealthCheckRequest()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=10)
        except grpc.RpcError:
            return False
    return answer.status == health_pb2.HealthCheckResponse.SERVING
