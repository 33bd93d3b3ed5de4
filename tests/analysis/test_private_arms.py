"""Private runs in tables and reports."""

from typing import get_args

import numpy as np
import polars as pl
import pytest

from analysis.fits.selection import Candidate, select_law
from analysis.fits.table_fit import Request, fit_groups
from analysis.report.findings import analyse
from analysis.tables.arms import name_arms, topology_name
from analysis.tables.noise_axis import noise_ratio
from analysis.tables.records import at_largest_budget, load_runs
from analysis.tables.run_table import read_runs
from wardlaw.config import from_flat
from wardlaw.config.strategy import StrategySection

PRIVATE = {"privacy.mechanism": "dp-sgd", "run.topology": "centralised"}


def test_every_strategy_has_a_name_in_reports():
    for name in get_args(StrategySection.model_fields["name"].annotation):
        uniform = {"strategy.weighting": "uniform"}
        config = from_flat({"strategy.name": name, "run.topology": "federated", **uniform})
        assert topology_name(config).lower() == name.replace("-", "")


def test_runs_of_other_noise_are_other_arms_of_one_surface():
    configs = {str(sigma): from_flat(PRIVATE | {"privacy.noise-multiplier": sigma}) for sigma in (8.0, 16.0)}
    configs["none"] = from_flat({"run.topology": "centralised"})
    configs["clipped"] = from_flat(PRIVATE | {"privacy.noise-multiplier": 0})
    arms = name_arms(configs, dict.fromkeys(configs, (1000, 10_000)))
    assert arms.order == ("Centralised", *(f"Centralised, S = {ratio}" for ratio in ("0", "0.25", "0.5")))
    assert set(arms.surface.values()) == {"Centralised"}
    assert not arms.splitting


def test_equal_ratios_of_other_noise_and_patients_are_two_arms_of_one_surface():
    pairs = ((1.2, 96), (0.4, 32))
    configs = {
        str(patients): from_flat(PRIVATE | {"privacy.noise-multiplier": sigma, "privacy.patients": patients})
        for sigma, patients in pairs
    }
    arms = name_arms(configs, dict.fromkeys(configs, (1000, 10_000)))
    assert arms.order == tuple(f"Centralised, S = 0.0125, patients {batch}" for batch in (32, 96))
    assert set(arms.surface.values()) == {"Centralised"}
    assert len({noise_ratio(config) for config in configs.values()}) == 1


def test_a_clipping_norm_tuned_for_each_ratio_splits_nothing_and_one_tried_at_a_ratio_splits():
    def config(sigma, norm):
        return from_flat(PRIVATE | {"privacy.noise-multiplier": sigma, "privacy.clip-norm": norm})

    tuned = {
        "a": config(8.0, 1.0),
        "b": config(16.0, 0.5),
        "none": from_flat({"run.topology": "centralised"}),
    }
    arms = name_arms(tuned, dict.fromkeys(tuned, (1000, 10_000)))
    assert set(arms.surface.values()) == {"Centralised"}
    tried = tuned | {"c": config(16.0, 0.1)}
    split = name_arms(tried, dict.fromkeys(tried, (1000, 10_000)))
    assert split.splitting == {"Centralised": ("privacy.clip-norm",)}
    assert split.of_run["b"] == "Centralised, clip-norm 0.5, S = 0.5"
    assert split.of_run["c"] == "Centralised, clip-norm 0.1, S = 0.5"
    assert split.of_run["none"] == "Centralised"


def test_runs_that_draw_alike_have_one_budget_whatever_they_drew(private_study):
    table = load_runs(private_study).table
    private = table.filter(pl.col("noise") != "")
    assert private.group_by("steps").agg(pl.col("tokens").n_unique())["tokens"].to_list() == [1, 1]
    assert sorted(private["tokens"].unique()) == [50 * 1280, 200 * 1280]
    assert private["trained_tokens"].n_unique() > 2
    assert set(private["batch_tokens"]) == {1280}
    assert sorted(at_largest_budget(table)["tokens"].unique()) == [200 * 1280, 819_200]


def test_a_surface_of_records_with_and_without_noise_is_recovered(private_study, private_law):
    (found,) = fit_groups(read_runs(private_study), Request("private", replicates=100))
    assert found.fit.sample.rows == 80
    assert found.table.dropped == ()
    assert sorted(set(found.fit.sample.inputs[:, 2])) == [0.0, 0.003, 0.01, 0.03]
    names = ("E", "A", "B", "C", "alpha", "beta", "gamma1", "gamma2")
    assert [found.params[name] for name in names] == pytest.approx(private_law, rel=1e-5)


@pytest.mark.parametrize("law", ["private", "private-power"])
def test_the_largest_size_is_held_out_and_missed_by_what_the_law_says(private_study, law, private_surface):
    (found,) = fit_groups(read_runs(private_study), Request(law, holdout="N >= 1e6", replicates=100))
    assert found.holdout.n == 16
    points = found.table.rows
    assert points["N"].max() == 330_000
    held = [
        (1e6, d, s) for s in (0.0, 0.003, 0.01, 0.03) for d in ((64e3, 256e3) if s else (204_800, 819_200))
    ]
    errors = [
        abs(found.predict(N=n, D=d, S=s).mean.estimate / private_surface(n, d, s) - 1) for n, d, s in held
    ]
    assert found.holdout.mean_relative_error == pytest.approx(np.mean(errors), rel=1e-6, abs=1e-9)
    assert found.holdout.largest_relative_error == pytest.approx(max(errors), rel=1e-6, abs=1e-9)
    assert (found.holdout.largest_relative_error < 1e-6) == (law == "private")


def test_laws_are_selected_on_records_of_several_ratios(private_study):
    candidates = [Candidate(law, Request(law)) for law in ("private", "private-power")]
    selection = select_law(read_runs(private_study), candidates, "N >= 1e6")
    assert selection.chosen.name == "private"
    assert selection.held == 16
    assert not any("taken together" in caution for caution in selection.cautions)


def test_laws_that_do_not_read_the_ratio_are_fitted_to_one_at_a_time(private_study):
    table = read_runs(private_study)
    fits = fit_groups(table, Request("chinchilla", replicates=100))
    assert [one.fit.group for one in fits] == ["FedAvg", *(f"FedAvg, S = {s}" for s in (0.003, 0.01, 0.03))]
    assert all(one.table.rows["S"].n_unique() == 1 for one in fits)
    (mixed,) = fit_groups(table, Request("chinchilla", replicates=100), "none")
    assert any("differ in S" in warning for warning in mixed.warnings)


def test_arms_are_compared_at_their_own_ratio(make_private_study, tmp_path):
    both = {"topologies": ("centralised", "federated"), "budgets": (204_800,), "sizes": ("xs", "150k", "1m")}
    runs = load_runs(make_private_study(tmp_path, ratios=(None, 0.01), shift=0.1, **both))
    assert [peers.name for peers in runs.peers] == ["", "S = 0.01"]
    assert runs.peers[1].centralised == "Centralised, S = 0.01"
    gaps = analyse(runs, replicates=100).gaps
    # Four replicas draw four times the patients of one: there is no gap between private arms.
    assert {(gap.arm, gap.reference) for gap in gaps} == {("FedAvg", "Centralised")}
    assert [gap.percent.estimate for gap in gaps] == pytest.approx([10.0] * 3, rel=1e-6)
