"""The statement of privacy beside a simulated run's record."""

import math

import pytest

from client.privacy.ledger import Ledger
from client.privacy.spending import RESERVED, events_of
from simulations.federation_folder import load_federation, participating_policies
from simulations.in_process import run_in_process
from simulations.topologies import run_topology
from wardlaw.config import from_flat
from wardlaw.privacy.accountant import epsilon
from wardlaw.privacy.events import PoissonGaussian, merge
from wardlaw.privacy.statement_files import load_statement
from wardlaw.records import load_record

SIGMA, PATIENTS, STEPS, DELTA = 2.0, 4, 4, 1e-5
PRIVATE = {
    "privacy.mechanism": "dp-sgd",
    "privacy.noise-multiplier": SIGMA,
    "privacy.patients": PATIENTS,
    "privacy.delta": DELTA,
}


@pytest.fixture(scope="module")
def federation(random_federation):
    return random_federation(sites=2, patients=20, length=20)


def config_of(federation, changes=PRIVATE):
    settings = {
        "data.federation": str(federation),
        "data.tokenizer": load_federation(federation).tokenizer,
        "model.size": "xs",
        "model.context": 16,
        "train.batch-tokens": 64,
        "train.tokens": 64 * STEPS,
        "train.device": "cpu",
        "federation.replicas": 2,
        "federation.quorum": 2,
        "federation.local-steps": 2,
    }
    return from_flat(settings | changes)


def test_a_federated_runs_epsilon_is_the_accountants_on_its_ledgers_events(federation, tmp_path):
    first = config_of(federation)
    run_in_process(first, tmp_path)
    config = config_of(federation, PRIVATE | {"run.seed": 1, "privacy.noise-multiplier": 1.0})
    statement = load_statement(run_in_process(config, tmp_path))
    assert statement.basis == "ledgers"
    assert statement.synthetic
    for policy, share in zip(participating_policies(config), statement.sites, strict=True):
        entries = Ledger.load(policy.state, policy.site).entries()
        own = [
            entry
            for entry in entries
            if entry.kind == RESERVED and entry.content["run"] == config.fingerprint
        ]
        assert len(own) == 2
        assert share.epsilon == epsilon(merge(events_of(own)), DELTA)
        assert share.ledger_epsilon == epsilon(merge(events_of(entries)), DELTA) > share.epsilon
        assert (share.patients, share.sampling_rate) == (20, PATIENTS / 20)
        assert (share.noise_multiplier, share.steps) == (1.0, STEPS)
    assert statement.epsilon == max(share.epsilon for share in statement.sites)
    listed = {release.name: (release.times, release.covered) for release in statement.releases}
    assert listed == {
        "model after a round": (4, True),
        "num-examples and expected tokens": (2, False),
        "loss and counts of held_out": (2, False),
    }
    assert (statement.coordinator.sees, statement.coordinator.sites) == ("updates", 2)
    assert statement.implementation.engine == "batched ehr"


@pytest.mark.parametrize(
    ("topology", "names", "n"), [("centralised", ["union"], 40), ("local", ["site-0", "site-1"], 20)]
)
def test_training_without_ledgers_is_priced_by_its_settings(federation, tmp_path, topology, names, n):
    config = config_of(federation, PRIVATE | {"run.topology": topology})
    folder = run_topology(config, tmp_path)
    statement = load_statement(folder)
    assert statement.basis == "settings"
    assert [(share.site, share.patients) for share in statement.sites] == [(name, n) for name in names]
    assert statement.epsilon == epsilon([PoissonGaussian(PATIENTS / n, SIGMA, STEPS)], DELTA)
    assert statement.sites[0].ledger_epsilon is None
    assert any("follow from the run's settings" in sentence for sentence in statement.not_covered)
    assert statement.coordinator is None


def test_noise_of_zero_is_no_promise(federation, tmp_path):
    config = config_of(federation, PRIVATE | {"run.topology": "centralised", "privacy.noise-multiplier": 0.0})
    folder = run_topology(config, tmp_path)
    assert load_statement(folder).epsilon == math.inf
    assert "Epsilon more than 500" in (folder / "privacy.txt").read_text()


def test_a_run_without_privacy_has_its_statement_too(federation, tmp_path):
    folder = run_topology(config_of(federation, {}), tmp_path)
    assert load_statement(folder).basis == "nothing"
    assert "Nothing, of any patient" in (folder / "privacy.txt").read_text()


def test_client_level_privacy_is_stated_from_the_rounds(federation, tmp_path):
    changes = {
        "strategy.name": "clipped-mean",
        "strategy.weighting": "uniform",
        "strategy.noise-multiplier": 4.0,
        "strategy.delta": 1e-3,
    }
    folder = run_topology(config_of(federation, changes), tmp_path)
    statement = load_statement(folder)
    rounds = load_record(folder).table("rounds").to_pylist()
    assert statement.basis == "nothing"
    assert statement.server.epsilon == rounds[-1]["client_epsilon"]
    assert statement.server.releases == len(rounds) == 2


def test_a_stand_in_pays_its_own_noise_and_tells_the_price_of_the_run_it_stands_for(federation, tmp_path):
    config = config_of(federation, PRIVATE | {"privacy.stands-for": 3})
    statement = load_statement(run_topology(config, tmp_path))
    policy = participating_policies(config)[0]
    entries = Ledger.load(policy.state, policy.site).entries()
    event = merge(events_of([e for e in entries if e.content.get("run") == config.fingerprint]))[0]
    assert event == PoissonGaussian(PATIENTS / 20, SIGMA, STEPS)
    assert statement.epsilon == epsilon([event], DELTA)
    full = PoissonGaussian(3 * PATIENTS / 20, 3 * SIGMA, STEPS)
    assert statement.stands_for_epsilon == pytest.approx(epsilon([full], DELTA), rel=1e-9)


def test_a_run_of_more_patients_than_there_are_has_no_price(federation, tmp_path):
    config = config_of(federation, PRIVATE | {"privacy.stands-for": 6})
    statement = load_statement(run_topology(config, tmp_path))
    assert statement.stands_for_epsilon is None
    assert statement.epsilon is not None


def test_a_statement_that_is_there_is_left_as_it_is(federation, tmp_path):
    config = config_of(federation, {})
    folder = run_in_process(config, tmp_path)
    before = (folder / "privacy.json").read_bytes()
    (folder / "privacy.json").write_bytes(before + b" ")
    run_in_process(config, tmp_path)
    assert (folder / "privacy.json").read_bytes() == before + b" "
