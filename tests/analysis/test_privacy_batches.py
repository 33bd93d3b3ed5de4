"""Private runs of several batches: costs, laws, holdouts and prices. Made-up runs on a known law."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from analysis.charts.chart import Axis
from analysis.cli import app
from analysis.laws.private import Private
from analysis.laws.private_draws import PrivateDraws
from analysis.privacy.cost import noise_costs
from analysis.privacy.findings import PrivacyFindings
from analysis.privacy.law_comparison import compare_laws
from analysis.privacy.price import price_table
from analysis.privacy.statements import Setting
from analysis.privacy.surface import private_surfaces
from analysis.report.privacy_chart import chart_by_batch
from analysis.report.privacy_law_panels import comparison_panel
from analysis.report.privacy_sentences import privacy_cautions, privacy_sentences
from analysis.tables.records import Runs

SIZES, BATCHES, RATIOS = (50_000, 130_000, 330_000, 1_600_000), (32, 128, 1024), (0.0, 0.0004, 0.0016, 0.0064)
C = 0.008
NOISE = 0.004


def exact(size, steps, ratio, patients):
    squared = ratio**2 + C**2 / patients
    response = squared**0.8 / (squared**0.8 + 0.0016**1.6)
    return 3.0 + 40 * size**-0.3 + 20 * steps**-0.6 + 0.16 * response * size**0.2


def runs(batches=BATCHES, ratios=RATIOS, noise=NOISE, all_steps=(75, 150, 600)):
    """Seeds at the middle number of steps, as studies have them."""
    random = np.random.default_rng(3)
    rows = [
        {
            "run": f"{size}-{steps}-{ratio}-{batch}-{seed}",
            "surface": "Centralised",
            "base_arm": "Centralised",
            "noise": f"S = {ratio:.4g}",
            "parameters": size,
            "tokens": steps * batch * 121,
            "steps": steps,
            "noise_batch_ratio": ratio,
            "averaged_ratio": ratio,
            "noise_multiplier": ratio * batch,
            "batch_patients": batch,
            "step_patients": batch,
            "sites": 4,
            "local_steps": None,
            "learning_rate": 0.01,
            "clip_norm": 1.0,
            "seed": seed,
            "loss_per_token": float(exact(size, steps, ratio, batch) * np.exp(noise * random.normal())),
        }
        for size in SIZES
        for batch in batches
        for steps in (all_steps if batch == batches[-1] else (150,))
        for ratio in ratios
        for seed in ((0, 1) if steps == 150 else (0,))
    ]
    return Runs(pl.DataFrame(rows, infer_schema_length=None), {}, {}, (), None)


@pytest.fixture(scope="module")
def surface():
    (found,) = private_surfaces(runs(), "loss_per_token", replicates=100, seed=0)
    return found


def test_the_law_of_both_noises_speaks_for_several_batches(surface):
    assert isinstance(surface.fit.law, PrivateDraws)
    assert surface.reads_batch
    assert surface.batches == list(BATCHES)
    assert not surface.refused
    assert surface.fit.law.params_["c"] == pytest.approx(C, rel=0.1)
    assert surface.fit.misfit > 1e-4


def test_costs_are_against_no_noise_at_the_same_batch(surface):
    costs = noise_costs(surface, replicates=100, seed=0)
    assert set(costs["steps"].filter(costs["batch_patients"] == 32)) == {150}
    assert set(costs["steps"].filter(costs["batch_patients"] == 1024)) == {150, 600}
    assert set(costs.filter("shared")["steps"]) == {150}
    noisy = costs.filter(pl.col("ratio") == 0.0064)
    for row in noisy.iter_rows(named=True):
        at = row["parameters"], row["steps"]
        batch = row["batch_patients"]
        truth = 100 * (exact(*at, 0.0064, batch) / exact(*at, 0.0, batch) - 1)
        assert row["percent"] == pytest.approx(truth, abs=100 * 5 * NOISE)
        assert row["fitted_percent"] == pytest.approx(truth, abs=1.5)
    mean = noisy.filter("shared").group_by("batch_patients").agg(pl.col("percent").mean())
    assert mean.sort("batch_patients")["percent"].is_sorted()


def test_laws_are_compared_by_fit_by_special_cases_and_by_held_out_sizes_and_batches(surface):
    laws = compare_laws(surface)
    by_name = {(row["law"], row["case"]): row for row in laws.iter_rows(named=True)}
    ours = by_name["private-draws", ""]
    assert laws["aic"].min() == ours["aic"]
    assert ours["percent"] == pytest.approx(100 * NOISE, rel=0.25)
    assert by_name["private-draws", "c = 0"]["p"] < 1e-12
    assert by_name["private-draws", "sigmoid of arXiv 2501.18914"]["p"] < 1e-6
    assert by_name["private", ""]["lack_of_fit_p"] < 1e-6
    held = surface.holdouts.filter(pl.col("letter") == "P", "is_largest")
    errors = dict(held.select("law", "percent").iter_rows())
    assert errors["private-draws"] < 1.5 < errors["private"]
    by_hand = surface.rows.filter(pl.col("P") < 1024)
    law = Private(surface.fit.law.objective).fit(by_hand.select("N", "D", "S").to_numpy(), by_hand["L"])
    of_largest = surface.rows.filter(pl.col("P") == 1024, pl.col("T") == 150)
    off = np.abs(law.predict(of_largest.select("N", "D", "S").to_numpy()) / of_largest["L"].to_numpy() - 1)
    assert errors["private"] == pytest.approx(100 * off.mean(), rel=1e-3)


def test_a_price_is_at_the_batch_that_is_meant(surface):
    for batch in (32, 512, 1024):
        prices = price_table(surface, Setting(64_000, batch, 150, 1e-6), (8.0,))
        assert prices["batch_told"].all()
        assert set(prices["law_batch"]) == {batch}
        for row in prices.iter_rows(named=True):
            at = row["parameters"], 150
            ratio = min(row["ratio"], RATIOS[-1])
            truth = 100 * (exact(*at, ratio, batch) / exact(*at, 0.0, batch) - 1)
            assert row["percent"] == pytest.approx(truth, abs=1.5)
            assert row["percent_low"] < row["percent"] < row["percent_high"]
            assert (row["bound"] == "more than") == (row["ratio"] > RATIOS[-1])


def test_batches_beyond_the_runs_are_refused_unless_they_are_asked_for(surface):
    setting = Setting(64_000, 4096, 150, 1e-6)
    refused = price_table(surface, setting, (8.0,))
    assert refused["loss"].null_count() == len(SIZES)
    assert (
        refused["reason"].str.contains("4,096 patients a step are 4 times above the most that were run").all()
    )
    told = price_table(surface, setting, (8.0,), extrapolate=True)
    assert told["extrapolated"].str.contains("4 times above").all()
    at = SIZES[0], 150
    truth = 100 * (exact(*at, told["ratio"][0], 4096) / exact(*at, 0.0, 4096) - 1)
    assert told["percent"][0] == pytest.approx(truth, abs=1.5)
    few = price_table(surface, Setting(64_000, 8, 150, 1e-6), (8.0,))
    assert few["reason"].str.contains("8 patients a step are 4 times below the fewest").all()
    long = price_table(surface, Setting(64_000, 512, 1200, 1e-6), (8.0,))
    assert long["reason"].str.contains("1,200 steps are 2 times above").all()


def test_a_law_of_the_ratio_alone_says_that_it_knows_no_batch():
    (one,) = private_surfaces(runs(batches=(32,)), "loss_per_token", replicates=100, seed=0)
    assert "same P (32)" in one.refused["private-draws"]
    assert isinstance(one.fit.law, Private)
    prices = price_table(one, Setting(64_000, 1024, 150, 1e-6), (8.0,))
    assert not prices["batch_told"].any()
    assert set(prices["law_batch"]) == {32}
    assert prices["loss"].null_count() == 0
    findings = PrivacyFindings((one,), *[pl.DataFrame()] * 5)
    assert any(
        "cannot be told from runs of 32 patients a step" in text for text in privacy_cautions(findings)
    )


def test_the_least_noise_stands_for_none_where_the_law_does_not_feel_it(surface):
    ledger = pl.when(pl.col("S") == 0).then(1e-6).otherwise(pl.col("S"))
    least = replace(surface, rows=surface.rows.with_columns(S=ledger))
    assert least.quiet_ratio == 1e-6
    costs = noise_costs(least, replicates=100, seed=0)
    assert costs.filter(pl.col("ratio") > 1e-5)["percent"].null_count() == 0
    assert replace(least, rows=least.rows.filter(pl.col("S") > 1e-3)).quiet_ratio is None


def test_the_report_draws_and_tells_batches(surface):
    costs = noise_costs(surface, replicates=100, seed=0)
    chart = chart_by_batch((surface,), costs, {"Centralised": Axis("loss")})
    assert [facet.title for facet in chart.facets] == [
        f"{name} parameters" for name in ("50 K", "130 K", "330 K", "1.6 M")
    ]
    marks = [series for series in chart.facets[0].series if hasattr(series, "notes")]
    assert [list(series.x) for series in marks] == [[32, 128, 1024]] * 4
    nothing = pl.DataFrame()
    findings = PrivacyFindings((surface,), costs, compare_laws(surface), nothing, nothing, nothing)
    told = " ".join(privacy_sentences(findings))
    assert "who is drawn is noise like S = 0.0014" in told
    rows = comparison_panel(findings).rows
    assert rows[0]["Law"] == "private-draws"
    assert rows[0]["AIC"] == "0.0"
    assert rows[0]["Largest batch"].startswith("1,024: ")
    assert rows[1]["Law"] == "private-draws, c = 0"
    assert rows[1]["Fits"] == "p < 0.001"


def test_the_command_takes_batches_patients_and_steps(private_study, tmp_path):
    numbers = tmp_path / "prices.json"
    asked = ["--patients", "50000", "--patients", "20", "--batch", "64", "--steps", "200", "--epsilon", "8"]
    result = CliRunner().invoke(
        app,
        [
            "privacy",
            str(private_study),
            *asked,
            "--delta",
            "1e-6",
            "--bootstrap",
            "100",
            "--json",
            str(numbers),
        ],
    )
    assert result.exit_code == 0, result.output
    shown = " ".join(result.output.split())
    assert "50,000 patients a site, 64 a step, 200 steps" in shown
    assert "The batch is not told" in shown
    assert shown.count("there are 20") == 1
    prices = json.loads(numbers.read_text())["prices"]
    assert {(row["patients"], row["batch_patients"], row["steps"]) for row in prices} == {
        (50_000, 64, 200),
        (20, 64, 200),
    }
