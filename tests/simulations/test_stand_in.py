"""Stand-ins of private runs: the same noise-batch ratio at 1/k of the work."""

import pytest
from typer.testing import CliRunner

from simulations import commands
from simulations.cli import app
from simulations.runner import StudyOutcome
from simulations.stand_in import stand_in, stand_in_study
from simulations.study import Study
from wardlaw.config import from_flat, to_flat
from wardlaw.errors import ConfigError

SETTINGS = {
    "model.context": 64,
    "train.batch-tokens": 4096,
    "train.tokens": 4096 * 25,
    "federation.replicas": 2,
    "federation.local-steps": 10,
    "privacy.mechanism": "dp-sgd",
    "privacy.noise-multiplier": 3.0,
    "privacy.patients": 64,
}


@pytest.mark.parametrize("k", [2, 16])
def test_what_a_step_feels_stays_and_what_it_computes_shrinks(k):
    full = from_flat(SETTINGS)
    small = stand_in(full, k)
    assert small.privacy.noise_batch_ratio == full.privacy.noise_batch_ratio
    assert (small.steps, small.rounds) == (full.steps, full.rounds)
    assert (small.privacy.patients, small.train.batch_tokens) == (64 // k, 4096 // k)
    assert small.privacy.stands_for == k
    assert small.fingerprint != full.fingerprint
    changed = {key for key, value in to_flat(small).items() if value != to_flat(full)[key]}
    assert changed == {
        "privacy.patients",
        "privacy.noise-multiplier",
        "privacy.stands-for",
        "train.batch-tokens",
        "train.tokens",
        "run.name",
    }


@pytest.mark.parametrize(
    ("changes", "k", "said"),
    [
        ({}, 3, "privacy.patients = 64 is no multiple of 3"),
        ({"privacy.patients": 66}, 3, "train.batch-tokens = 4096 is no multiple of 3"),
        ({"train.tokens": 4096 * 25 + 1}, 2, "train.tokens = 102401 is no multiple of 2"),
        ({}, 64, "must hold one window"),
        ({"privacy.stands-for": 2}, 2, "stand-in already"),
        ({}, 1, "Take 2 or more"),
        ({}, 0, "Take 2 or more"),
    ],
)
def test_what_does_not_divide_is_refused(changes, k, said):
    with pytest.raises(ConfigError, match=said):
        stand_in(from_flat(SETTINGS | changes), k)


def test_only_private_runs_of_a_study_are_replaced():
    private, plain = from_flat(SETTINGS), from_flat({"run.seed": 1})
    assert stand_in_study(Study("both", (private, plain)), 2).runs == (stand_in(private, 2), plain)
    with pytest.raises(ConfigError, match="no run is private"):
        stand_in_study(Study("plain", (plain,)), 2)


def test_the_command_computes_the_stand_ins(random_federation, tmp_path, monkeypatch):
    computed = []

    def run_study(study, out, **progress):
        computed.extend(study.runs)
        return StudyOutcome(0, len(study.runs), ())

    monkeypatch.setattr(commands, "run_study", run_study)
    lines = [f"{key} = {value!r}" for key, value in SETTINGS.items()]
    study = tmp_path / "study.toml"
    study.write_text("\n".join(["[base]", *lines]))
    places = ["--federation", random_federation(sites=2), "--out", tmp_path / "runs"]
    for tan in ([], ["--tan", 4]):
        CliRunner().invoke(app, list(map(str, ["study", study, *places, *tan])), catch_exceptions=False)
    full, small = computed
    assert small == stand_in(full, 4)
    assert (full.run.name, small.run.name) == ("fedavg-xs-seed0", "fedavg-xs-seed0-tan4")
