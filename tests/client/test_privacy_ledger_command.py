"""``wardlaw client budget``: what a site is told of its ledger."""

import json

import pytest
from typer.testing import CliRunner

from client.privacy.budget_command import budget
from client.privacy.chain import CHAIN_FILE, HEAD_FILE
from client.privacy.ledger import Ledger
from wardlaw.errors import LedgerError
from wardlaw.privacy.accountant import epsilon
from wardlaw.privacy.events import Gaussian, PoissonGaussian

ROUND = PoissonGaussian(sampling_rate=0.05, noise_multiplier=1.0, steps=20)
COUNT = Gaussian(noise_multiplier=20.0)


@pytest.fixture
def site(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text('site = "ward"\ntokens = "tokens"\nstate = "state"\n')
    return path


def told(*arguments):
    result = CliRunner().invoke(budget, list(map(str, arguments)))
    if result.exception:
        raise result.exception
    return result.stdout


@pytest.fixture
def used(site):
    """A site with two runs, one round of which was cut short, and three releases."""
    told("open", "--site", site, "--epsilon", 8, "--delta", 1e-6)
    ledger = Ledger.load(site.parent / "state", "ward")
    for server_round in (1, 2):
        ledger.commit(ledger.reserve("first run", server_round, f"{server_round}", ROUND))
    ledger.release("vocabulary", COUNT)
    ledger.reserve("second run", 1, "a", ROUND)
    ledger.release("num-examples", None)
    ledger.release("num-examples", None)
    return site


def test_show_adds_up_run_by_run(used):
    account = json.loads(told("show", "--site", used, "--json"))
    two, three = PoissonGaussian(0.05, 1.0, 40), PoissonGaussian(0.05, 1.0, 60)
    so_far = [epsilon([two], 1e-6), epsilon([two, COUNT], 1e-6), epsilon([three, COUNT], 1e-6)]
    assert [line["name"] for line in account["spent"]] == ["first run", "vocabulary", "second run"]
    assert [line["epsilon_so_far"] for line in account["spent"]] == so_far
    assert [line["rounds"] for line in account["spent"]] == [2, 0, 1]
    assert [line["unfinished"] for line in account["spent"]] == [0, 0, 1]
    assert account["spent"][0]["events"] == [two.to_json()]
    assert account["epsilon"] == so_far[-1]
    assert account["left"] == 8 - so_far[-1]
    assert account["limit"] == {"epsilon": 8, "delta": 1e-6}
    assert account["not_covered"] == {"num-examples": 2}
    assert account["unit"].startswith("patient")
    assert account["relation"] == "add or remove one patient"


def test_show_for_people_says_the_same(used):
    account, text = json.loads(told("show", "--site", used, "--json")), told("show", "--site", used)
    assert f"epsilon     {account['epsilon']:.4f} at delta 1e-06" in text
    assert f"left        {account['left']:.4f}" in text
    assert "40 steps of q 0.05, sigma 1" in text
    assert "1 of sigma 20" in text
    assert "num-examples, 2 times" in text
    assert account["head"] in text


def test_a_fresh_ledger_has_spent_nothing_and_may_have_no_limit(site):
    head = told("open", "--site", site, "--delta", 1e-6).strip()
    account = json.loads(told("show", "--site", site, "--json"))
    assert (account["epsilon"], account["left"], account["spent"]) == (0, None, [])
    assert account["head"] == head
    assert "limit       none" in told("show", "--site", site)


def test_noise_that_promises_nothing_is_more_than_a_number(site):
    told("open", "--site", site, "--delta", 1e-6)
    Ledger.load(site.parent / "state", "ward").release("count", Gaussian(noise_multiplier=1e-4))
    account = json.loads(told("show", "--site", site, "--json"))
    assert account["epsilon"] == account["spent"][0]["epsilon_so_far"] == "more than 500"
    text = told("show", "--site", site)
    assert "epsilon     more than 500 at" in text
    assert "inf" not in text


def test_an_older_copy_is_known_by_a_head_kept_elsewhere(used):
    state = used.parent / "state"
    copies = {name: (state / name).read_bytes() for name in (CHAIN_FILE, HEAD_FILE)}
    ledger = Ledger.load(state, "ward")
    earlier = ledger.entries()[-1].hash
    ledger.reserve("third run", 1, "a", ROUND)
    later = ledger.entries()[-1].hash
    assert "1 of them after the noted one" in told("verify", "--site", used, "--head", earlier)
    assert (
        json.loads(told("verify", "--site", used, "--json", "--head", later))["entries_since_noted_head"] == 0
    )
    for name, content in copies.items():
        (state / name).write_bytes(content)
    assert "are whole" in told("verify", "--site", used)
    with pytest.raises(LedgerError, match="An older copy was put back"):
        told("verify", "--site", used, "--head", later)


def test_verify_and_show_refuse_an_edited_ledger(used):
    path = used.parent / "state" / CHAIN_FILE
    path.write_bytes(path.read_bytes().replace(b'"steps":20', b'"steps":10', 1))
    for command in ("verify", "show", "accept-clock"):
        with pytest.raises(LedgerError, match="line 2: the entry was edited"):
            told(command, "--site", used)


def test_a_ledger_is_opened_once(used):
    with pytest.raises(LedgerError, match="already"):
        told("open", "--site", used, "--epsilon", 8, "--delta", 1e-6)


def test_accept_clock_is_noted(used):
    told("accept-clock", "--site", used)
    assert Ledger.load(used.parent / "state", "ward").entries()[-1].kind == "clock"
