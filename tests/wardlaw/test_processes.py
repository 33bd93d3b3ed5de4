"""Children end with their parent, however it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wardlaw.deployment.processes import Children

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
PARENT = """
import os, signal, sys, time
from pathlib import Path
from wardlaw.deployment.processes import Children, exit_on_sigterm
with exit_on_sigterm(), Children(Path(sys.argv[1]), os.environ) as children:
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    children.start("sleeper", [sys.executable, "-c", code])
    time.sleep(600)
"""


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_for(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_what_a_child_started_is_stopped_with_it(tmp_path):
    code = (
        "import subprocess, sys, time\n"
        "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid, flush=True)\n"
        "time.sleep(600)"
    )
    with Children(tmp_path, os.environ) as children:
        children.start("one", [sys.executable, "-c", code])
        assert wait_for(lambda: children.log("one").read_text().strip())
        grandchild = int(children.log("one").read_text())
        assert is_alive(grandchild)
    assert wait_for(lambda: not is_alive(grandchild))


def test_an_ended_child_is_reported_with_its_status(tmp_path):
    with Children(tmp_path, os.environ) as children:
        children.start("sleeper", SLEEPER)
        children.start("brief", [sys.executable, "-c", "raise SystemExit(7)"])
        assert wait_for(children.ended)
        assert children.ended() == {"brief": 7}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent was killed")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_to_the_parent_ends_the_children(tmp_path, number):
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], cwd=Path(__file__).parents[2])
    log = tmp_path / "sleeper.log"
    assert wait_for(lambda: log.exists() and log.read_text().strip())
    child = int(log.read_text())
    parent.send_signal(number)
    assert parent.wait(20) == (143 if number == signal.SIGTERM else -signal.SIGKILL)
    assert wait_for(lambda: not is_alive(child))


def test_logs_are_for_the_owner_only_and_say_where_a_start_begins(tmp_path):
    say = [sys.executable, "-c", "print('hello')"]
    starts = []
    for _ in range(2):
        with Children(tmp_path, os.environ) as children:
            starts.append(children.start("say", say))
            assert wait_for(children.ended)
    assert (tmp_path / "say.log").stat().st_mode & 0o777 == 0o600
    assert starts == [0, len("hello\n")]
