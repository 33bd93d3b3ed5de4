import pytest

from models.ecg.objectives.registry import build_objective
from tests.models.small_ecg import NAMES, Small, made, section_of
from wardlaw.errors import ConfigError


def test_every_ecg_objective_is_built():
    assert {type(made(name).objective).__name__.lower() for name in NAMES} == set(NAMES)


def test_tokens_cannot_be_predicted_in_an_ecg():
    with pytest.raises(
        ConfigError, match=r"objective\.name = 'next-token'.*Choose one of bce, asymmetric, cpc, jepa"
    ):
        build_objective(section_of("next-token"), Small(), 5, 256)


@pytest.mark.parametrize("name", NAMES)
def test_a_crop_is_a_whole_number_of_patches(name):
    with pytest.raises(ConfigError, match=r"model\.context = 250.*patches of 16 samples.*multiple of 16"):
        build_objective(section_of(name), Small(), 5, 250)


@pytest.mark.parametrize(("name", "least"), [("jepa", 128), ("hubert", 128), ("cpc", 128), ("bce", 16)])
def test_crops_that_are_too_short_are_refused(name, least):
    assert build_objective(section_of(name), Small(), 5, least)
    if least > 16:
        with pytest.raises(
            ConfigError, match=rf"at least 8 patches of 16 samples, and has 7.*Take {least} or more"
        ):
            build_objective(section_of(name), Small(), 5, least - 16)


def test_long_strides_make_long_patches():
    with pytest.raises(ConfigError, match=r"patches of 64 samples, and has 4.*Take 512 or more"):
        build_objective(section_of("jepa"), Small(stride=64), 5, 256)
