"""A site's ledger: what was reserved counts for ever, and no limit is passed."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.privacy.chain import CHAIN_FILE, HEAD_FILE
from client.privacy.ledger import Ledger
from client.privacy.secret import SECRET_FILE
from client.privacy.spending import Limit, Reservation, committed, reservations
from client.sanitize import error_code
from wardlaw.errors import BudgetError, LedgerError, PolicyError
from wardlaw.privacy.accountant import epsilon
from wardlaw.privacy.events import Gaussian, PoissonGaussian

DELTA = 1e-6
ROUND = PoissonGaussian(sampling_rate=0.05, noise_multiplier=1.0, steps=20)
COUNT = Gaussian(noise_multiplier=20.0)
NONE = Limit(None, DELTA)
TEN = Limit(epsilon([Gaussian(20.0, 10)], DELTA), DELTA)
"""Ten releases of ``COUNT`` and not one more."""


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def ledger(state):
    return Ledger.open(state, "ward", NONE)


def python(code, *arguments, **options):
    """A process of its own, which has a site's ledger as ``ledger``."""
    head = "import os, signal, sys; from pathlib import Path; import client.privacy.chain as chain\n"
    head += "from client.privacy.ledger import Ledger; from client.privacy.spending import Limit\n"
    head += "from wardlaw.privacy.events import Gaussian, PoissonGaussian\n"
    head += "from wardlaw.errors import WardlawError\n"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", head + code, *map(str, arguments)]
    return subprocess.Popen(command, text=True, env=environment, stdout=subprocess.PIPE, **options)


def test_twenty_rounds_cost_their_composition_from_the_ledger_alone(ledger, state):
    for server_round in range(1, 21):
        ledger.commit(ledger.reserve("run", server_round, f"digest {server_round}", ROUND))
    again = Ledger.load(state, "ward")
    assert again.events() == (PoissonGaussian(0.05, 1.0, 400),)
    assert again.spent() == epsilon([PoissonGaussian(0.05, 1.0, 400)], DELTA)
    assert again.spent() > epsilon([ROUND], DELTA) * 1.5
    assert again.spent(1e-5) < again.spent()


def test_runs_and_releases_are_composed_together(ledger):
    ledger.reserve("one", 1, "a", ROUND)
    ledger.reserve("two", 1, "b", PoissonGaussian(0.02, 2.0, 100))
    ledger.release("vocabulary", COUNT)
    ledger.release("num-examples", None)
    assert ledger.spent() == epsilon([ROUND, PoissonGaussian(0.02, 2.0, 100), COUNT], DELTA)


def test_a_reservation_counts_without_its_commit_and_its_replay_costs_nothing(ledger):
    first = ledger.reserve("run", 1, "same", ROUND)
    assert ledger.reserve("run", 1, "same", ROUND) == first
    assert ledger.events() == (ROUND,)
    ledger.commit(first)
    ledger.commit(first)
    assert ledger.reserve("run", 1, "same", ROUND) == first
    assert [entry.kind for entry in ledger.entries()] == ["opened", "reserved", "committed"]
    assert ledger.events() == (ROUND,)


@pytest.mark.parametrize(
    ("run", "server_round", "digest", "event"),
    [
        ("run", 1, "other", ROUND),
        ("run", 2, "same", ROUND),
        ("other", 1, "same", ROUND),
        ("run", 1, "same", PoissonGaussian(0.05, 2.0, 20)),
    ],
)
def test_any_other_request_is_charged(ledger, run, server_round, digest, event):
    ledger.reserve("run", 1, "same", ROUND)
    ledger.reserve(run, server_round, digest, event)
    assert len(reservations(ledger.entries())) == 2
    assert sum(event.steps for event in ledger.events()) == 40


def test_a_release_is_charged_each_time_unless_its_replay_has_a_digest(ledger):
    for _ in range(2):
        ledger.release("vocabulary", COUNT)
        ledger.release("evaluation", COUNT, digest="same")
    assert ledger.events() == (Gaussian(20.0, 3),)


def test_what_is_not_of_the_ledger_cannot_be_committed(ledger):
    known = ledger.reserve("run", 1, "a", ROUND)
    for number, event in ((0, ROUND), (7, ROUND), (known.number, COUNT)):
        with pytest.raises(LedgerError, match="no such reservation"):
            ledger.commit(Reservation(number, "run", 1, "a", event))
    assert not committed(ledger.entries())


