"""What [privacy] says and refuses."""

import pytest

from wardlaw.config import RunConfig, from_flat, to_flat
from wardlaw.config.privacy import PrivacySection
from wardlaw.errors import ConfigError

PRIVATE = {"privacy.mechanism": "dp-sgd", "privacy.noise-multiplier": 1.5, "privacy.patients": 48}


def test_the_noise_batch_ratio_is_sigma_over_b():
    assert from_flat(PRIVATE).privacy.noise_batch_ratio == 1.5 / 48
    assert RunConfig().privacy.noise_batch_ratio == 0


@pytest.mark.parametrize("key", [key for key in PRIVATE if key != "privacy.mechanism"])
def test_a_setting_without_a_mechanism_is_no_silent_promise(key):
    with pytest.raises(ConfigError, match="has no meaning"):
        from_flat({key: PRIVATE[key]})


def test_it_survives_flowers_flat_settings_and_changes_the_fingerprint():
    config = from_flat(PRIVATE)
    assert from_flat(to_flat(config)) == config
    assert config.fingerprint != RunConfig().fingerprint
    assert config.fingerprint != from_flat(PRIVATE | {"privacy.windows": 2}).fingerprint


@pytest.mark.parametrize("field", ["noise_multiplier", "clip_norm", "delta"])
def test_numbers_are_bounded(field):
    with pytest.raises(ValueError, match=field.replace("_", "-")):
        PrivacySection.model_validate({"mechanism": "dp-sgd", field.replace("_", "-"): -1.0})


@pytest.mark.parametrize("section", ["privacy", "strategy"])
def test_a_delta_below_the_accountants_arithmetic_is_refused(section):
    with pytest.raises(ConfigError, match=rf"{section}\.delta"):
        from_flat({f"{section}.delta": 1e-12})
