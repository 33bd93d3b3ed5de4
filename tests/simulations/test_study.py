import pytest

from simulations.study import load_study
from simulations.workers import Outcome, run_jobs
from wardlaw.errors import ConfigError

STUDY = """
[study]
name = "small"
[base]
train.tokens = 81_920
[axis]
arm = [{ run.topology = "centralised" }, { strategy.name = "fedprox", strategy.proximal-mu = 0.1 }]
size = [{ model.size = "xs" }, { model.size = "20k" }]
seed = [{ run.seed = 0 }, { run.seed = 1 }, { run.seed = 1 }]
"""


def write(tmp_path, text):
    path = tmp_path / "study.toml"
    path.write_text(text)
    return path


def test_the_grid_is_the_product_of_its_axes_without_repeats(tmp_path):
    study = load_study(write(tmp_path, STUDY), {"data.digest": "d"})
    names = [config.run.name for config in study.runs]
    assert names == [
        f"{arm}-{size}-seed{seed}"
        for arm in ("centralised", "fedprox")
        for size in ("xs", "20k")
        for seed in (0, 1)
    ]
    assert {config.data.digest for config in study.runs} == {"d"}
    assert {config.train.tokens for config in study.runs} == {81_920}


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ("[axis]", "[axes]", "axes"),
        ('size = [{ model.size = "xs" }, { model.size = "20k" }]', 'size = ["xs"]', "axis.size"),
        ("train.tokens", "train.token", "train.token'"),
    ],
)
def test_a_wrong_study_is_one_error_that_names_file_and_key(tmp_path, before, after, named):
    with pytest.raises(ConfigError) as caught:
        load_study(write(tmp_path, STUDY.replace(before, after)), {})
    assert named in str(caught.value)
    assert "study.toml" in str(caught.value)


def fail_or_die(config, records):
    import os

    if config.run.seed == 0:
        os.kill(os.getpid(), 9)
    if config.run.seed == 1 and config.model.size == "xs":
        raise ConfigError("bad luck")
    return records / config.run.name


def test_a_killed_and_a_failed_run_leave_the_others_alone(tmp_path):
    study = load_study(write(tmp_path, STUDY.replace("model.size", "model.context=64, model.size")), {})
    outcomes: list[Outcome] = list(run_jobs(fail_or_die, study.runs, tmp_path, workers=2))
    failures = {outcome.config.run.name: outcome.failure for outcome in outcomes if outcome.folder is None}
    assert len(outcomes) == 8
    assert {name for name, why in failures.items() if "killed" in why} == {
        name for name in failures if name.endswith("seed0")
    }
    assert [why for name, why in failures.items() if name == "fedprox-xs-seed1"] == ["[CFG] bad luck"]
    assert {outcome.config.run.name for outcome in outcomes if outcome.folder} == {
        "centralised-20k-seed1",
        "fedprox-20k-seed1",
    }
