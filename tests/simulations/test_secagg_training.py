"""Whole runs under secure aggregation: settings in, record out, the app's own border in between."""

import numpy as np
import polars as pl
import pytest
from flwr.app import RecordDict
from safetensors.numpy import load_file

import client.secagg.handlers
from client.privacy.ledger import Ledger
from client.secagg.handlers import set_up_session
from client.secagg.open_round import train_in_the_open
from client.site import Site
from simulations.ecg.prepare import prepare_ecg_federation
from simulations.federation_folder import participating_policies
from simulations.in_process import run_in_process
from tests.noise_ecg import noise_shard, small_run
from wardlaw import protocol
from wardlaw.config import from_flat
from wardlaw.errors import PolicyError, RoundError
from wardlaw.privacy.statement_files import load_statement
from wardlaw.records import load_record

SITES, CONTEXT, LOCAL_STEPS = "abcd", 256, 2
SECURE = {
    "secagg.enabled": True,
    "secagg.neighbours": 3,
    "secagg.threshold": 2,
    # More than any site has, so that a site's weight is its examples' share: FedAvg's.
    "secagg.examples-cap": 100_000,
    "secagg.clip-range": 0.5,
}
PRIVATE = {"privacy.mechanism": "dp-sgd", "privacy.noise-multiplier": 2.0, "privacy.patients": 6}


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    for number, site in enumerate(SITES):
        noise_shard(folder / site, site, patients=24 + 8 * number)
    return folder


@pytest.fixture
def federation(shards, tmp_path):
    prepare_ecg_federation([shards / site for site in SITES], tmp_path / "federation", drop_shared=False)
    return tmp_path / "federation"


def config_of(federation, changes=SECURE, rounds=1):
    batch_tokens = CONTEXT * 8 * len(SITES)
    steps = LOCAL_STEPS * rounds
    settings = small_run(federation, context=CONTEXT, batch_tokens=batch_tokens, steps=steps) | {
        "federation.replicas": len(SITES),
        "federation.local-steps": LOCAL_STEPS,
        "federation.failed-rounds": 1,
    }
    return from_flat(settings | changes)


def weights(folder):
    return load_file(max((folder / "checkpoints").glob("round-*.safetensors")))


def rounds(folder):
    return pl.read_parquet(folder / "rounds.parquet")


def set_policy(federation, site, line):
    path = federation / "sites" / site / "site.toml"
    path.write_text(path.read_text() + line + "\n")


def test_a_run_on_sums_is_the_plain_run_to_its_bound(federation, tmp_path):
    secure = run_in_process(config_of(federation), tmp_path / "secure")
    plain = run_in_process(config_of(federation, {}), tmp_path / "plain")
    assert load_statement(plain).coordinator.sees == "updates"
    (row,) = rounds(secure).iter_rows(named=True)
    for name, expected in weights(plain).items():
        # Half a unit in the last place of each float32, beside the mean's own error.
        bound = row["quantisation_error"] + 2 * np.spacing(np.abs(expected).max(initial=1e-30))
        assert np.abs(weights(secure)[name] - expected).max(initial=0.0) <= bound
    assert 0 < row["quantisation_error"] < 1e-5
    one, other = load_record(secure).result, load_record(plain).result
    assert (one.unique_tokens, one.tokens, one.flops, one.sites) == (
        other.unique_tokens,
        other.tokens,
        other.flops,
        other.sites,
    )
    assert row["train_loss"] is None
    assert row["sites"] == list(SITES)


