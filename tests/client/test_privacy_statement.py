"""``wardlaw client budget statement``: a page from the ledger alone."""

import math

import pytest
from typer.testing import CliRunner

from client.privacy.budget_command import budget
from client.privacy.ledger import Ledger
from client.privacy.spending import Limit
from client.privacy.statement import MODEL, run_share
from wardlaw.errors import LedgerError
from wardlaw.privacy.accountant import epsilon
from wardlaw.privacy.events import Gaussian, PoissonGaussian
from wardlaw.privacy.statement import PrivacyStatement, Release

DELTA = 1e-6
FIRST = PoissonGaussian(sampling_rate=0.05, noise_multiplier=1.0, steps=20)
SECOND = PoissonGaussian(sampling_rate=0.02, noise_multiplier=2.0, steps=10)
COUNT = Gaussian(noise_multiplier=20.0)


@pytest.fixture
def site(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text('site = "ward"\ntokens = "tokens"\nstate = "state"\n')
    ledger = Ledger.open(tmp_path / "state", "ward", Limit(8.0, DELTA))
    for server_round in (1, 2):
        ledger.reserve("aa11", server_round, f"{server_round}", FIRST)
    ledger.release("num-examples", None, "aa11")
    ledger.release("loss of held_out", None, "aa11 held_out 3f")
    ledger.release("vocabulary", COUNT)
    ledger.reserve("ab22", 1, "x", SECOND)
    return path


def told(site, *arguments):
    result = CliRunner().invoke(budget, ["statement", "--site", str(site), *arguments])
    if result.exception:
        raise result.exception
    return result.stdout


def stated(site, *arguments):
    return PrivacyStatement.model_validate_json(told(site, "--json", *arguments))


def test_one_run_costs_its_own_events_and_the_ledger_all(site):
    statement = stated(site, "--run", "aa")
    run = PoissonGaussian(0.05, 1.0, 40)
    assert statement.run == "aa11"
    assert statement.epsilon == epsilon([run], DELTA)
    (share,) = statement.sites
    assert share.events == (run,)
    assert (share.sampling_rate, share.noise_multiplier, share.steps) == (0.05, 1.0, 40)
    assert share.ledger_epsilon == epsilon([run, COUNT, SECOND], DELTA) > share.epsilon
    # The ledger does not know how many patients there are, and the statement makes nothing up.
    assert share.patients is None
    assert statement.clip_norm is None
    assert statement.releases == (
        Release(name=MODEL, times=2, covered=True),
        Release(name="num-examples", times=1, covered=False),
        Release(name="loss of held_out", times=1, covered=False),
    )


def test_all_runs_together(site):
    statement = stated(site)
    assert statement.run == ""
    assert statement.epsilon == statement.sites[0].ledger_epsilon
    assert statement.sites[0].sampling_rate is None
    assert Release(name="vocabulary", times=1, covered=True) in statement.releases
    assert Release(name=MODEL, times=3, covered=True) in statement.releases


def test_for_people(site):
    text = told(site, "--run", "ab22")
    assert f"Epsilon {epsilon([SECOND], DELTA):.4g} at delta 1e-06" in text
    assert "NOT covered" not in text
    assert "num-examples (1): NOT covered by epsilon" in told(site)


@pytest.mark.parametrize(("run", "found"), [("a", "2 private runs"), ("c", "no private runs")])
def test_a_run_must_be_named_without_doubt(site, run, found):
    with pytest.raises(LedgerError, match=f"{found} have a fingerprint that begins with '{run}'"):
        told(site, "--run", run)


def test_an_unused_ledger_cost_nothing(tmp_path):
    ledger = Ledger.open(tmp_path, "ward", Limit(None, DELTA))
    share = run_share(ledger, "", DELTA)
    assert (share.epsilon, share.ledger_epsilon, share.steps) == (0, 0, 0)


def test_noise_of_no_use_has_no_epsilon(tmp_path):
    ledger = Ledger.open(tmp_path, "ward", Limit(None, DELTA))
    ledger.reserve("aa", 1, "x", PoissonGaussian(0.5, 1e-4, 10))
    assert run_share(ledger, "aa", DELTA).epsilon == math.inf
