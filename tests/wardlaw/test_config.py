import json
import tomllib
from pathlib import Path

import pytest

from wardlaw.config import (
    RunConfig,
    from_flat,
    load_config,
    load_manifest,
    load_site_policy,
    save_manifest,
    to_flat,
)
from wardlaw.config.flat import nest
from wardlaw.errors import ConfigError, PolicyError

ROOT = Path(__file__).resolve().parents[2]


def test_flat_form_round_trips():
    config = from_flat({"train.tokens": 500_000, "model.size": "xs", "run.topology": "local"})
    assert from_flat(to_flat(config)) == config


def test_pyproject_lists_exactly_the_schema_with_its_defaults():
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["flwr"]["app"]["config"]
    assert tables == nest(to_flat(RunConfig()))


def test_every_problem_is_named_in_one_error():
    with pytest.raises(ConfigError) as caught:
        from_flat({"train.tokenz": 1, "train.tokens": "two", "model.size": "xs"})
    message = str(caught.value)
    assert "unknown key 'train.tokenz'" in message
    assert "'train.tokens' = 'two'" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("flat", "named"),
    [
        ({"strategy.proximal-mu": 0.1}, "strategy.proximal-mu"),
        ({"strategy.name": "fedprox", "strategy.server-momentum": 0.9}, "strategy.server-momentum"),
        ({"train.batch-tokens": 8190}, "train.batch-tokens"),
        ({"model.context": 4096}, "model.context"),
        ({"train.tokens": 100}, "train.tokens"),
        ({"federation.quorum": 9}, "federation.quorum"),
        ({"train.learning-rate": float("nan")}, "learning-rate"),
    ],
)
def test_contradictory_settings_are_refused_by_name(flat, named):
    with pytest.raises(ConfigError, match=named):
        from_flat(flat)


def test_fingerprint_changes_with_what_a_run_is_and_not_with_where_it_lies():
    config = RunConfig()
    assert (
        from_flat({"data.federation": "elsewhere", "run.name": "b", "run.records": "r"}).fingerprint
        == config.fingerprint
    )
    changed = {
        from_flat({key: value}).fingerprint
        for key, value in [("run.seed", 1), ("data.digest", "d"), ("train.tokens", 9e6)]
    }
    assert len(changed | {config.fingerprint}) == 4


def test_round_steps_cover_the_token_budget_once():
    config = from_flat({"train.tokens": 8192 * 50, "federation.local-steps": 20})
    steps = [
        step for server_round in range(1, config.rounds + 1) for step in config.round_steps(server_round)
    ]
    assert steps == list(range(50))


def test_toml_file_with_overrides(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('[train]\ntokens = 500_000\n[model]\nsize = "xs"\n')
    config = load_config(path, ["train.tokens=600_000", "run.topology=centralised"])
    assert (config.train.tokens, config.run.topology, config.replicas) == (600_000, "centralised", 1)


@pytest.mark.parametrize("text", ["[train\n", "[train]\nwidth = 3\n"])
def test_bad_file_is_one_error_that_names_the_file(tmp_path, text):
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"run\.toml"):
        load_config(path)


def test_manifest_round_trips_and_refuses_edits(tmp_path):
    path = tmp_path / "manifest.json"
    config = from_flat({"run.seed": 3})
    save_manifest(config, path)
    assert load_manifest(path) == config
    manifest = json.loads(path.read_text())
    manifest["config"]["run.seed"] = 4
    path.write_text(json.dumps(manifest))
    with pytest.raises(ConfigError, match="fingerprint"):
        load_manifest(path)


def test_site_policy_floors_may_only_be_raised(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text('site = "a"\nmeds = "meds"\ntokens = "tokens"\nstate = "state"\ncode-floor = 20\n')
    policy = load_site_policy(path)
    assert policy.code_floor == 20
    assert policy.meds == tmp_path / "meds"
    path.write_text(path.read_text().replace("20", "5"))
    with pytest.raises(PolicyError, match="code-floor"):
        load_site_policy(path)
