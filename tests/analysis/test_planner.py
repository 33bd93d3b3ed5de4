"""The plan against closed forms, and its intervals on runs that it never saw (all surfaces synthetic)."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from analysis.cli import app
from analysis.planner.backtest import backtest_arms
from analysis.planner.consortium import Consortium, Privacy, Shard, read_shards
from analysis.planner.evidence import gather_evidence
from analysis.planner.joining import joining
from analysis.planner.law_optimum import law_optimum
from analysis.planner.noise import (
    averaged_ratio,
    noise_multiplier,
    ratio_of_equal_sites,
    site_noises,
)
from analysis.planner.outlook import outlook_by_name
from analysis.planner.plan import make_plan
from analysis.planner.planning import plan_training
from analysis.planner.private_arm import private_arm
from analysis.planner.recorded import Roles, habits_of, roles_of
from analysis.planner.schedule import Habits, schedule_run
from analysis.planner.size import SizeChoice, choose_size
from analysis.tables.run_table import RunTable, read_runs
from wardlaw.errors import RecordError

# E, A, B, alpha, beta of each made-up arm.
SURFACES = {
    "Centralised": (1.40, 30.0, 60.0, 0.35, 0.40),
    "Local": (1.80, 28.0, 60.0, 0.33, 0.36),
    "FedAvg": (1.45, 32.0, 62.0, 0.35, 0.40),
}
SIZES = np.geomspace(1e4, 1e6, 5)
TOKENS = np.geomspace(1e5, 3e6, 4)
SHARDS = tuple(Shard(f"site-{place}", 1_000, 250_000) for place in range(4))
HABITS = Habits(batch_tokens=2_048, local_steps=20, replicas=4)
LARGE_BATCHES = Habits(batch_tokens=65_536, local_steps=5, replicas=4)
ROLES = Roles("FedAvg", "Centralised", "Local")


def surface(arm, size, tokens):
    floor, a, b, alpha, beta = SURFACES[arm]
    return floor + a * size**-alpha + b * tokens**-beta


def made_up_runs(noise=0.002, draw=0, tokens=TOKENS, sizes=SIZES, arms=tuple(SURFACES)):
    random = np.random.default_rng(draw)
    rows = [
        {
            "run": f"{arm}-{size:.0f}-{budget:.0f}-{seed}",
            "arm": arm,
            "N": size,
            "D": budget,
            "C": 6.0 * size * budget,
            "seed": seed,
            "L": surface(arm, size, budget) * np.exp(noise * random.normal()),
            "M": 4,
            "H": 20,
            "batch_tokens": 2_048,
        }
        for arm in arms
        for size in sizes
        for budget in tokens
        for seed in (0, 1)
    ]
    return RunTable(pl.DataFrame(rows), (), (), "made up", "arm")


@pytest.fixture(scope="module")
def evidence():
    return gather_evidence(made_up_runs(), "arm", replicates=400, seed=0)


def test_the_size_is_the_closed_form_optimum_without_noise():
    """arXiv 2203.15556, equation 4: N* = G (C / 6)^(beta / (alpha + beta))."""
    exact = gather_evidence(made_up_runs(noise=0.0), "arm", replicates=100, seed=0)
    _, a, b, alpha, beta = SURFACES["FedAvg"]
    g = (alpha * a / (beta * b)) ** (1 / (alpha + beta))
    for compute in (3e11, 2e12):
        expected = g * (compute / 6) ** (beta / (alpha + beta))
        choice = choose_size(exact.arms["FedAvg"], exact, compute)
        assert choice.size == pytest.approx(expected, rel=0.02)
        assert choice.size * choice.tokens * 6 == pytest.approx(compute, rel=1e-6)
        assert choice.as_good[0] < choice.size < choice.as_good[1]
        assert choice.notes == ()


def test_the_optimum_of_the_law_has_an_interval_that_holds_it(evidence):
    _, a, b, alpha, beta = SURFACES["FedAvg"]
    g = (alpha * a / (beta * b)) ** (1 / (alpha + beta))
    optimum = law_optimum(evidence.arms["FedAvg"], evidence, 1e12)
    assert optimum.low < g * (1e12 / 6) ** (beta / (alpha + beta)) < optimum.high


def test_size_and_tokens_are_continuous_in_the_budget_and_stay_in_reach(evidence):
    """Up to 6 x (1e6 x 3e6) FLOPs the runs reach, and from there on the choice is their largest."""
    arm = evidence.arms["FedAvg"]
    most = 6 * SIZES[-1] * TOKENS[-1]
    choices = [choose_size(arm, evidence, compute) for compute in np.geomspace(1e10, 10 * most, 400)]
    logs = np.log([(choice.size, choice.tokens, choice.spent) for choice in choices])
    assert np.abs(np.diff(logs, axis=0)).max() < 0.15
    assert all(SIZES[0] <= choice.size <= SIZES[-1] for choice in choices)
    assert all(TOKENS[0] <= choice.tokens <= TOKENS[-1] for choice in choices)
    beyond = choose_size(arm, evidence, 10 * most)
    assert (beyond.size, beyond.tokens) == pytest.approx((SIZES[-1], TOKENS[-1]))
    assert beyond.unspent == pytest.approx(9 * most)
    assert any("more than the runs can speak for" in note for note in beyond.notes)
    assert all(choice.unspent == 0 for choice in choices if choice.size < 0.999 * SIZES[-1])
    with pytest.raises(RecordError, match="do not pay for the smallest size"):
        choose_size(arm, evidence, 0.99 * 6 * SIZES[0] * TOKENS[0])


def test_an_optimum_outside_the_runs_is_told_and_not_taken():
    found = gather_evidence(made_up_runs(arms=("FedAvg",)), "arm", replicates=100, seed=0)
    made = make_plan(found, Roles("FedAvg"), Consortium(SHARDS, 1e13), HABITS)
    assert made.choice.tokens <= TOKENS[-1]
    assert any("outside what was trained" in warning for warning in made.warnings)


def test_tokens_are_not_repeated_more_often_than_in_the_runs():
    table = made_up_runs(arms=("FedAvg",))
    seen = replace(table, rows=table.rows.with_columns(U=pl.lit(1e6)))
    found = gather_evidence(seen, "arm", replicates=100, seed=0)
    assert found.arms["FedAvg"].passes == 3.0
    half = tuple(replace(shard, tokens=125_000) for shard in SHARDS)
    made = make_plan(found, Roles("FedAvg"), Consortium(half, 1e14), HABITS)
    assert made.choice.tokens == 1.5e6
    assert any("repeated more often than in the runs" in warning for warning in made.warnings)
    few = tuple(replace(shard, tokens=5_000) for shard in SHARDS)
    made = make_plan(found, Roles("FedAvg"), Consortium(few, 1e14), HABITS)
    assert made.choice.tokens == TOKENS[0]
    assert any("the runs made at most 3.0" in warning for warning in made.warnings)


def test_one_budget_is_kept_and_said():
    single = gather_evidence(made_up_runs(tokens=TOKENS[2:3]), "arm", replicates=200, seed=0)
    arm = single.arms["FedAvg"]
    assert not arm.is_joint
    choice = choose_size(arm, single, 6 * 3e5 * TOKENS[2])
    assert choice.tokens == TOKENS[2]
    assert choice.size == pytest.approx(3e5, rel=0.02)
    assert any("one token budget" in note for note in choice.notes)
    assert law_optimum(arm, single, 1e12) is None
    with pytest.raises(RecordError, match="do not pay for the smallest size"):
        choose_size(arm, single, 1e6)


def test_flops_are_counted_as_in_the_runs():
    table = made_up_runs()
    heavy = RunTable(table.rows.with_columns(C=2 * pl.col("C") + 1e4 * pl.col("D")), (), (), "", "arm")
    found = gather_evidence(heavy, "arm", replicates=100, seed=0)
    np.testing.assert_allclose(found.token_cost(SIZES), 12 * SIZES + 1e4)
    assert found.token_cost(np.array([1e8]))[0] == pytest.approx((12e6 + 1e4) * 100)


def test_rounds_bytes_and_hours_of_what_is_spent():
    consortium = Consortium((Shard("small", 100, 102_400), *SHARDS[:3]), compute=3.6e15, megabits=80.0)
    choice = SizeChoice(250_000, 4_096_000, 1.8e15, 1.8e15, (2e5, 3e5), ())
    schedule = schedule_run(choice, HABITS, consortium, speed=1e11)
    assert (schedule.steps, schedule.rounds) == (2_000, 100)
    assert schedule.bytes_a_round == 2_000_000
    assert schedule.bytes_in_all == 2_000_000 * 100 * 4
    assert schedule.transfer_hours == pytest.approx(100 * 16e6 / 80e6 / 3600)
    assert schedule.training_hours == pytest.approx(1.25)
    assert [site.passes for site in schedule.passes] == pytest.approx([10.0, *[1_024_000 / 250_000] * 3])
    assert schedule.most_repeated.site == "small"
    assert schedule_run(choice, HABITS, consortium, None).training_hours is None


def test_noise_multipliers_are_those_of_the_accountant(shared_data):
    """EXPECTED.json's accountant vectors, backwards: the noise for its epsilon is its sigma."""
    path = shared_data / "scaling" / "EXPECTED.json"
    if not path.exists():
        pytest.skip(f"no {path}")
    rows = json.loads(path.read_text())["accountant_vectors"]["rows"]
    long = (0.002, 4.0, 100_000, 1e-5, 0.5718)
    for rate, sigma, steps, delta, epsilon, *_ in (*rows[2:4], *rows[5:], long):
        assert noise_multiplier(epsilon, delta, rate, steps) == pytest.approx(sigma, rel=4e-3)


