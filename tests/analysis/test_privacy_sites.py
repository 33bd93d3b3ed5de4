"""Private training across sites against pooled training. Made-up runs."""

import math

import numpy as np
import polars as pl
import pytest
from scipy.stats import ttest_ind

from analysis.privacy.sites import POOLED, site_losses
from analysis.report.privacy_site_chart import chart_by_sites
from analysis.tables.arms import name_arms
from analysis.tables.records import Runs
from wardlaw.config import from_flat

DRIFT = 0.02


def row(arm, sites, sigma, seed, loss, batch=256, size=130_000):
    averaged = arm not in ("Centralised", "Local")
    replicas = sites if averaged else 1
    drawn = batch if averaged or arm == "Local" else batch * sites
    ratio = sigma / drawn
    return {
        "run": f"{arm}-{sites}-{sigma}-{seed}-{size}",
        "surface": arm,
        "base_arm": arm,
        "noise": f"S = {ratio:.4g}",
        "parameters": size,
        "steps": 150,
        "sites": sites,
        "step_patients": drawn * replicas,
        "noise_batch_ratio": ratio,
        "averaged_ratio": ratio / math.sqrt(replicas),
        "noise_multiplier": sigma,
        "local_steps": 10 if averaged else None,
        "seed": seed,
        "loss_per_token": loss,
    }


def runs(*more, seeds=(0, 1, 2)):
    random = np.random.default_rng(1)
    rows = [
        row(
            arm,
            sites,
            sigma,
            seed,
            float((5.5 - 0.1 * sites + 0.2 * sigma) * np.exp(above + 0.003 * random.normal())),
        )
        for sites in (2, 4, 8)
        for sigma in (2e-4, 0.4, 1.6)
        for arm, above in (("Centralised", 0.0), ("FedAvg", DRIFT))
        for seed in seeds
    ]
    rows += [row("Local", 1, sigma, seed, 5.6) for sigma in (2e-4, 0.4, 1.6) for seed in seeds]
    return Runs(pl.DataFrame([*rows, *more], infer_schema_length=None), {}, {}, (), None)


def test_averaged_and_pooled_training_are_compared_at_one_batch_and_noise():
    found = site_losses(runs(), "loss_per_token")
    assert len(found) == 3 * (1 + 2 * 3)
    assert set(found["sigma"]) == {0.0, 0.4, 1.6}
    averaged = found.filter(pl.col("arm") == "FedAvg")
    for one in averaged.iter_rows(named=True):
        assert one["step_patients"] == 256 * one["sites"]
        assert one["ratio"] == pytest.approx(one["averaged_ratio"] * math.sqrt(one["sites"]))
        assert one["percent"] == pytest.approx(100 * math.expm1(DRIFT), abs=1)
        assert one["percent_low"] < one["percent"] < one["percent_high"]
    pooled = found.filter(pl.col("arm") == POOLED)
    assert pooled["percent"].null_count() == len(pooled) == 12
    assert pooled.filter(pl.col("sites") == 1)["loss"].to_list() == pytest.approx([5.6] * 3)
    noisiest = found.filter(pl.col("sites") == 8, pl.col("sigma") == 1.6)
    assert dict(noisiest.select("arm", "ratio").iter_rows()) == pytest.approx(
        {POOLED: 1.6 / 2048, "FedAvg": 1.6 / 256}
    )


def test_the_interval_of_one_pair_is_welchs():
    table = runs().table.filter(pl.col("sites") == 4, pl.col("noise_multiplier") == 0.4)
    (one,) = (
        site_losses(Runs(table, {}, {}, (), None), "loss_per_token")
        .filter(pl.col("arm") == "FedAvg")
        .to_dicts()
    )
    logs = {arm: np.log(part["loss_per_token"].to_numpy()) for (arm,), part in table.group_by("base_arm")}
    ends = ttest_ind(logs["FedAvg"], logs["Centralised"], equal_var=False).confidence_interval(0.95)
    assert one["percent_low"] == pytest.approx(100 * math.expm1(ends.low), rel=1e-9)
    assert one["percent_high"] == pytest.approx(100 * math.expm1(ends.high), rel=1e-9)


def test_without_a_pooled_run_of_the_same_batch_there_is_nothing_to_compare():
    table = runs().table
    alone = table.filter(pl.col("base_arm") == "FedAvg")
    assert site_losses(Runs(alone, {}, {}, (), None), "loss_per_token").is_empty()
    other = table.with_columns(
        step_patients=pl.when(pl.col("base_arm") == "Centralised")
        .then(2 * pl.col("step_patients"))
        .otherwise(pl.col("step_patients"))
    )
    assert site_losses(Runs(other, {}, {}, (), None), "loss_per_token").is_empty()


def test_single_runs_have_no_interval():
    found = site_losses(runs(seeds=(0,)), "loss_per_token")
    assert found["percent_low"].null_count() == found["loss_low"].null_count() == len(found)
    assert found.filter(pl.col("arm") == "FedAvg")["percent"].null_count() == 0


def test_lines_over_sites_are_drawn_where_there_are_several_numbers():
    found = site_losses(runs(), "loss_per_token")
    chart = chart_by_sites(found, "loss")
    (facet,) = chart.facets
    lines = {series.group: list(series.x) for series in facet.series}
    assert lines["FedAvg, sigma = 1.60"] == [2, 4, 8]
    assert lines["Pooled, no noise"] == [1, 2, 4, 8]
    assert set(lines) <= set(chart.styles)
    assert chart_by_sites(found.filter(pl.col("sites") == 4), "loss") is None


def test_numbers_of_replicas_are_never_one_surface():
    private = {"privacy.mechanism": "dp-sgd", "strategy.name": "fedavg", "federation.quorum": 1}
    configs = {
        f"{replicas}": from_flat(
            private | {"federation.replicas": replicas, "privacy.noise-multiplier": 0.1 * replicas}
        )
        for replicas in (2, 4)
    }
    arms = name_arms(configs, {"2": (1000, 20_000), "4": (1000, 40_000)})
    assert set(arms.surface.values()) == {"FedAvg, replicas 2", "FedAvg, replicas 4"}
    assert arms.splitting == {"FedAvg": ("federation.replicas",)}
