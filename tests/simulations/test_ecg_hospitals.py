"""Synthetic ECG hospitals: label skew as the table has it, devices of their own, an oracle."""

import json

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from client.ecg.classes import SINUS, class_of, labels_of
from client.ecg.request import ShardSettings
from client.ecg.shard import SignalShard
from client.ecg.shard_writer import write_shard
from client.ecg.sources.synthetic import list_synthetic, read_synthetic
from client.ecg.synthetic.oracle import oracle_scores
from client.ecg.synthetic.patient import draw_patient
from client.ecg.synthetic.rule import FINDINGS
from client.ecg.synthetic.site import SyntheticSite
from simulations.ecg import commands
from simulations.ecg.hospitals import hospitals_of, write_hospitals
from simulations.ecg.label_skew import drawn_cases, measured_cases
from simulations.ecg.oracle import best_auroc
from wardlaw.errors import ConfigError, DataError

app = typer.Typer()
app.command("ecg-hospitals")(commands.ecg_hospitals)
app.command("ecg-oracle")(commands.ecg_oracle)


def run(*arguments):
    result = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def table(tmp_path):
    """90 records of site a: 30 with AF, 45 in sinus rhythm; 10 records of site b: half with RBBB."""
    rows = ["record,site,age,gender,164889003,426783006,59118001,713427006,999"]
    rows += [
        f"a{n},a,{50 + n % 21},{'Female' if n % 3 else 'M'},{n % 3 == 0:d},{n % 2},0,0,1" for n in range(90)
    ]
    rows += [f"b{n},b,-1,F,0,0,{n % 2},{n == 1:d},1" for n in range(10)]
    path = tmp_path / "labels.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_the_table_says_how_often_each_label_is_given(table):
    cases = measured_cases(table, 2)
    assert list(cases) == ["a", "b"]
    a, b = cases["a"], cases["b"]
    assert a["prevalence"]["AF"] == pytest.approx(30.5 / 91, abs=1e-5)
    assert a["female"] == pytest.approx(2 / 3)
    assert a["age_mean"] == pytest.approx(np.mean([50 + n % 21 for n in range(90)]))
    # Two columns of one class are one label, and ages out of range say nothing.
    assert b["prevalence"]["CRBBB"] == pytest.approx(5.5 / 11, abs=1e-5)
    assert "age_mean" not in b
    left = 1 - sum(a["prevalence"][name] for name in ("AF", "STach", "SB", "SA"))
    assert a["sinus_reported"] == pytest.approx(45.5 / 91 / left)
    # Once drawn, patients have the labels of the table.
    site = SyntheticSite(site="a", patients=3000, **a)
    labels = np.mean([labels_of(draw_patient(site, n).diagnoses) for n in range(3000)], axis=0)
    np.testing.assert_allclose(labels, oracle_scores(site, range(3000)).mean(axis=0), atol=0.03)
    assert labels @ labels_of([SINUS]) == pytest.approx(0.5, abs=0.03)


def test_a_table_that_says_nothing_is_refused(table, tmp_path):
    with pytest.raises(DataError, match="has 2 sites and not 3"):
        measured_cases(table, 3)
    with pytest.raises(DataError, match="not a table of labels"):
        measured_cases(tmp_path / "absent.csv", 1)
    for text, message in (
        ("site,age\na,1\n", "no column gender"),
        ("site,age,gender,999\na,1,F,1\n", "SNOMED CT"),
        ("site,age,gender,164889003\na,1,F,2\n", r"labels.csv: 164889003: a label must be 0 or 1"),
    ):
        table.write_text(text)
        with pytest.raises(DataError, match=message):
            measured_cases(table, 1)


def test_the_real_label_table_gives_its_skew(shared_data):
    cases = measured_cases(shared_data / "ecg" / "labels" / "cinc2020_labels_37749.csv", 6)
    assert list(cases)[:3] == ["ptb-xl", "georgia", "cpsc2018"]
    assert cases["cpsc2018"]["prevalence"]["AF"] > 0.2 > 0.1 > cases["ptb-xl"]["prevalence"]["AF"]
    assert cases["ptb-xl"]["sinus_reported"] > 0.9 > 0.5 > cases["georgia"]["sinus_reported"]
    hospitals_of(cases, 1, 0)  # all within the bounds of a site's settings