def test_noise_falls_with_epsilon_and_averages_over_sites():
    consortium = Consortium(SHARDS, 1e12, Privacy(8.0, 1e-4))
    noises = site_noises(consortium, Privacy(8.0, 1e-4), 51_200, 40)
    assert {noise.batch_patients for noise in noises} == {205}
    stricter = site_noises(consortium, Privacy(2.0, 1e-4), 51_200, 40)
    assert stricter[0].noise_multiplier > noises[0].noise_multiplier
    assert averaged_ratio(noises) == pytest.approx(noises[0].ratio / 2)


def costs_of_noise(ratio, size):
    """The private law's last term: C s^gamma1 / N^gamma2, larger models being harmed more."""
    return 3.0 * (1 / (1 + np.exp(-(np.log(ratio) + 8) / 1.6))) ** 0.9 * size**0.1


@pytest.fixture(scope="module")
def private_evidence():
    plain = made_up_runs(arms=("FedAvg",), noise=0.001)
    ratios = np.array([0.0, 1e-4, 3e-3, 5e-2])
    noisy = pl.concat(
        plain.rows.with_columns(
            S=pl.lit(ratio),
            run=pl.format("{}-{}", "run", pl.lit(place)),
            L=pl.col("L") + (costs_of_noise(ratio, pl.col("N")) if ratio else 0.0),
        )
        for place, ratio in enumerate(ratios)
    )
    own = noisy.filter(pl.col("S") == 0).with_columns(arm=pl.lit("Own"), L=pl.col("L") + 0.3)
    table = RunTable(pl.concat([noisy, own]), (), (), "made up", "arm")
    return gather_evidence(table, "arm", replicates=100, seed=0)


