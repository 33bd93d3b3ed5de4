"""Arms against each hospital's own model on its own patients."""

import pytest

from analysis.comparison.at_home import compare_at_home
from analysis.report.findings import analyse
from analysis.report.sentences import headline
from analysis.tables.records import load_runs


def test_own_models_at_home_are_pooled_over_the_same_patients(make_run, tmp_path):
    # In the made-up records an own model has 0.97 of the local run's loss at home, in the mean over sites.
    for seed, local in ((0, 2.0), (1, 2.2)):
        make_run(tmp_path, loss=local, topology="local", seed=seed)
        make_run(tmp_path, loss=1.9, topology="centralised", seed=seed)
        make_run(tmp_path, loss=2.1, seed=seed)
    make_run(tmp_path, loss=9.0, seed=2)
    runs = load_runs(tmp_path)
    expected = {
        arm: [100 * (loss / (0.97 * local) - 1) for local in (2.0, 2.2)]
        for arm, loss in (("Centralised", 1.9), ("FedAvg", 2.1))
    }
    for unit in ("token", "event"):
        compared = compare_at_home(runs.table, unit)
        assert [found.arm for found in compared] == ["Centralised", "FedAvg"]
        for found in compared:
            first, second = expected[found.arm]
            assert (found.percent, found.low, found.high, found.seeds) == pytest.approx(
                ((first + second) / 2, second, first, 2)
            )
    sentence = next(text for text in headline(runs, analyse(runs, replicates=100)) if "own model" in text)
    assert f"FedAvg {sum(expected['FedAvg']) / 2:+.1f} %" in sentence


def test_without_local_runs_nothing_is_compared(make_run, tmp_path):
    make_run(tmp_path, loss=2.0)
    runs = load_runs(tmp_path)
    assert compare_at_home(runs.table, "token") == ()