def test_the_limit_is_never_passed_and_nothing_is_written_beyond_it(state):
    ledger = Ledger.open(state, "ward", TEN)
    for number in range(10):
        ledger.release(f"{number}", COUNT)
    before = (state / CHAIN_FILE).read_bytes()
    for refused in (lambda: ledger.release("more", COUNT), lambda: ledger.reserve("run", 1, "a", ROUND)):
        with pytest.raises(BudgetError, match="above its limit"):
            refused()
    assert (state / CHAIN_FILE).read_bytes() == before
    ledger.release("declared", None)
    assert ledger.spent() == TEN.epsilon


def test_a_replay_is_free_where_nothing_is_left(state):
    ledger = Ledger.open(state, "ward", Limit(epsilon([COUNT, ROUND], DELTA), DELTA))
    reservation = ledger.reserve("run", 1, "same", ROUND)
    ledger.release("evaluation", COUNT, digest="same")
    assert ledger.reserve("run", 1, "same", ROUND) == reservation
    ledger.release("evaluation", COUNT, digest="same")
    with pytest.raises(BudgetError):
        ledger.release("evaluation", COUNT, digest="other")


def test_a_limit_below_what_is_spent_refuses_even_a_replay(state):
    ledger = Ledger.open(state, "ward", NONE)
    ledger.reserve("run", 1, "a", ROUND)
    lowered = Ledger.load(state, "ward", Limit(0.01, DELTA))
    for digest in ("a", "b"):
        with pytest.raises(BudgetError):
            lowered.reserve("run", 1, digest, ROUND)
    with pytest.raises(BudgetError):
        lowered.release("count", COUNT)
    raised = Ledger.load(state, "ward", Limit(100.0, DELTA))
    assert raised.reserve("run", 2, "b", ROUND).number == 2


def test_the_limit_in_force_is_noted_and_holds_by_default(state):
    assert Ledger.open(state, "ward", TEN).limit == Ledger.load(state, "ward").limit == TEN
    other = Limit(3.0, 1e-5)
    Ledger.load(state, "ward", other).reserve("run", 1, "a", ROUND)
    assert Ledger.load(state, "ward").limit == other


@pytest.mark.parametrize("limit", [(0.0, 1e-6), (-1.0, 1e-6), (float("inf"), 1e-6), (1.0, 0.0), (1.0, 1.0)])
def test_limits_that_limit_nothing_are_refused(limit):
    with pytest.raises(PolicyError):
        Limit(*limit)
    with pytest.raises(PolicyError):
        Limit(float("nan"), 1e-6)


def test_only_codes_of_the_errors_leave_the_site():
    assert error_code(BudgetError("epsilon 3 of 4")) == "BUD"
    assert error_code(LedgerError("line 7")) == "LGR"


def test_a_site_without_a_ledger_is_told_to_open_one(state):
    with pytest.raises(LedgerError, match="budget open"):
        Ledger.load(state, "ward")


@pytest.mark.parametrize("name", [SECRET_FILE, CHAIN_FILE, HEAD_FILE])
def test_a_deleted_file_is_refused_and_no_ledger_is_begun_in_its_place(ledger, state, name):
    ledger.reserve("run", 1, "a", ROUND)
    (state / name).unlink()
    with pytest.raises(LedgerError, match="missing"):
        Ledger.load(state, "ward")
    with pytest.raises(LedgerError, match="has had a ledger already"):
        Ledger.open(state, "ward", NONE)
    if name != SECRET_FILE:
        with pytest.raises(LedgerError, match="missing"):
            ledger.reserve("run", 2, "b", ROUND)


@pytest.mark.parametrize("name", [SECRET_FILE, CHAIN_FILE, HEAD_FILE])
def test_files_swapped_between_two_sites_are_refused(ledger, state, tmp_path, name):
    other = tmp_path / "other"
    Ledger.open(other, "clinic", NONE).reserve("run", 1, "a", ROUND)
    ledger.reserve("run", 1, "a", ROUND)
    mine = (state / name).read_bytes()
    (state / name).write_bytes((other / name).read_bytes())
    (other / name).write_bytes(mine)
    for folder, site in ((state, "ward"), (other, "clinic")):
        with pytest.raises(LedgerError):
            Ledger.load(folder, site)


def test_another_sites_ledger_is_refused_as_a_whole(ledger, state):
    with pytest.raises(LedgerError, match="the ledger of 'ward', not of 'clinic'"):
        Ledger.load(state, "clinic")


def test_a_secret_that_others_may_read_is_refused(ledger, state):
    assert (state / SECRET_FILE).stat().st_mode & 0o777 == 0o600
    (state / SECRET_FILE).chmod(0o640)
    with pytest.raises(LedgerError, match="chmod 600"):
        Ledger.load(state, "ward")