def test_size_under_privacy_is_chosen_with_the_noise(private_evidence):
    """Against the known surface on a fine grid, with the accountant's noise at every budget of tokens."""
    consortium = Consortium(SHARDS, 1e12, Privacy(2.0, 1e-4))
    made = make_plan(private_evidence, Roles("FedAvg", own="Own"), consortium, LARGE_BATCHES)
    arm = private_arm(private_evidence, "FedAvg", consortium, consortium.privacy, LARGE_BATCHES)
    size = np.geomspace(SIZES[0], SIZES[-1], 200)
    tokens = np.minimum(1e12 / 6 / size, TOKENS[-1])
    truth = surface("FedAvg", size, tokens) + costs_of_noise(arm.ratio(tokens), size)
    best = int(np.argmin(truth))
    assert made.choice.size == pytest.approx(size[best], rel=0.25)
    chosen = np.array([made.choice.size]), np.array([made.choice.tokens])
    there = surface("FedAvg", *chosen) + costs_of_noise(ratio_of_equal_sites(made.noises, 4), chosen[0])
    assert there[0] == pytest.approx(truth[best], rel=1e-3)
    assert made.private.mean.estimate == pytest.approx(there[0], rel=0.01)
    without = choose_size(private_evidence.arms["FedAvg"], private_evidence, 1e12)
    assert made.choice.size < 0.7 * without.size
    assert [gain.arm for gain in made.joining] == ["FedAvg", "federated and private"]
    assert made.joining[1].gain.estimate < made.joining[0].gain.estimate
    assert not any("ignore privacy" in warning for warning in made.warnings)
    assert "joining, federated and private" in made.summary()
    assert arm.fit.theta.shape[0] == 100


