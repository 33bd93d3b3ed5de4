"""``wardlaw server start``: one run over SuperNodes, from SuperLink to exit status."""

import logging
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path

from server.deployment.certificates import (
    CA_CERTIFICATE,
    SERVER_CERTIFICATE,
    SERVER_KEY,
    require_certificates,
)
from server.deployment.superlink import RunState, SuperLink, project_folder
from wardlaw.config import RunConfig, to_flat
from wardlaw.deployment.environment import (
    LOOPBACK,
    flower_environment,
    program,
    require_free_port,
    superexec_secret,
)
from wardlaw.deployment.health import serve_health
from wardlaw.deployment.processes import Children
from wardlaw.errors import RoundError
from wardlaw.records import is_finished, record_folder

START_S = 60.0
POLL_S = 1.0
ASK_S = 15.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Coordinator:
    """Places and addresses of a coordinator.

    Attributes
    ----------
    state : Path
        Database, keys of sites, logs, records and Flower's own files.
    certificates : Path
        Folder made by ``wardlaw server certificates``.
    host : str
        Address that the SuperLink listens on. Flower's Control API has no login:
        only the Fleet API's paths may be reachable from outside.
    port : int
    health_port : int or None
        Loopback port of the health checks.
    """

    state: Path
    certificates: Path
    host: str
    port: int
    health_port: int | None

    @property
    def home(self) -> Path:
        """Flower's own folder."""
        return self.state / "flower"

    @property
    def records(self) -> Path:
        """Folder of run records."""
        return self.state / "runs"

    @property
    def superlink(self) -> SuperLink:
        """The SuperLink as this machine reaches it."""
        return SuperLink(self.home, f"{LOOPBACK}:{self.port}", self.certificates / CA_CERTIFICATE)


def site_keys(state: Path) -> dict[str, Path]:
    """Public keys of the sites that may take part, by site name."""
    return {path.stem: path for path in sorted((state / "sites").glob("*.pub"))}


def serve_run(config: RunConfig, coordinator: Coordinator) -> Path:
    """Start a SuperLink, submit the run, wait for its end, and stop everything.

    A run that was interrupted goes on from its last checkpoint when it is started again.

    Parameters
    ----------
    config : RunConfig
    coordinator : Coordinator

    Returns
    -------
    Path
        The finished record's folder.

    Raises
    ------
    ConfigError
        If certificates are missing or a port is taken.
    RoundError
        If the run failed or was stopped, or left no result.
    """
    require_certificates(coordinator.certificates)
    records = coordinator.records.resolve()
    config = config.model_copy(update={"run": config.run.model_copy(update={"records": str(records)})})
    folder = record_folder(records, config)
    if is_finished(folder):
        return folder
    require_free_port(coordinator.port)
    # The database holds every model of the run in clear.
    coordinator.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    superlink = coordinator.superlink
    superlink.write_connection()
    with Children(coordinator.state / "logs", flower_environment(coordinator.home)) as children:
        _start(children, coordinator)
        registered: set[str] = set()
        _register(coordinator, registered)
        for former in superlink.runs():
            if not former.finished:
                superlink.stop(former.run_id)
        run_id = superlink.submit(project_folder(), to_flat(config))
        logger.info("run %s submitted; record in %s", run_id, folder)
        authority = coordinator.certificates / CA_CERTIFICATE
        with serve_health(
            coordinator.health_port,
            lambda: not children.ended() and is_healthy(coordinator.port, authority),
        ):
            state = wait_for_end(
                superlink, run_id, folder, children, lambda: _register(coordinator, registered)
            )
    require_result(state, folder, children.log("superexec"))
    return folder


def wait_for_end(
    superlink: SuperLink, run_id: str, folder: Path, children: Children, between: Callable[[], None]
) -> RunState:
    """Wait until a run has ended, by Flower's own word.

    Parameters
    ----------
    superlink : SuperLink
    run_id : str
    folder : Path
        The run's record, whose result is a hint to ask at once: to ask is costly.
    children : Children
        Programs without which the run cannot go on.
    between : callable
        Called at each look.
    """
    asked = 0.0
    while True:
        if ended := children.ended():
            names = ", ".join(f"{name} (status {status})" for name, status in ended.items())
            raise RoundError(f"{names} ended", where=str(children.log(next(iter(ended)))))
        if is_finished(folder) or time.monotonic() - asked > ASK_S:
            asked = time.monotonic()
            state = superlink.run(run_id)
            if state.finished:
                return state
        between()
        time.sleep(POLL_S)


def require_result(state: RunState, folder: Path, log: Path) -> None:
    """Check that a run that has ended left its result.

    Raises
    ------
    RoundError
        With Flower's word for how it ended.
    """
    if not (state.completed and is_finished(folder)):
        raise RoundError(
            f"the run ended as {state.status} without a result {state.details}".strip(),
            where=str(folder),
            remedy=f"{log} has the ServerApp's output; the same command goes on from the last checkpoint",
        )


def wait_until_healthy(port: int, children: Children, root_certificates: Path | None) -> None:
    """Wait until a SuperLink answers on a loopback port.

    Raises
    ------
    RoundError
        If it ended, or did not answer in time.
    """
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and not children.ended():
        if is_healthy(port, root_certificates):
            return
        time.sleep(0.1)
    raise RoundError("the SuperLink did not start", where=str(children.log("superlink")))


def is_healthy(port: int, root_certificates: Path | None) -> bool:
    """Whether a SuperLink answers on a loopback port now, under a certificate of this authority."""
    connection: HTTPConnection
    if root_certificates is None:
        connection = HTTPConnection(LOOPBACK, port, timeout=5)
    else:
        context = ssl.create_default_context(cafile=str(root_certificates))
        connection = HTTPSConnection(LOOPBACK, port, timeout=5, context=context)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _start(children: Children, coordinator: Coordinator) -> None:
    certificates = coordinator.certificates.resolve()
    authority = str(certificates / CA_CERTIFICATE)
    secret = superexec_secret(coordinator.home)
    address = f"{LOOPBACK}:{coordinator.port}"
    children.start(
        "superlink",
        [
            program("flower-superlink"),
            *("--host", coordinator.host, "--port", str(coordinator.port)),
            *("--ssl-ca-certfile", authority),
            *("--ssl-certfile", str(certificates / SERVER_CERTIFICATE)),
            *("--ssl-keyfile", str(certificates / SERVER_KEY)),
            *("--database", str((coordinator.state / "superlink.db").resolve())),
            *("--isolation", "process", "--superexec-auth-secret-file", secret),
            "--enable-supernode-auth",
            "--disable-runtime-dependency-installation",
        ],
    )
    wait_until_healthy(coordinator.port, children, certificates / CA_CERTIFICATE)
    children.start(
        "superexec",
        [
            program("flower-superexec"),
            *("--runtime-api-address", address, "--root-certificates", authority),
            *("--superexec-auth-secret-file", secret),
        ],
    )


def _register(coordinator: Coordinator, registered: set[str]) -> None:
    for site, key in site_keys(coordinator.state).items():
        if site not in registered:
            coordinator.superlink.register(key, site)
            registered.add(site)
            logger.info("site %s may take part", site)
