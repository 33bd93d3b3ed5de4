"""What a report refuses to claim, and the law that it draws then."""

import json

from analysis.report.cautions import cautions
from analysis.report.findings import analyse
from analysis.tables.records import load_runs
from analysis.uncertainty.bootstrap import Interval
from analysis.uncertainty.interval_text import interval_text
from wardlaw.seeds import generator

SIZES = {"xs": 10_000, "40k": 40_000, "150k": 150_000, "330k": 330_000}


def found(runs, text):
    return [sentence for sentence in cautions(runs, analyse(runs, replicates=200)) if text in sentence]


def test_no_irreducible_loss_is_drawn_where_the_sizes_cannot_tell_it(make_run, tmp_path):
    for size, parameters in SIZES.items():
        for seed in (0, 1):
            noise = 1 + 0.01 * generator(seed, size).normal()
            make_run(tmp_path, loss=8 * parameters**-0.035 * noise, size=size, seed=seed)
    runs = load_runs(tmp_path)
    curve = analyse(runs, replicates=200).curves["FedAvg"]
    assert curve.law.name == "pure-power"
    alpha = curve.intervals["alpha"]
    assert alpha.low < 0.035 < alpha.high
    assert found(runs, "An irreducible loss cannot be told from these sizes")


def test_an_irreducible_loss_is_drawn_where_they_can(study):
    runs = load_runs(study)
    assert {fit.law.name for fit in analyse(runs, replicates=200).curves.values()} == {"power"}
    assert not found(runs, "irreducible loss cannot be told")


def test_training_off_the_budget_is_said(make_run, tmp_path):
    folder = make_run(tmp_path, loss=2.0, topology="local")
    make_run(tmp_path, loss=2.0)
    result = json.loads((folder / "result.json").read_text())
    for share, reason in ((11 / 8, "more of them than replicas"), (0.5, "abstained or failed")):
        (folder / "result.json").write_text(json.dumps(result | {"tokens": int(share * 409_600)}))
        (sentence,) = found(load_runs(tmp_path), "times its token budget")
        assert sentence.startswith(f"Local trained on {share:.2f} times")
        assert reason in sentence


def test_arms_on_other_data_are_not_compared_in_silence(make_run, tmp_path):
    make_run(tmp_path, loss=2.0, topology="centralised")
    make_run(tmp_path, loss=2.0, digest="another")
    assert found(load_runs(tmp_path), "The arms differ in data.digest")


def test_one_size_claims_no_curve(make_run, tmp_path):
    make_run(tmp_path, loss=2.0)
    runs = load_runs(tmp_path)
    assert found(runs, "One size was trained")
    assert not found(runs, "Curves are drawn")


def test_intervals_over_magnitudes_are_readable():
    assert interval_text(Interval(0.0352, 0.0204, 1.93)) == "0.035 (0.020 to 1.9)"
    assert interval_text(Interval(-0.003, -0.016, 0.013)) == "-0.003 (-0.016 to 0.013)"