def test_noise_between_the_accountants_answers_is_interpolated_well(private_evidence):
    consortium = Consortium(SHARDS, 1e12, Privacy(2.0, 1e-4))
    arm = private_arm(private_evidence, "FedAvg", consortium, consortium.privacy, LARGE_BATCHES)
    tokens = float(np.sqrt(arm.budgets[2] * arm.budgets[3]))
    noises = site_noises(consortium, consortium.privacy, 16_384, LARGE_BATCHES.steps(tokens))
    exact = ratio_of_equal_sites(noises, LARGE_BATCHES.replicas)
    assert exact == pytest.approx(noises[0].ratio)
    assert arm.ratio(np.array([tokens]))[0] == pytest.approx(exact, rel=0.01)


def test_a_plan_without_private_runs_says_what_ignores_privacy(evidence):
    alone = replace(evidence, arms={"FedAvg": evidence.arms["FedAvg"]})
    made = make_plan(alone, Roles("FedAvg"), Consortium(SHARDS, 1e12, Privacy(8.0, 1e-4)), HABITS)
    assert made.private.mean is None
    assert "no run was private" in made.private.notes[0]
    assert any("size, rounds and joining ignore privacy" in warning for warning in made.warnings)


def test_a_whole_plan_says_what_it_knows(evidence):
    consortium = Consortium((*SHARDS, Shard("small", 50, 2_000)), 1e12)
    made = make_plan(evidence, ROLES, consortium, HABITS)
    by_arm = {outlook.arm: outlook for outlook in made.losses}
    assert list(by_arm) == ["Local", "FedAvg", "Centralised"]
    for arm, outlook in by_arm.items():
        assert outlook.mean.covers(surface(arm, made.choice.size, made.choice.tokens))
        assert outlook.run.low < outlook.mean.low < outlook.mean.high < outlook.run.high
    assert any("4 sites and the consortium has 5" in warning for warning in made.warnings)
    assert any(warning.startswith("small passes over its patients") for warning in made.warnings)
    text = " ".join(made.summary().split())
    assert "Plan for 5 sites" in text
    assert "runs inside their" in text
    assert "nor the choice of hospitals" in text
    budgets = {row["compute"]: row for row in made.to_json()["budgets"]}
    assert budgets[4e12]["note"] == ""
    json.dumps(made.to_json())


def test_budgets_beyond_the_runs_are_marked_and_not_extrapolated(evidence):
    alone = replace(evidence, arms={"FedAvg": evidence.arms["FedAvg"]})
    made = make_plan(alone, Roles("FedAvg"), Consortium(SHARDS, 1.5e13), HABITS)
    notes = {row["compute"] / 1.5e13: row["note"] for row in made.budgets}
    assert notes == {0.25: "", 0.5: "", 2.0: "more than the runs can speak for", 4.0: notes[2.0]}
    low = make_plan(alone, Roles("FedAvg"), Consortium(SHARDS, 2e10), HABITS)
    assert low.budgets[0]["note"] == "too little"
    assert low.budgets[0]["loss"] is None


