"""A run's statement of privacy: what it says, for machines and for people."""

import json
import math

import pytest
from scipy import stats

from wardlaw.config import RunConfig, from_flat
from wardlaw.config.run import identity
from wardlaw.errors import RecordError
from wardlaw.privacy.events import Gaussian, PoissonGaussian
from wardlaw.privacy.run_statement import run_statement, server_share
from wardlaw.privacy.statement import Release, largest_epsilon, site_share, summed_releases
from wardlaw.privacy.statement_files import STATEMENT_FILE, load_statement, save_statement
from wardlaw.privacy.statement_text import most_found, text_of

PRIVATE = {"privacy.mechanism": "dp-sgd", "privacy.noise-multiplier": 1.5, "privacy.patients": 48}
STEPS = PoissonGaussian(sampling_rate=0.1, noise_multiplier=1.5, steps=30)


def private_statement(settings=None, **known):
    shares = [
        site_share("a", [STEPS], epsilon=2.5, ledger_epsilon=4.0, patients=480),
        site_share("b", [STEPS, Gaussian(2.0)], epsilon=3.5, ledger_epsilon=3.5, patients=480),
    ]
    given = {"synthetic": True, "basis": "ledgers", "sites": shares} | known
    return run_statement(from_flat(PRIVATE | (settings or {})), **given)


def test_a_statement_is_read_back_as_it_was_written(tmp_path):
    statement = private_statement(releases=[Release(name="model", times=3, covered=True)])
    save_statement(tmp_path, statement)
    assert load_statement(tmp_path) == statement
    assert (tmp_path / "privacy.txt").read_text() == text_of(statement)


def test_a_later_versions_fields_are_passed_over_and_damage_is_refused(tmp_path):
    statement = private_statement()
    fields = json.loads(statement.to_json())
    path = tmp_path / STATEMENT_FILE
    path.write_text(json.dumps(fields | {"moon": "full"}))
    assert load_statement(tmp_path) == statement
    for damaged in ({"basis": "hearsay"}, {"sites": [{"site": "a", "events": [{"steps": 1}]}]}):
        path.write_text(json.dumps(fields | damaged))
        with pytest.raises(RecordError, match="not a statement of privacy"):
            load_statement(tmp_path)
    path.unlink()
    with pytest.raises(RecordError, match="no statement of privacy"):
        load_statement(tmp_path)


def test_what_another_room_reads_has_the_agreed_names():
    fields = json.loads(private_statement().to_json())
    assert fields["epsilon"] == 3.5
    assert fields["delta"] == 1e-6
    assert fields["noise_batch_ratio"] == 1.5 / 48
    assert fields["stands_for"] == 1
    absent = ("stands_for_epsilon", "server", "implementation", "mechanism_audit", "audit")
    assert [fields[name] for name in absent] == [None] * 5
    site = fields["sites"][0]
    assert [site[name] for name in ("site", "patients", "sampling_rate", "noise_multiplier", "steps")] == [
        "a",
        480,
        0.1,
        1.5,
        30,
    ]
    assert (site["epsilon"], site["ledger_epsilon"]) == (2.5, 4.0)


def test_steps_that_differ_have_no_one_rate():
    share = site_share("a", [STEPS, PoissonGaussian(0.2, 1.5, 5)], epsilon=1.0)
    assert (share.sampling_rate, share.noise_multiplier, share.steps) == (None, None, 35)


def test_a_site_beyond_all_numbers_leaves_the_run_beyond_them():
    def shares(*epsilons):
        return [site_share("a", [STEPS], epsilon=epsilon) for epsilon in epsilons]

    assert largest_epsilon(shares(1.0, 3.0)) == 3
    assert largest_epsilon(shares(1.0, math.inf)) == math.inf
    assert largest_epsilon([]) is None