def test_a_clock_set_back_renews_nothing(state):
    now = [datetime(2026, 5, 1, tzinfo=UTC)]
    ledger = Ledger.open(state, "ward", TEN, lambda: now[0])
    for number in range(10):
        ledger.release(f"{number}", COUNT)
    now[0] -= timedelta(days=365)
    with pytest.raises(BudgetError):
        ledger.release("more", COUNT)
    with pytest.raises(LedgerError, match="Set the clock"):
        ledger.release("declared", None)
    ledger.accept_clock()
    with pytest.raises(BudgetError):
        ledger.release("more", COUNT)
    now[0] += timedelta(days=3650)
    with pytest.raises(BudgetError):
        ledger.release("more", COUNT)
    assert ledger.spent() == TEN.epsilon


KILLED_BEFORE_COMMIT = """
ledger = Ledger.load(Path(sys.argv[1]), "ward")
ledger.reserve("run", 1, "digest", PoissonGaussian(0.05, 1.0, 20))
os.kill(os.getpid(), signal.SIGKILL)
"""
KILLED_BEFORE_HEAD = """
ledger = Ledger.load(Path(sys.argv[1]), "ward")
chain._save_head = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
ledger.reserve("run", 1, "digest", PoissonGaussian(0.05, 1.0, 20))
"""
KILLED_IN_THE_LINE = """
ledger = Ledger.load(Path(sys.argv[1]), "ward")
def part(file, content):
    file.write(content[: len(content) // 2])
    os.kill(os.getpid(), signal.SIGKILL)
chain._write = part
ledger.reserve("run", 1, "digest", PoissonGaussian(0.05, 1.0, 20))
"""


@pytest.mark.parametrize("code", [KILLED_BEFORE_COMMIT, KILLED_BEFORE_HEAD])
def test_killed_after_the_line_the_round_is_spent_and_its_replay_costs_nothing_more(ledger, state, code):
    assert python(code, state).wait() == -signal.SIGKILL
    again = Ledger.load(state, "ward")
    assert again.spent() == epsilon([ROUND], DELTA)
    assert not committed(again.entries())
    again.commit(again.reserve("run", 1, "digest", ROUND))
    assert again.spent() == epsilon([ROUND], DELTA)
    again.reserve("run", 1, "of another model", ROUND)
    assert again.spent() == epsilon([ROUND, ROUND], DELTA)


def test_killed_in_the_line_nothing_was_trained_and_nothing_is_spent(ledger, state):
    assert python(KILLED_IN_THE_LINE, state).wait() == -signal.SIGKILL
    again = Ledger.load(state, "ward")
    assert again.spent() == 0
    assert again.reserve("run", 1, "digest", ROUND).number == 1


RESERVES = """
ledger = Ledger.load(Path(sys.argv[1]), "ward")
print("ready", flush=True)
sys.stdin.readline()
paid = 0
for server_round in range(8):
    try:
        ledger.release(f"{sys.argv[2]}/{server_round}", Gaussian(20.0))
        paid += 1
    except WardlawError as error:
        assert error.code == "BUD", error
print(paid)
"""


def test_processes_at_once_share_one_budget(state):
    ledger = Ledger.open(state, "ward", TEN)
    processes = [python(RESERVES, state, number, stdin=subprocess.PIPE) for number in range(3)]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 3
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    paid = [int(process.communicate()[0]) for process in processes]
    assert sum(paid) == 10
    assert len(ledger.entries()) == 11
    assert ledger.spent() == TEN.epsilon


@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["reserve", "commit", "release", "reload"]), st.integers(0, 3)), max_size=12
    )
)
def test_whatever_is_done_the_limit_holds_and_nothing_paid_is_forgotten(steps):
    with TemporaryDirectory() as name:
        state = Path(name) / "state"
        limit = Limit(epsilon([Gaussian(20.0, 4)], DELTA), DELTA)
        ledger, paid, open_ones = Ledger.open(state, "ward", limit), 0, {}
        for action, number in steps:
            try:
                match action:
                    case "reserve":
                        known = number in open_ones
                        open_ones[number] = ledger.reserve("run", number, "digest", COUNT)
                        paid += not known
                    case "commit" if number in open_ones:
                        ledger.commit(open_ones[number])
                    case "release":
                        ledger.release("count", COUNT)
                        paid += 1
                    case "reload":
                        ledger = Ledger.load(state, "ward")
            except BudgetError:
                assert paid == 4
            assert sum(event.count for event in ledger.events()) == paid <= 4


@pytest.mark.parametrize("delta", [0.0, 1e-11, 1.0])
def test_a_limit_takes_no_delta_that_the_accountant_does_not(delta: float) -> None:
    with pytest.raises(PolicyError, match="delta must lie between 1e-10 and 1"):
        Limit(8.0, delta)
