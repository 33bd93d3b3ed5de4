"""Flower's programs kept offline and to their own folder."""

import os
import secrets
import socket
import sys
from pathlib import Path

from wardlaw.errors import ConfigError

OFFLINE = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    # Else every run would install the app's dependencies anew, from the network.
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Seconds between a SuperExec's looks for work; the default of 1 is most of a small round.
    "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.1",
}
LOOPBACK = "127.0.0.1"


def flower_environment(home: Path) -> dict[str, str]:
    """Environment of Flower's programs.

    Parameters
    ----------
    home : Path
        Becomes ``FLWR_HOME``: connections, unpacked apps, logs.

    Returns
    -------
    dict of str to str
        This process's environment with telemetry, update check and installation of
        dependencies off, this interpreter's programs first, and loopback past any proxy.
    """
    direct = [*filter(None, [os.environ.get("NO_PROXY")]), LOOPBACK, "localhost"]
    return {
        **os.environ,
        **OFFLINE,
        "FLWR_HOME": str(home.resolve()),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "NO_PROXY": ",".join(direct),
        "no_proxy": ",".join(direct),
    }


def program(name: str) -> str:
    """Path of a program that was installed with this interpreter."""
    return str(Path(sys.executable).parent / name)


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def require_free_port(port: int) -> None:
    """Check that nobody listens on a loopback port.

    Raises
    ------
    ConfigError
        If somebody does: another program's answers would be taken for ours.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise ConfigError(f"port {port} cannot be used: {error.strerror}", where="--port") from None


def private_folder(folder: Path) -> None:
    """Make a folder, or keep it, for its owner's eyes only."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)


def superexec_secret(home: Path) -> str:
    """Path of a new secret that a SuperExec shows to the program that it works for."""
    path = (home / "superexec.secret").resolve()
    private_folder(path.parent)
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32))
    return str(path)
