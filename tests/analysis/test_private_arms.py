"""Private runs in tables and reports."""

from typing import get_args

from analysis.tables.arms import name_arms, topology_name
from wardlaw.config import from_flat
from wardlaw.config.strategy import StrategySection

PRIVATE = {"privacy.mechanism": "dp-sgd", "run.topology": "centralised"}


def test_every_strategy_has_a_name_in_reports():
    for name in get_args(StrategySection.model_fields["name"].annotation):
        uniform = {"strategy.weighting": "uniform"}
        config = from_flat({"strategy.name": name, "run.topology": "federated", **uniform})
        assert topology_name(config).lower() == name.replace("-", "")


def test_runs_of_other_noise_are_other_arms():
    configs = {str(sigma): from_flat(PRIVATE | {"privacy.noise-multiplier": sigma}) for sigma in (0.5, 1.0)}
    arms = name_arms(configs, dict.fromkeys(configs, (1000, 10_000)))
    assert arms.order == ("Centralised, noise-multiplier 0.5", "Centralised, noise-multiplier 1.0")
