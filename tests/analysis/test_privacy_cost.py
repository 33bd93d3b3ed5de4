"""What noise and epsilon cost, against the exact surface behind made-up records."""

import json
import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from dp_accounting import dp_event
from dp_accounting.pld import PLDAccountant
from typer.testing import CliRunner

from analysis.cli import app
from analysis.laws.private import PrivatePower
from analysis.planner.consortium import Consortium, Privacy, Shard
from analysis.planner.planning import plan_training
from analysis.privacy.cost import noise_costs
from analysis.privacy.holdout import held_out_values
from analysis.privacy.price import price_table
from analysis.privacy.statements import Setting, stated_epsilons, stated_setting
from analysis.privacy.surface import private_surfaces
from analysis.report.privacy_price_panels import price_rows
from analysis.report.report import build_report, render
from analysis.solvers.objective import LOG_SQUARES
from analysis.tables.records import load_runs
from analysis.tables.run_table import read_runs
from wardlaw.privacy.statement import PrivacyStatement, SiteShare
from wardlaw.privacy.statement_files import save_statement

SIZES = (10_000, 40_000, 150_000, 330_000, 1_000_000)
RATIOS = (0.003, 0.01, 0.03)
# Steps of the larger budget, and what its private and its plain runs train on.
STEPS, DRAWN, PACKED = 200, 256_000, 819_200


@pytest.fixture(scope="module")
def runs(private_study):
    return load_runs(private_study)


@pytest.fixture(scope="module")
def surface(runs):
    (found,) = private_surfaces(runs, "loss_per_token", replicates=100, seed=0)
    return found


def percent(above, below):
    return 100 * (above / below - 1)


def test_costs_of_noise_are_those_of_the_surface(surface, private_surface):
    costs = noise_costs(surface, replicates=100, seed=0)
    assert len(costs) == len(SIZES) * (1 + len(RATIOS))
    assert set(costs["steps"]) == {STEPS}
    assert costs.filter(pl.col("ratio") == 0)["percent"].null_count() == len(SIZES)
    for row in costs.filter(pl.col("ratio") > 0).iter_rows(named=True):
        size, ratio = row["parameters"], row["ratio"]
        noisy = private_surface(size, DRAWN, ratio)
        assert row["loss"] == pytest.approx(noisy, rel=1e-9)
        assert row["quiet_tokens"] == PACKED
        assert row["percent"] == pytest.approx(percent(noisy, private_surface(size, PACKED, 0.0)), rel=1e-6)
        exact = percent(noisy, private_surface(size, DRAWN, 0.0))
        assert row["fitted_percent"] == pytest.approx(exact, rel=1e-4)


def test_every_size_is_predicted_exactly_by_the_law_that_made_the_runs(surface):
    held = surface.holdouts.filter(pl.col("law") == "private")
    assert held["value"].to_list() == list(SIZES)
    assert set(held["letter"]) == {"N"}
    assert held["is_largest"].to_list() == [False] * 4 + [True]
    assert held["runs"].to_list() == [16] * 5
    assert held["largest_percent"].max() < 1e-3


def test_errors_on_a_held_out_size_are_in_per_cent_of_its_loss(surface):
    parts = surface.rows.filter(pl.col("N") == SIZES[-1]), surface.rows.filter(pl.col("N") < SIZES[-1])
    held, fitted = (part.select("N", "D", "S").to_numpy() for part in parts)
    law = PrivatePower(LOG_SQUARES).fit(fitted, parts[1]["L"])
    off = np.abs(percent(law.predict(held), parts[0]["L"].to_numpy()))
    found = held_out_values(PrivatePower, surface.rows, "N").row(-1, named=True)
    assert found["percent"] == pytest.approx(off.mean(), rel=1e-6)
    assert found["largest_percent"] == pytest.approx(off.max(), rel=1e-6)
    assert found["percent"] > 0.5


def test_one_budget_has_no_term_of_tokens(make_private_study, tmp_path):
    one = load_runs(make_private_study(tmp_path, budgets=(204_800,), noise=1e-3))
    (found,) = private_surfaces(one, "loss_per_token", replicates=100, seed=0)
    assert found.one_budget
    assert found.fit.law.params_["B"] == 0
    here, there = ({"N": 1e5, "D": tokens, "S": 0.01} for tokens in (1e4, 1e6))
    assert found.percent_above_quiet(here) == found.percent_above_quiet(there)


