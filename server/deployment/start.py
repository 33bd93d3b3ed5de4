"""``wardlaw server start``: one run over SuperNodes, from SuperLink to exit status."""

import logging
from dataclasses import dataclass
from pathlib import Path

from server.deployment.certificates import (
    CA_CERTIFICATE,
    SERVER_CERTIFICATE,
    SERVER_KEY,
    require_certificates,
)
from server.deployment.superlink import SuperLink, project_folder
from server.deployment.waiting import is_healthy, require_result, wait_for_end, wait_until_healthy
from wardlaw.config import RunConfig, to_flat
from wardlaw.deployment.environment import (
    LOOPBACK,
    flower_environment,
    private_folder,
    program,
    require_free_port,
    superexec_secret,
)
from wardlaw.deployment.health import serve_health
from wardlaw.deployment.processes import Children
from wardlaw.records import is_finished, record_folder

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
    private_folder(coordinator.state)
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
        require_result(superlink, state, folder, children.log(f"run-{run_id}"))
    return folder


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