def test_a_site_that_does_not_train_is_lost_and_the_others_go_on(federation, tmp_path):
    set_policy(federation, "c", "allow-training = false")
    secure = run_in_process(config_of(federation), tmp_path / "secure")
    (row,) = rounds(secure).iter_rows(named=True)
    assert (row["sites"], row["rejected"]) == (["a", "b", "d"], ["c: refused"])
    seen = load_statement(secure).coordinator
    assert (seen.sees, seen.sites, seen.least_summed, seen.fewest_summed) == ("sums", 4, 3, 3)
    plain = run_in_process(config_of(federation, {}), tmp_path / "plain")
    for name, expected in weights(plain).items():
        bound = row["quantisation_error"] + 2 * np.spacing(np.abs(expected).max(initial=1e-30))
        assert np.abs(weights(secure)[name] - expected).max(initial=0.0) <= bound


def test_too_few_sites_fail_the_round_and_not_the_run_s_model(federation, tmp_path):
    for site in "cd":
        set_policy(federation, site, "allow-training = false")
    with pytest.raises(RoundError, match=r"fewer than secagg\.threshold = 2"):
        run_in_process(config_of(federation), tmp_path / "secure")


def test_a_quorum_holds_before_the_sum_is_unmasked(federation, tmp_path):
    set_policy(federation, "c", "allow-training = false")
    with pytest.raises(RoundError, match="3 valid replies are less than the quorum of 4"):
        run_in_process(config_of(federation, SECURE | {"federation.quorum": 4}), tmp_path / "secure")
    assert not list(federation.glob("sites/*/**/summed-*.json"))


def test_a_run_that_the_server_has_forgotten_ends_in_the_same_bits(federation, tmp_path):
    config = config_of(federation, rounds=2)
    first = run_in_process(config, tmp_path / "runs")
    again = run_in_process(config, tmp_path / "again")
    assert all((weights(again)[name] == value).all() for name, value in weights(first).items())


def test_private_steps_and_sums_go_together(federation, tmp_path):
    config = config_of(federation, SECURE | PRIVATE, rounds=2)
    folder = run_in_process(config, tmp_path / "runs")
    plain = run_in_process(config_of(federation, PRIVATE, rounds=2), tmp_path / "plain")
    assert load_record(folder).result.tokens == load_record(plain).result.tokens
    assert rounds(folder)["training_s"].is_null().all()
    for policy in participating_policies(config):
        # Twice the same: once in the open, once for sums.
        (event,) = Ledger.load(policy.state, policy.site).events()
        assert event.steps == 2 * config.steps


def test_no_update_of_such_a_run_leaves_in_the_open(federation):
    config = config_of(federation)
    site = Site(participating_policies(config)[0], config)
    with pytest.raises(PolicyError, match="leaves the site masked, or not at all"):
        train_in_the_open(RecordDict(), site)
    with pytest.raises(PolicyError, match="has no secure aggregation"):
        set_up_session(RecordDict(), Site(site.policy, config_of(federation, {})))


@pytest.mark.parametrize(("changes", "summed"), [({}, 1), (SECURE, 3)])
def test_a_site_s_update_is_in_no_sum_that_is_smaller_than_it_allows(federation, tmp_path, changes, summed):
    for site in SITES:
        set_policy(federation, site, f"minimum-summed = {summed + 1}")
    with pytest.raises(RoundError, match="refused"):
        run_in_process(config_of(federation, changes), tmp_path / "strict")
    for site in SITES:
        path = federation / "sites" / site / "site.toml"
        path.write_text(path.read_text().replace(f"summed = {summed + 1}", f"summed = {summed}"))
    run_in_process(config_of(federation, changes), tmp_path / "allowed")


def test_a_private_round_has_no_training_time_to_tell(federation, monkeypatch, tmp_path):
    replies = []
    real = client.secagg.handlers.mask_update

    def noted(content, site):
        replies.append(real(content, site))
        return replies[-1]

    monkeypatch.setattr("client.app.mask_update", noted)
    run_in_process(config_of(federation, SECURE | PRIVATE), tmp_path / "runs")
    assert {frozenset(reply[protocol.METRICS]) for reply in replies} == {
        frozenset({protocol.TRAIN_TOKENS, protocol.TRAIN_FLOPS})
    }
