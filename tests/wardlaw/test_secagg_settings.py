"""What [secagg] says and refuses together with the other sections."""

import pytest

from wardlaw.config import RunConfig, from_flat, to_flat
from wardlaw.config.run import identity
from wardlaw.errors import ConfigError

SECURE = {"secagg.enabled": True, "strategy.weighting": "uniform", "federation.replicas": 6}
SIX = {"train.batch-tokens": 6 * 1024, "train.tokens": 6 * 10240}


def test_it_survives_flowers_flat_settings_and_is_in_the_fingerprint_when_set():
    config = from_flat(SECURE | SIX)
    assert from_flat(to_flat(config)) == config
    assert config.fingerprint != from_flat(SIX | SECURE | {"secagg.enabled": False}).fingerprint
    # So a record of a version without the section keeps its fingerprint.
    assert "secagg" not in identity(RunConfig())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"strategy.name": "clipped-mean"}, "clips single updates at the server"),
        ({"strategy.name": "adaptive-clip"}, "clips single updates at the server"),
        ({"strategy.weighting": "tokens"}, "does not fit strategy.weighting = 'tokens'"),
        ({"secagg.examples-cap": 1000}, "does not fit strategy.weighting = 'uniform'"),
        ({"federation.replicas": 3}, "more than the 2 neighbours"),
        (
            {
                "federation.replicas": 9,
                "train.batch-tokens": 9 * 1024,
                "train.tokens": 9 * 10240,
                "secagg.threshold": 5,
            },
            "more than the 4 neighbours",
        ),
        ({"secagg.bits": 30}, "the sum of 6 sites could pass 2^31. Set secagg.bits lower"),
        ({"secagg.noise-multiplier": 9.0}, "could pass 2^31"),
        ({"secagg.noise-multiplier": 0.01, "secagg.dropouts": 6}, "leaves none of 6 sites"),
        ({"secagg.enabled": False, "secagg.neighbours": 4}, "neighbours has no meaning with secagg.enabled"),
    ],
)
def test_settings_that_sums_cannot_follow_are_refused(changes, words):
    with pytest.raises(ConfigError) as caught:
        from_flat(SECURE | SIX | changes)
    assert words in str(caught.value)


@pytest.mark.parametrize("name", ["fedavg", "fedprox", "fedavgm", "fedadam", "fednesterov"])
def test_strategies_that_step_from_a_mean_are_allowed(name):
    assert from_flat(SECURE | SIX | {"strategy.name": name}).secagg.enabled
