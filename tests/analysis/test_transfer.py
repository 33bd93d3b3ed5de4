"""Loss on hospitals outside the federation, and answers to clinical tasks."""

import logging

import polars as pl
import pytest

from analysis.report.downstream import downstream_table
from analysis.report.findings import analyse
from analysis.report.panel import Panel
from analysis.report.report import build_report, write_report
from analysis.report.transfer import transfer_table
from analysis.tables.records import at_largest_budget, load_runs
from wardlaw.records import find_records, load_record

OUTSIDE = {"far": (600, 30), "farther": (400, 20)}
# Nats a token of every model outside, by topology; of seed 1 a tenth more.
LOSSES = {"centralised": [2.0], "local": [2.5, 3.0, 3.5], "federated": [2.2]}


def write_transfer(folder):
    """Two sites outside, of which each patient is in one of two splits."""
    config = load_record(folder).config
    rows = [
        {
            "replica": f"model-{place}",
            "site": site,
            "split": split,
            "nats": share * tokens * (loss + sign) * (1 + 0.1 * config.run.seed),
            "tokens": int(share * tokens),
            "events": int(share * tokens / 2),
            "patients": int(share * patients),
        }
        for place, loss in enumerate(LOSSES[config.run.topology])
        # Sites differ, and cancel in the pooled loss by their tokens only.
        for (site, (tokens, patients)), sign in zip(OUTSIDE.items(), (0.4, -0.6), strict=True)
        for split, share in (("train", 0.8), ("held_out", 0.2))
    ]
    pl.DataFrame(rows).write_parquet(folder / "transfer.parquet")


@pytest.fixture
def scored(make_study, tmp_path):
    runs = make_study(tmp_path / "runs", arms=("Centralised", "Local", "FedAvg"), sizes=("xs", "40k"))
    for folder in find_records(runs):
        write_transfer(folder)
    return runs


def test_loss_outside_is_pooled_over_sites_and_averaged_over_models_and_seeds(scored):
    runs = load_runs(scored)
    table = transfer_table(runs, at_largest_budget(runs.table), "loss_per_token")
    assert table["arm"].to_list() == ["Centralised"] * 2 + ["Local"] * 2 + ["FedAvg"] * 2
    assert table.select("outside_sites", "patients", "seeds").unique().rows() == [(2, 50, 2)]
    smallest = {row["arm"]: row for row in table.iter_rows(named=True) if row["parameters"] == 10_000}
    for arm, loss in (("Centralised", 2.0), ("Local", 3.0), ("FedAvg", 2.2)):
        row = smallest[arm]
        assert row["loss_per_token"] == pytest.approx(1.05 * loss)
        assert row["loss_per_event"] == pytest.approx(2 * 1.05 * loss)
        assert (row["loss_per_token_low"], row["loss_per_token_high"]) == pytest.approx((loss, 1.1 * loss))
    local = smallest["Local"]
    assert local["models"] == 3
    assert (local["best_model_per_token"], local["worst_model_per_token"]) == pytest.approx((2.5, 3.85))
    assert smallest["FedAvg"]["percent"] == pytest.approx(10)
    assert smallest["FedAvg"]["percent_high"] == pytest.approx(10)
    assert local["percent"] == pytest.approx(50)
    assert smallest["Centralised"]["percent"] is None
    inside = [
        100 * (ours / pooled - 1)
        for ours, pooled in zip(
            *(
                runs.table.filter(pl.col("arm") == arm, pl.col("parameters") == 10_000).sort("seed")[
                    "loss_per_token"
                ]
                for arm in ("FedAvg", "Centralised")
            ),
            strict=True,
        )
    ]
    assert smallest["FedAvg"]["percent_inside"] == pytest.approx(sum(inside) / 2)


def test_the_page_marks_it_as_out_of_federation(scored, tmp_path):
    report = build_report(scored, replicates=100)
    text = write_report(report, tmp_path / "out").read_text()
    assert "Out of federation: hospitals that took no part" in text
    assert "2.310 (2.200 to 2.420)" in text
    assert "2.500 to 3.850" in text
    assert "outside-losses.csv" in text
    assert len(report.to_json()["figures"]["outside"]["losses"]) == 6


