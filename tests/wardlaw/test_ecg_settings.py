"""Settings of ECG runs: what fits together, what is refused, and fingerprints of older records."""

import math

import pytest

from wardlaw.config import RunConfig, from_flat, to_flat
from wardlaw.config.objective import COUPLED, ObjectiveSection
from wardlaw.errors import ConfigError

ECG = {"model.family": "resnet", "model.size": "20k", "objective.name": "bce"}


def test_an_ecg_run_is_a_family_and_an_objective():
    config = from_flat(ECG | {"train.optimiser": "sgd-momentum", "train.momentum": 0.5})
    assert config.model.reads == "ecg"
    assert from_flat(to_flat(config)) == config


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model.family": "resnet"}, "next-token' does not fit model.family = 'resnet'"),
        ({"objective.name": "cpc"}, "'cpc' does not fit model.family = 'decoder'"),
        (ECG | {"objective.negatives": 5}, "objective.negatives has no meaning for objective.name = 'bce'"),
        (ECG | {"model.regnet.depth": 5}, "model.regnet has no meaning"),
        (ECG | {"data.vocabulary": "fitted"}, "signals have no vocabulary"),
        (ECG | {"objective.name": "hubert", "strategy.name": "fedadam"}, "a plain average keeps in step"),
        ({"train.optimiser": "sgd"}, "for AdamW only"),
        (ECG | {"objective.nmae": "bce"}, "unknown key 'objective.nmae'"),
    ],
)
def test_what_does_not_fit_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message.replace(".", r"\.")):
        from_flat(settings)


@pytest.mark.parametrize("name", COUPLED)
def test_a_coupled_objective_refuses_per_sample_privacy_with_its_reason(name):
    with pytest.raises(ConfigError, match=COUPLED[name]):
        from_flat(ECG | {"objective.name": name, "privacy.mechanism": "dp-sgd"})


def test_chance_levels():
    assert ObjectiveSection(name="cpc", negatives=128).chance_nats == pytest.approx(4.860, abs=1e-3)
    assert ObjectiveSection(name="hubert", codes=100).chance_nats == math.log(100)
    assert ObjectiveSection(name="bce").chance_nats == math.log(2)
    assert ObjectiveSection(name="jepa").chance_nats is None


def test_a_record_of_an_older_version_keeps_its_fingerprint():
    """The fingerprint of the defaults before ECG came, taken from that version."""
    assert RunConfig().fingerprint == "426f4330e26677fb80a75c9bf8c920619675c55dac302387a39e80dcac28766a"


def test_new_settings_change_the_fingerprint():
    assert from_flat(ECG).fingerprint != from_flat(ECG | {"train.optimiser": "sgd"}).fingerprint
    assert from_flat(ECG).fingerprint != from_flat(ECG | {"objective.name": "asymmetric"}).fingerprint
