"""``wardlaw client start``: a site's SuperNode, and the process that runs its ClientApp.

The node dials out to the SuperLink; nothing outside the machine reaches it. Each
message gets a fresh ClientApp process.
"""

import logging
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

from wardlaw.config import load_site_policy
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
from wardlaw.errors import AdmissionError, ConfigError

POLL_S = 1.0
# Printed by flower-supernode once the SuperLink has accepted the node's key.
_ACCEPTED = b"SuperNode ID: "

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Node:
    """A site's node.

    Attributes
    ----------
    site : Path
        The site's ``site.toml``.
    superlink : str
        ``host:port`` of the coordinator.
    root_certificates : Path
        The coordinator's ``ca.crt``.
    key : Path
        The site's private node key, whose public half is registered.
    port : int
        Loopback port between the SuperNode and its ClientApp processes.
    health_port : int or None
        Loopback port of the health checks.
    """

    site: Path
    superlink: str
    root_certificates: Path
    key: Path
    port: int
    health_port: int | None


def serve_node(node: Node) -> None:
    """Take part in the coordinator's runs until stopped.

    Raises
    ------
    ConfigError
        If a file is missing, the address is malformed or a port is taken.
    AdmissionError
        If the SuperLink does not accept the node, or it ended.
    """
    policy = load_site_policy(node.site)
    for file, remedy in (
        (node.root_certificates, "The coordinator gives it out"),
        (node.key, f"Make it with `wardlaw client key --out {node.key}`"),
    ):
        if not file.is_file():
            raise ConfigError("no such file", where=str(file), remedy=remedy)
    host, port = _split(node.superlink)
    require_free_port(node.port)
    # Moments of a model that saw patients, and the names in tracebacks, are nobody else's business.
    private_folder(policy.state)
    home = policy.state / "flower"
    secret = superexec_secret(home)
    address = f"{LOOPBACK}:{node.port}"
    with Children(policy.state / "logs", flower_environment(home)) as children:
        log_start = children.start(
            "supernode",
            [
                program("flower-supernode"),
                *("--superlink", node.superlink),
                *("--root-certificates", str(node.root_certificates.resolve())),
                *("--auth-supernode-private-key", str(node.key.resolve())),
                *("--host", LOOPBACK, "--port", str(node.port)),
                *("--isolation", "process", "--superexec-auth-secret-file", secret),
                *("--node-config", f'site="{node.site.resolve()}"'),
            ],
        )
        children.start(
            "superexec",
            [
                program("flower-superexec"),
                *("--runtime-api-address", address, "--insecure"),
                *("--superexec-auth-secret-file", secret),
            ],
        )

        def is_connected() -> bool:
            accepted = _ACCEPTED in children.log("supernode").read_bytes()[log_start:]
            return accepted and not children.ended() and can_reach(host, port, node.root_certificates)

        with serve_health(node.health_port, is_connected):
            _watch(children, policy.site)


def can_reach(host: str, port: int, root_certificates: Path) -> bool:
    """Whether a server with a certificate of this authority answers there now."""
    context = ssl.create_default_context(cafile=str(root_certificates))
    try:
        with (
            socket.create_connection((host, port), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname=host),
        ):
            return True
    except OSError:
        return False


def _watch(children: Children, site: str) -> None:
    logger.info("site %s runs; its logs are in %s", site, children.log("supernode").parent)
    while not (ended := children.ended()):
        time.sleep(POLL_S)
    name, status = next(iter(ended.items()))
    raise AdmissionError(
        f"{name} ended with status {status}",
        where=str(children.log(name)),
        remedy="A node is refused while its key is not registered, while its clock is more than 5 s ahead, "
        "and for a minute after it was killed",
    )


def _split(address: str) -> tuple[str, int]:
    host, separator, port = address.rpartition(":")
    if not separator or not port.isdigit():
        raise ConfigError(f"'{address}' is not of the form host:port", where="--superlink")
    return host.strip("[]"), int(port)
