"""Child processes that end with their parent, whatever ends it."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn, Self

_GRACE_S = 10.0
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class Children:
    """Programs started together and stopped together, last started first.

    Each has its own session, so that a Ctrl-C reaches this process alone, which then
    stops them in order, together with whatever they started. On Linux they also get
    SIGTERM when this process is killed.

    Parameters
    ----------
    logs : Path
        Folder of one log file a program, readable by the user only.
    environment : mapping
        Environment of the programs.
    """

    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        self._logs, self._environment = logs, dict(environment)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for child in reversed(self._running.values()):
            _stop(child)

    def start(self, name: str, command: Sequence[str]) -> int:
        """Start a program whose output goes to ``<name>.log``, in a folder that holds no code.

        Returns
        -------
        int
            Where in the log its output starts: the log keeps what earlier ones wrote.
        """
        self._logs.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.log(name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "ab") as log:
            start = log.tell()
            self._running[name] = subprocess.Popen(
                command,
                # Python puts the working directory of some of Flower's workers before the app's code.
                cwd=self._logs,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        return start

    def log(self, name: str) -> Path:
        """Log file of a program."""
        return self._logs / f"{name}.log"

    def ended(self) -> dict[str, int]:
        """Exit statuses of the programs that do not run any more."""
        return {name: child.returncode for name, child in self._running.items() if child.poll() is not None}


@contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """Let SIGTERM unwind the stack like Ctrl-C does, so that children are stopped; exit status 143."""
    former = signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


def _exit(number: int, _: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def _die_with_parent() -> None:
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _stop(child: subprocess.Popen[bytes]) -> None:
    # What the program itself started is in its process group.
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        child.wait(_GRACE_S)
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