def test_releases_of_one_name_are_counted_together_unless_only_one_is_covered():
    one, other = Release(name="x", times=2, covered=True), Release(name="x", times=1, covered=False)
    assert summed_releases([one, other, one]) == (Release(name="x", times=4, covered=True), other)


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 4.0])
def test_no_attacker_finds_more_than_the_trade_off_says(epsilon):
    # Randomised response is as bad as its epsilon allows, at one rate of false alarms.
    truth = 1 / (1 + math.exp(-epsilon))
    assert most_found(epsilon, 0.0, 1 - truth) == pytest.approx(truth)
    # Gaussian noise is private at each of its (epsilon, delta), and somewhere below the line of each.
    delta = stats.norm.cdf(0.5 - epsilon) - math.exp(epsilon) * stats.norm.cdf(-0.5 - epsilon)
    for rate in (1e-3, 0.01, 0.1, 0.5):
        found = stats.norm.sf(stats.norm.isf(rate) - 1.0)
        assert rate <= found <= most_found(epsilon, delta, rate) <= 1


def test_the_page_says_what_the_json_says():
    text = text_of(private_statement())
    assert "patients are synthetic" in " ".join(text.split())
    assert "Epsilon 3.5 at delta 1e-06, the largest of the sites'" in text
    assert f"at most {100 * most_found(3.5, 1e-6):.3g} %" in " ".join(text.split())
    assert "the sites' ledgers alone" in text
    assert all(len(line) <= 130 for line in text.splitlines())


def test_an_epsilon_beyond_all_numbers_is_told_in_the_same_words_everywhere(tmp_path):
    share = site_share("a", [STEPS], epsilon=math.inf, ledger_epsilon=math.inf)
    statement = private_statement(sites=[share], stands_for_epsilon=math.inf)
    text = text_of(statement)
    assert "Epsilon more than 500 at delta 1e-06. The noise is too small" in " ".join(text.split())
    assert "read it as no promise" in " ".join(text.split())
    (row,) = (line for line in text.splitlines() if line.strip().startswith("a  "))
    assert row.count("more than 500") == 2
    fields = json.loads(statement.to_json())
    assert fields["epsilon"] == fields["stands_for_epsilon"] == "more than 500"
    assert fields["sites"][0]["epsilon"] == fields["sites"][0]["ledger_epsilon"] == "more than 500"
    save_statement(tmp_path, statement)
    assert load_statement(tmp_path) == statement


def test_a_number_that_is_no_epsilon_is_refused(tmp_path):
    fields = json.loads(private_statement().to_json())
    for wrong in (-1.0, "more than 9", "nan"):
        (tmp_path / STATEMENT_FILE).write_text(json.dumps(fields | {"epsilon": wrong}))
        with pytest.raises(RecordError, match="not a statement of privacy: epsilon"):
            load_statement(tmp_path)


def test_a_run_without_privacy_says_that_it_promises_nothing():
    statement = run_statement(RunConfig(), synthetic=False)
    assert (statement.basis, statement.epsilon, statement.accountant) == ("nothing", None, None)
    text = text_of(statement)
    assert "Nothing, of any patient" in text
    assert "synthetic" not in text


def test_a_coordinator_says_that_the_sites_hold_the_rest():
    statement = run_statement(from_flat(PRIVATE), synthetic=False)
    assert (statement.basis, statement.epsilon, statement.sites) == ("elsewhere", None, ())
    assert "is not known here" in text_of(statement)
    assert statement.noise_multiplier == 1.5


CLIPPED = {
    "strategy.name": "clipped-mean",
    "strategy.weighting": "uniform",
    "strategy.noise-multiplier": 2.0,
    "strategy.delta": 1e-3,
}


def test_hiding_sites_is_a_part_of_its_own():
    rows = [
        {"releases": None},
        {"releases": 1.0, "client_epsilon": 1.5},
        {"releases": 2.0, "client_epsilon": 2.5},
    ]
    config = from_flat(CLIPPED)
    server = server_share(config, rows)
    assert (server.epsilon, server.releases, server.delta, server.noise_multiplier) == (2.5, 2, 1e-3, 2.0)
    text = text_of(run_statement(config, synthetic=True, rounds=rows))
    assert "Nothing, of any patient" in text
    assert "2.5 at delta 0.001 for 2 models" in text
    assert server_share(config, []).epsilon == 0
    assert server_share(RunConfig(), rows) is None
    assert server_share(from_flat(CLIPPED | {"run.topology": "centralised"}), rows) is None