def test_clipping_without_noise_stands_for_no_noise_and_plain_runs_beside_it(make_private_study, tmp_path):
    """Plain runs are far from the surface here: one of them in its fit would be seen."""
    few = {"topologies": ("centralised",), "sizes": ("xs", "40k", "150k", "1m")}
    make_private_study(tmp_path / "private", ratios=(0.0, *RATIOS), **few)
    make_private_study(tmp_path / "plain", ratios=(None,), scale=0.7, **few)
    both = load_runs(tmp_path)
    assert both.arms == ["Centralised", *(f"Centralised, S = {ratio}" for ratio in (0, *RATIOS))]
    (found,) = private_surfaces(both, "loss_per_token", replicates=100, seed=0)
    assert found.fit.law.params_["C"] == pytest.approx(0.5, rel=1e-5)
    assert len(found.plain) == 16
    costs = noise_costs(found, replicates=100, seed=0)
    plain = costs.filter(pl.col("noise") == "")
    assert plain["percent"].max() < -25
    assert costs.filter(pl.col("noise") == "S = 0")["percent"].null_count() == 4
    table = read_runs(tmp_path)
    assert table.rows.filter(pl.col("noise") == "")["S"].null_count() == 16
    assert any("16 runs without privacy have no S" in note for note in table.notes)


def sigma_is_enough(sigma, setting, epsilon):
    """Epsilon of the noise by a grid of its own."""
    step = dp_event.PoissonSampledDpEvent(
        setting.batch_patients / setting.patients, dp_event.GaussianDpEvent(sigma)
    )
    composed = PLDAccountant(value_discretization_interval=1e-3).compose(
        dp_event.SelfComposedDpEvent(step, setting.steps)
    )
    return composed.get_epsilon(setting.delta) == pytest.approx(epsilon, rel=0.01)


def test_an_epsilon_costs_what_its_noise_does(surface, private_surface):
    setting = Setting(50_000, 32, STEPS, 1e-6)
    prices = price_table(surface, setting, (1.0, 8.0))
    told = prices.filter(pl.col("loss").is_not_null())
    assert len(told) > 0
    for row in told.iter_rows(named=True):
        assert sigma_is_enough(row["noise_multiplier"], setting, row["epsilon"])
        assert row["ratio"] == pytest.approx(row["noise_multiplier"] / 32)
        exact = private_surface(row["parameters"], DRAWN, row["ratio"])
        assert row["loss"] == pytest.approx(exact, rel=1e-5)
        above = percent(exact, private_surface(row["parameters"], DRAWN, 0.0))
        assert row["percent"] == pytest.approx(above, rel=1e-4)


def test_beyond_the_noise_that_was_run_only_its_cost_is_known(surface, private_surface):
    few = price_table(surface, Setting(1_000, 32, STEPS, 1e-4), (0.5,))
    assert few["ratio"][0] > RATIOS[-1]
    assert set(few["bound"]) == {"more than"}
    exact = [percent(private_surface(n, DRAWN, RATIOS[-1]), private_surface(n, DRAWN, 0.0)) for n in SIZES]
    assert few["percent"].to_list() == pytest.approx(exact, rel=1e-4)
    assert price_rows(few)[0]["10 K"].split(", ")[1].startswith("more than ")


def test_nothing_is_said_where_no_run_reaches(surface):
    noisy = replace(surface, rows=surface.private)
    many = price_table(noisy, Setting(10**6, 32, STEPS, 1e-7), (8.0,))
    assert many["reason"].str.contains("below 0.003, the smallest that was run").all()
    none = price_table(surface, Setting(20, 32, STEPS, 1e-4), (8.0,))
    assert none["reason"].str.contains("a step draws 32 patients, and there are 20").all()
    other = price_table(surface, Setting(50_000, 32, 7 * STEPS, 1e-6), (8.0,))
    assert other["reason"].str.contains("1,400 steps are 7 times above the most that were run").all()


def state(record, patients, epsilon, **more):
    privacy = record.config.privacy
    shares = tuple(
        SiteShare(site=f"s{n}", patients=n, steps=record.config.steps, epsilon=epsilon) for n in patients
    )
    save_statement(
        record.folder,
        PrivacyStatement(
            basis="ledgers",
            mechanism="dp-sgd",
            sampling="poisson",
            epsilon=epsilon,
            delta=privacy.delta,
            sites=shares,
            **more,
        ),
    )


@pytest.fixture(scope="module")
def stated(make_private_study, tmp_path_factory):
    """One budget and three sizes, with statements of epsilon; one of them is damaged."""
    folder = tmp_path_factory.mktemp("stated") / "runs"
    make_private_study(folder, sizes=("xs", "150k", "1m"), budgets=(819_200,), noise=1e-3, delta=1e-6)
    for record in load_runs(folder).records.values():
        if record.config.privacy.private:
            state(record, (3_000, 8_000), 0.05 / record.config.privacy.noise_batch_ratio)
    damaged = next(folder.glob("*-1m-1-*/privacy.json"))
    damaged.write_text("{")
    return folder


def test_epsilons_are_told_with_what_they_hold_for(stated):
    found = stated_epsilons(load_runs(stated))
    assert found["ratio"].to_list() == list(RATIOS)
    assert found["epsilon"].to_list() == pytest.approx([0.05 / ratio for ratio in RATIOS])
    assert sum(found["runs"]) == 17
    assert set(found["patients"]) == {3_000}
    assert stated_setting(found, "FedAvg") == Setting(3_000, 32, STEPS, 1e-6)
    assert stated_setting(found, "FedProx") is None