def test_doubts_stand_by_arm_and_caution_what_joining_gains():
    """Own models that turn at large sizes are missed by any power law."""
    table = made_up_runs(arms=("FedAvg", "Local"))
    bend = pl.when((pl.col("arm") == "Local") & (pl.col("N") > 2e5)).then(1.1).otherwise(1.0)
    bent = replace(table, rows=table.rows.with_columns(L=pl.col("L") * bend))
    found = gather_evidence(bent, "arm", replicates=100, seed=0)
    made = make_plan(found, Roles("FedAvg", own="Local"), Consortium(SHARDS, 1e12), HABITS)
    assert found.arms["Local"].fit.is_misfit
    assert any(caution.startswith("Local: its law misses") for caution in made.joining[0].cautions)
    assert any("misses the sizes' means" in note for note in made.losses[0].notes)
    assert "! Local: the law misses" in made.summary()


def test_joining_is_told_against_own_models_of_any_size(evidence):
    arm, own = (evidence.arms[name] for name in ("FedAvg", "Local"))
    choice = choose_size(arm, evidence, 1e12)
    gain = joining(arm, own, choice, choose_size(own, evidence, 1e12))
    ours = surface("FedAvg", choice.size, choice.tokens)
    same = surface("Local", choice.size, choice.tokens)
    size = np.geomspace(SIZES[0], SIZES[-1], 500)
    best = surface("Local", size, 1e12 / 6 / size).min()
    assert gain.gain.covers(100 * (1 - ours / same))
    assert gain.gain_on_best.covers(100 * (1 - ours / best))
    assert gain.gain_on_best.estimate <= gain.gain.estimate
    assert "on D / M tokens" in gain.against


def test_rows_left_out_are_told_and_duplicates_are_fitted_once():
    table = made_up_runs(arms=("FedAvg",))
    twice = pl.concat([table.rows, table.rows[:3], table.rows[:1].with_columns(L=pl.lit(None, pl.Float64))])
    found = gather_evidence(replace(table, rows=twice), "arm", replicates=100, seed=0)
    assert len(found.arms["FedAvg"].rows) == len(table.rows)
    made = make_plan(found, Roles("FedAvg"), Consortium(SHARDS, 1e12), HABITS)
    content = made.to_json()
    assert len(content["dropped"]) == 4
    assert content["source"] == "made up"
    assert "left out: 1, L is missing" in made.summary()


def test_arms_are_paired_whatever_the_order_of_their_rows():
    """One seed a point: whole runs are drawn, and arms that differ by a constant factor do not scatter."""
    table = made_up_runs(arms=("FedAvg",))
    one = table.rows.filter(pl.col("seed") == 0)
    other = one.sample(fraction=1.0, shuffle=True, seed=3).with_columns(
        pl.lit("Own").alias("arm"), L=1.1 * pl.col("L")
    )
    found = gather_evidence(replace(table, rows=pl.concat([one, other])), "arm", replicates=100, seed=0)
    choice = choose_size(found.arms["FedAvg"], found, 1e12)
    gain = joining(found.arms["FedAvg"], found.arms["Own"], choice, None).gain
    assert gain.high - gain.low < 1e-3
    assert gain.estimate == pytest.approx(100 * (1 - 1 / 1.1), rel=1e-3)


def test_intervals_cover_runs_of_a_larger_budget():
    """Of 3 arms x 12 draws x 4 held-out runs; with 95 % coverage fewer than 129 of 144 are rare (2 %)."""
    larger = 2 * TOKENS[-1]
    inside = runs = 0
    for draw in range(12):
        found = gather_evidence(made_up_runs(draw=draw), "arm", replicates=200, seed=0)
        random = np.random.default_rng(1000 + draw)
        for size in (SIZES[2], SIZES[-1]):
            point = SizeChoice(float(size), float(larger), 6 * size * larger, 0.0, (size, size), ())
            for outlook in (outlook_by_name(found, arm, point) for arm in SURFACES):
                for _ in range(2):
                    loss = surface(outlook.arm, size, larger) * np.exp(0.002 * random.normal())
                    inside += outlook.run.covers(loss)
                    runs += 1
    assert runs == 144
    assert inside >= 129