FEDERATED = {"federation.replicas": 6, "train.batch-tokens": 6144, "train.tokens": 61_440}
SUMS = FEDERATED | {"strategy.weighting": "uniform", "secagg.enabled": True}
ROUNDS = [
    {"sites": ["a", "b", "c", "d", "e"], "summed_weight": 5.0},
    {"sites": ["a", "b", "c", "d"], "summed_weight": 4.0},
    {"sites": [], "summed_weight": None},
]


def told_of_coordinator(settings, rounds=()):
    statement = run_statement(from_flat(settings), synthetic=True, rounds=rounds)
    return statement.coordinator, " ".join(text_of(statement).split())


@pytest.mark.parametrize("private", [{}, PRIVATE])
def test_secure_aggregation_is_named_with_the_least_that_is_summed_and_what_it_leaves_open(private):
    seen, text = told_of_coordinator(SUMS | private, ROUNDS)
    assert (seen.sees, seen.sites, seen.least_summed, seen.fewest_summed) == ("sums", 6, 4, 4)
    assert (seen.neighbours, seen.threshold, seen.noise_multiplier) == (5, 3, None)
    assert seen.adds_to_epsilon is False
    assert "5 neighbours, threshold 3). The smallest sum of this run had 4 of 6." in text
    assert "adds nothing to what is promised above" in text
    for left_open in ("The sum itself", "their own updates taken off", "names no peers", "can be subtracted"):
        assert left_open in text
    assert told_of_coordinator(SUMS)[0].fewest_summed is None
    assert "smallest sum" not in told_of_coordinator(SUMS)[1]


def test_noise_of_all_sites_together_has_no_epsilon_but_makes_sums_larger():
    noisy = SUMS | {"secagg.noise-multiplier": 2.0, "secagg.dropouts": 1, "secagg.norm-bound": 1.0}
    seen, text = told_of_coordinator(noisy)
    # Sites help to lay no sum open from which more than one of six is lost.
    assert (seen.least_summed, seen.noise_multiplier) == (5, 2.0)
    assert "no epsilon that could be stated" in text
    assert run_statement(from_flat(noisy), synthetic=True).epsilon is None


def test_standing_for_another_run_changes_no_older_fingerprint():
    config = from_flat(PRIVATE)
    assert "stands_for" not in identity(config)["privacy"]
    assert from_flat(PRIVATE | {"privacy.stands-for": 4}).fingerprint != config.fingerprint


def test_a_stand_in_tells_both_prices():
    statement = private_statement(settings={"privacy.stands-for": 4}, stands_for_epsilon=0.75)
    text = " ".join(text_of(statement).split())
    assert "1/4 of the noise" in text
    assert "would cost epsilon 0.75" in text


def test_a_coordinator_of_sums_is_said_to_see_no_update():
    sums = {"secagg.enabled": True, "strategy.weighting": "uniform", "federation.replicas": 8}
    statement = run_statement(from_flat(PRIVATE | sums), synthetic=False)
    coordinator = json.loads(statement.to_json())["coordinator"]
    assert (coordinator["sees"], coordinator["least_summed"]) == ("sums", 4)
    text = text_of(statement)
    assert "updates of 4 sites or more, and none by itself" in text
    assert "shares of noise" not in text
    noise = {"secagg.noise-multiplier": 1.0, "secagg.norm-bound": 1.0}
    noised = run_statement(from_flat(PRIVATE | sums | noise), synthetic=False)
    assert "shares of noise" in text_of(noised)


def test_a_coordinator_of_updates_is_said_to_see_each():
    text = text_of(run_statement(from_flat(PRIVATE), synthetic=False))
    assert "Each site's update by itself" in text
    pooled = run_statement(from_flat(PRIVATE | {"run.topology": "centralised"}), synthetic=False)
    assert pooled.coordinator is None
    assert "WHAT THE COORDINATOR SEES" not in text_of(pooled)