def test_a_stand_in_tells_both_epsilons_and_is_no_deployments_setting(stated, make_run, tmp_path):
    for ratio in (0.01, 0.02):
        privacy = {"mechanism": "dp-sgd", "noise-multiplier": 32 * ratio, "patients": 32, "stands-for": 4}
        make_run(tmp_path, loss=2.0 + ratio, privacy=privacy)
    for record in load_runs(tmp_path).records.values():
        state(record, (30_000,), 900.0, stands_for=4, stands_for_epsilon=2.0)
    found = stated_epsilons(load_runs(tmp_path))
    assert set(found["stands_for_epsilon"]) == {2.0}
    assert stated_setting(found, "FedAvg") is None


def test_the_report_says_what_noise_and_epsilon_cost(stated):
    report = build_report(stated, replicates=100)
    panels = {panel.key: panel for panel in report.panels}
    keys = ("privacy", "privacy-by-size", "privacy-laws", "privacy-epsilon", "privacy-price")
    assert set(keys) <= set(panels)
    assert all("Synthetic patients" in panels[key].caption for key in keys[:2])
    text = " ".join(report.to_json()["headline"])
    assert "loss above training without privacy of as many steps: S = 0.003 adds" in text
    assert "noise adds more nats to larger models, gamma2 = -0.0" in text
    assert "S = 0.003 cost epsilon = 16.7 at delta 1e-06 for 3,000 patients a site, 32 a step" in text
    cautions = " ".join(report.to_json()["cautions"])
    assert "no term of tokens, and what fewer tokens cost private runs counts as noise" in cautions
    priced = {
        row["Holds for"].split(" for ")[1].split(" patients")[0] for row in panels["privacy-price"].rows
    }
    assert priced == {"3,000", "30,000", "300,000"}
    page = render(report)
    assert "SYNTHETIC" in page
    numbers = json.loads(json.dumps(report.to_json()["privacy"], default=str))
    assert len(numbers["costs"]) == 12
    assert len(numbers["prices"]) == 3 * 4 * 3


def test_a_study_without_private_runs_has_no_panel_about_privacy(study):
    report = build_report(study, replicates=100)
    assert not [panel for panel in report.panels if panel.key.startswith("privacy")]
    assert report.to_json()["privacy"]["surfaces"] == []


def test_the_command_prices_epsilons(private_study, tmp_path):
    numbers = tmp_path / "prices.json"
    asked = ["privacy", str(private_study), "--patients", "50000", "--delta", "1e-6", "--epsilon", "8"]
    result = CliRunner().invoke(app, [*asked, "--bootstrap", "100", "--json", str(numbers)])
    assert result.exit_code == 0, result.output
    assert "SYNTHETIC" in result.output
    assert "FedAvg: 50,000 patients a site, 32 a step, 200 steps" in " ".join(result.output.split())
    prices = json.loads(numbers.read_text())["prices"]
    assert {(row["steps"], row["epsilon"]) for row in prices} == {(50, 8.0), (200, 8.0)}


def test_the_command_wants_several_ratios(study):
    result = CliRunner().invoke(app, ["privacy", str(study), "--patients", "100", "--delta", "1e-3"])
    assert result.exit_code != 0
    assert "no arm has runs at several noise-batch ratios" in str(result.exception)


def test_a_plan_reads_private_records_on_their_own_axis(private_study, private_surface):
    """S is one site's sigma over its B, as in the records, and steps are those that draw B patients."""
    shards = tuple(Shard(f"site-{place}", 50_000, 50_000) for place in range(4))
    consortium = Consortium(shards, 1e12, Privacy(8.0, 1e-6))
    plan = plan_training(read_runs(private_study), consortium, replicates=100)
    assert plan.roles.federated == "FedAvg"
    assert {noise.batch_patients for noise in plan.noises} == {32}
    assert plan.schedule.steps == round(plan.choice.tokens / 1280)
    sigma = plan.noises[0].noise_multiplier
    exact = private_surface(plan.choice.size, plan.choice.tokens, sigma / 32)
    assert plan.private.mean.estimate == pytest.approx(exact, rel=2e-3)
    assert not math.isclose(plan.private.mean.estimate, plan.losses[0].mean.estimate, rel_tol=0.01)
    assert any("a step draws 32 patients" in warning for warning in plan.warnings)


def test_without_runs_at_no_noise_the_law_is_not_carried_there(surface):
    noisy = replace(surface, rows=surface.private)
    costs = noise_costs(noisy, replicates=100, seed=0)
    assert costs["percent"].null_count() == costs["fitted_percent"].null_count() == len(costs) == 15
    prices = price_table(noisy, Setting(50_000, 32, STEPS, 1e-6), (1.0,))
    assert prices["loss"].null_count() == 0
    assert prices["percent"].null_count() == len(SIZES)
    assert price_rows(prices)[0]["10 K"] == f"{prices['loss'][0]:.3f}"