def test_files_that_do_not_fit_are_logged_and_left_out(scored, caplog):
    first, second, third, *rest = find_records(scored)
    (first / "transfer.parquet").write_bytes(b"not parquet")
    pl.DataFrame({"replica": ["union"], "site": ["far"]}).write_parquet(second / "transfer.parquet")
    inside = pl.read_parquet(third / "transfer.parquet").with_columns(site=pl.lit("north"))
    inside.write_parquet(third / "transfer.parquet")
    for folder in rest[1:]:
        (folder / "transfer.parquet").unlink()
    runs = load_runs(scored)
    with caplog.at_level(logging.WARNING):
        table = transfer_table(runs, runs.table, "loss_per_token")
    assert len(table) == 1
    assert "north took part in the run" in caplog.text
    assert caplog.text.count("is left out") == 3


def test_a_study_without_the_files_has_no_such_panel(make_study, tmp_path):
    runs = make_study(tmp_path / "runs", seeds=(0,), sizes=("xs",))
    keys = [panel.key for panel in build_report(runs, replicates=100).panels]
    assert "outside" not in keys
    assert "tasks" not in keys


def scores(auroc, replica="global", **changes):
    row = {"task": "in_hospital_mortality (probe)", "replica": replica}
    for metric, value in (("auroc", auroc), ("auprc", auroc / 2)):
        row |= {metric: value, f"{metric}_low": value - 0.03, f"{metric}_high": value + 0.02}
    return row | {"prevalence": 0.1, "n": 250, "positives": 25, "patients": 240} | changes


def test_answers_of_many_models_are_one_row_with_their_range(make_run, tmp_path):
    runs = tmp_path / "runs"
    federated = make_run(runs, loss=2.0)
    pl.DataFrame([scores(0.81)]).write_parquet(federated / "downstream.parquet")
    local = make_run(runs, loss=2.5, topology="local")
    rows = [scores(auroc, f"hospital-{auroc}") for auroc in (0.6, 0.65, 0.76)]
    pl.DataFrame(rows).write_parquet(local / "downstream.parquet")
    undefined = make_run(runs, loss=2.0, topology="centralised")
    one_class = scores(float("nan"), auprc=0.0, positives=0)
    pl.DataFrame([one_class]).write_parquet(undefined / "downstream.parquet")
    older = make_run(runs, loss=2.0, seed=1)
    pl.DataFrame([scores(0.8)]).drop("positives").write_parquet(older / "downstream.parquet")

    table = downstream_table(load_runs(runs))
    assert table["arm"].to_list() == ["Centralised", "Local", "FedAvg"]
    assert table["models"].to_list() == [1, 3, 1]
    assert table["auroc"][0] is None
    assert table.select("auroc", "auroc_low", "auroc_high").row(1) == pytest.approx((0.67, 0.6, 0.76))
    assert table.select("auroc", "auroc_low", "auroc_high").row(2) == pytest.approx((0.81, 0.78, 0.83))

    text = write_report(build_report(runs, replicates=100), tmp_path / "out").read_text()
    assert "0.670 (0.600 to 0.760)" in text
    assert "0.810 (0.780 to 0.830)" in text
    assert "not defined (one class)" in text
    assert "25 of 250" in text
    assert "Majority baseline: AUROC 0.5, AUPRC = prevalence" in text
    assert "1,000 bootstrap samples of patients" in text


def test_every_seed_of_a_task_has_its_own_row(make_run, tmp_path):
    for seed, auroc in ((0, 0.7), (1, 0.8)):
        folder = make_run(tmp_path, loss=2.0, seed=seed)
        pl.DataFrame([scores(auroc)]).write_parquet(folder / "downstream.parquet")
    table = downstream_table(load_runs(tmp_path))
    assert table.select("seed", "auroc").rows() == [(0, 0.7), (1, 0.8)]
    assert analyse(load_runs(tmp_path), replicates=100).sweeps == ()


def test_labels_are_blank_where_they_repeat_the_row_above():
    rows = [
        {"Task": task, "Arm": arm, "AUROC": "0.5"}
        for task, arm in (("death", "Local"), ("death", "Local"), ("death", "FedAvg"), ("stay", "FedAvg"))
    ]
    shown = Panel("tasks", "", "", "", {}, rows, ["Task", "Arm"]).grouped_rows
    assert [tuple(row.values())[:2] for row in shown] == [
        ("death", "Local"),
        ("", ""),
        ("", "FedAvg"),
        ("stay", "FedAvg"),
    ]
