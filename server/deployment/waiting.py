"""Waiting for a SuperLink to answer and for a run to end, and what to make of its end."""

import logging
import ssl
import time
from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path

from server.deployment.superlink import RunState, SuperLink
from wardlaw.deployment.environment import LOOPBACK
from wardlaw.deployment.processes import Children
from wardlaw.errors import RoundError
from wardlaw.files import write_text_atomically
from wardlaw.records import is_finished

START_S = 60.0
POLL_S = 1.0
ASK_S = 15.0

logger = logging.getLogger(__name__)


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
            try:
                state = superlink.run(run_id)
            except RoundError as error:
                # On a machine that has too much to do; the children say if there is nobody to answer.
                logger.warning("%s", error)
            else:
                if state.finished:
                    return state
        between()
        time.sleep(POLL_S)


def require_result(superlink: SuperLink, state: RunState, folder: Path, log: Path) -> None:
    """Check that a run that has ended left its result.

    Parameters
    ----------
    superlink : SuperLink
        Still running: the ServerApp's output is asked of it.
    state : RunState
    folder : Path
        The run's record.
    log : Path
        Where the ServerApp's output is kept if the run failed.

    Raises
    ------
    RoundError
        With Flower's word for how it ended.
    """
    if state.completed and is_finished(folder):
        return
    write_text_atomically(log, superlink.log(state.run_id))
    reason = state.details.removeprefix("ServerApp failed with exception: ") or "it left no result"
    raise RoundError(
        f"the run ended as {state.status}: {reason}",
        where=str(folder),
        remedy=f"{log} has what the ServerApp said; the same command goes on from the last checkpoint",
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