def test_drawn_mixes_have_one_sum_and_differ_less_as_alpha_grows():
    def spread(alpha):
        rows = np.array([list(case["prevalence"].values()) for case in drawn_cases(50, alpha, seed=0)])
        return rows.std(axis=0).mean(), rows.mean(axis=0)

    (narrow, mean), (wide, _) = spread(1000), spread(5)
    assert narrow < 0.3 * wide
    np.testing.assert_allclose(mean, [finding.prevalence for finding in FINDINGS], rtol=0.1)
    assert drawn_cases(3, 5, seed=0) == drawn_cases(3, 5, seed=0) != drawn_cases(3, 5, seed=1)
    hospitals_of({f"s{n}": case for n, case in enumerate(drawn_cases(50, 0.3, seed=0))}, 1, 0)
    with pytest.raises(ConfigError, match="--alpha"):
        drawn_cases(2, 0.0, seed=0)


def test_hospitals_are_written_and_read_back(tmp_path):
    out = tmp_path / "out"
    told = json.loads(
        run("ecg-hospitals", "--out", out, "--sites", 3, "--patients", 4, "--seed", 2, "--json")
    )
    assert told["synthetic"] is True
    assert {f"synthetic-{n:02d}" for n in range(3)} == set(told["sites"])
    references = list_synthetic(out)
    assert len(references) == 12
    assert {r.site.device.rate for r in references} <= {250, 500, 1000}
    assert len({r.site.device.gain_error for r in references}) == 3
    for path in out.glob("*/generator.json"):
        content = json.loads(path.read_text())
        assert content["synthetic"] is True
        assert content["source"] == "synthetic dipole ECG"
        assert content["label_skew"] == "Dirichlet, alpha 10"
    with pytest.raises(DataError, match="not empty"):
        run("ecg-hospitals", "--out", out)


def test_sites_of_a_table_are_named_synthetic(table, tmp_path):
    out = run("ecg-hospitals", "--out", tmp_path / "out", "--sites", 2, "--labels", table)
    assert out.splitlines()[-1].startswith("synthetic: ")
    assert (tmp_path / "out" / "synthetic-a" / "generator.json").is_file()


def test_the_oracle_of_a_shard_is_that_of_its_patients(tmp_path):
    site = SyntheticSite(site="x-1", patients=60, seconds=2, prevalence={"TAb": 0.4, "AF": 0.3})
    hospitals = tmp_path / "hospitals"
    write_hospitals(hospitals, [site], "chosen")
    records = map(read_synthetic, list_synthetic(hospitals))
    write_shard(tmp_path / "shard", records, ShardSettings(), site="x-1", source="synthetic", synthetic=True)
    train = SignalShard.open(tmp_path / "shard").split("train")
    told = json.loads(
        run(
            "ecg-oracle",
            "--hospitals",
            hospitals,
            "--shard",
            tmp_path / "shard",
            "--split",
            "train",
            "--json",
        )
    )
    scores = oracle_scores(site, [int(name[-7:]) for name in train.records])
    positive = np.array(["164934002" in codes for codes in train.diagnoses])
    tab = scores[:, class_of("164934002")]
    wins = (tab[positive][:, None] > tab[~positive]).mean()
    assert told["auroc"]["TAb"] == pytest.approx(wins)
    assert told["macro"] == pytest.approx(np.mean(list(told["auroc"].values())))
    assert best_auroc(hospitals, None, "")["TAb"] > 0.8


def test_the_oracle_refuses_what_it_does_not_know(tmp_path):
    write_hospitals(tmp_path / "a", [SyntheticSite(site="a", patients=20, seconds=2)], "chosen")
    write_hospitals(tmp_path / "b", [SyntheticSite(site="b", patients=20, seconds=2)], "chosen")
    records = map(read_synthetic, list_synthetic(tmp_path / "a"))
    write_shard(tmp_path / "shard", records, ShardSettings(), site="a", source="synthetic", synthetic=True)
    with pytest.raises(DataError, match="no hospital is called a"):
        best_auroc(tmp_path / "b", SignalShard.open(tmp_path / "shard"), "train")
    with pytest.raises(ConfigError, match="--split"):
        run("ecg-oracle", "--hospitals", tmp_path / "a", "--split", "test")