def test_backtests_count_what_was_inside(evidence):
    alone = replace(evidence, arms={"FedAvg": evidence.arms["FedAvg"]})
    tests = backtest_arms(alone)
    assert [test.held_out.split(",")[0] for test in tests] == [
        "largest N",
        "largest D",
        "each size in turn",
    ]
    assert [test.runs for test in tests] == [8, 10, 40]
    assert tests[2].covered >= 34
    assert all(test.mean_relative_error < 0.01 for test in tests)


def test_shards_are_checked(tmp_path):
    path = tmp_path / "sites.csv"
    path.write_text("site,patients,tokens\na,10,100\nb,20,300\n")
    assert [shard.tokens for shard in read_shards(path)] == [100, 300]
    for text, message in (
        ("site,patients\na,10\n", "no column tokens"),
        ("site,patients,tokens\na,10,-5\n", "tokens must be positive"),
        ("site,patients,tokens\na,10,\n", "tokens must be positive"),
        ("site,patients,tokens\na,10,5\na,11,6\n", "site a appears twice"),
    ):
        path.write_text(text)
        with pytest.raises(RecordError, match=message):
            read_shards(path)
    with pytest.raises(RecordError, match="--compute"):
        Consortium(SHARDS, compute=float("nan"))


def test_roles_and_habits_are_found_or_asked_for():
    assert roles_of(["Centralised", "Local", "FedAvg"], Roles("")) == ROLES
    assert roles_of(["pooled", "FedAvg"], Roles("", "pooled")) == Roles("FedAvg", "pooled")
    with pytest.raises(RecordError, match="--federated: there is no arm 'FedX'"):
        roles_of(["FedAvg"], Roles("FedX"))
    with pytest.raises(RecordError, match="no federated arm"):
        roles_of(["Centralised"], Roles(""))
    rows = made_up_runs().rows
    assert habits_of(rows, None, None) == HABITS
    assert habits_of(rows, 4_096, 10) == Habits(4_096, 10, 4)
    with pytest.raises(RecordError, match="none of batch_tokens"):
        habits_of(rows.drop("batch_tokens"), None, None)


def test_command_on_run_records(study, tmp_path):
    sites = tmp_path / "sites.csv"
    sites.write_text("site,patients,tokens\n" + "".join(f"s{i},100,50000\n" for i in range(4)))
    target = tmp_path / "plan.json"
    arguments = ["plan", str(study), "--sites", str(sites), "--compute", "1e12", "--bootstrap", "200"]
    done = CliRunner().invoke(app, [*arguments, "--json", str(target)])
    assert done.exit_code == 0, done.output
    made = json.loads(target.read_text())
    assert made["roles"]["own"] == "Own model at home"
    assert made["joining"][0]["gain"]["estimate"] != 0
    assert {"choice", "schedule", "losses", "backtests", "warnings"} <= made.keys()
    table = read_runs(study).rows
    assert made["choice"]["tokens"] == table["D"][0]
    again = plan_training(read_runs(study), Consortium(read_shards(sites), 1e12), replicates=200)
    assert again.losses[0].mean.estimate == made["losses"][0]["mean"]["estimate"]
    assert "Plan for 4 sites" in again.summary()


def test_drawn_batches_may_differ_a_little_and_local_steps_may_not():
    rows = pl.DataFrame({"batch_tokens": [2000, 2060], "H": [20, 20], "M": [4, 4]})
    assert habits_of(rows, None, None) == Habits(2030, 20, 4)
    with pytest.raises(RecordError, match=r"several \(20, 21\) of H"):
        habits_of(rows.with_columns(H=pl.Series([20, 21])), None, None)
    with pytest.raises(RecordError, match=r"several .* of batch_tokens"):
        habits_of(rows.with_columns(batch_tokens=pl.Series([2000, 2200])), None, None)
