"""What cannot be trained privately is refused, with all reasons at once."""

import pytest
import torch
from torch import nn

from client.privacy.validator import offences, require_private
from models.ecg.model import build_ecg_model
from wardlaw.config import load_config
from wardlaw.config.model import ECG_FAMILIES
from wardlaw.config.objective import COUPLED
from wardlaw.errors import ConfigError


def make_config(*settings: str, family: str = "resnet", objective: str = "bce"):
    return load_config(
        None,
        [
            "run.topology=centralised",
            f"model.family={family}",
            "model.size=80k",
            f"objective.name={objective}",
            *settings,
        ],
    )


class Mixed(nn.Module):
    """One of each offence, and a sound layer."""

    def __init__(self) -> None:
        super().__init__()
        self.sound = nn.Linear(2, 2)
        self.first = nn.BatchNorm1d(2, affine=False, track_running_stats=False)
        self.second = type("Derived", (nn.BatchNorm2d,), {})(3)
        self.poles = nn.Parameter(torch.zeros(3, dtype=torch.complex64))
        self.register_buffer("codes", torch.zeros(2))
        self.register_buffer("table", torch.zeros(2), persistent=False)


@pytest.mark.parametrize("objective", ["bce", "asymmetric", "jepa", "data2vec", "reconstruction"])
@pytest.mark.parametrize("family", ECG_FAMILIES)
def test_every_family_with_an_uncoupled_objective_is_sound(family: str, objective: str) -> None:
    config = make_config(family=family, objective=objective)
    assert offences(build_ecg_model(config, 5), config) == []
    require_private(build_ecg_model(config, 5), config)


@pytest.mark.parametrize("objective", sorted(COUPLED))
def test_coupled_objectives_are_refused_with_their_reason(objective: str) -> None:
    config = make_config(objective=objective)
    with pytest.raises(ConfigError) as refused:
        require_private(build_ecg_model(config, 5), config)
    assert COUPLED[objective] in str(refused.value)


@pytest.mark.parametrize("objective", ["dinosr", "hubert"])
def test_codebooks_are_named(objective: str) -> None:
    config = make_config(objective=objective)
    found = " ".join(offences(build_ecg_model(config, 5), config))
    assert "sums is a buffer" in found
    assert "counts is a buffer" in found


def test_one_error_names_all_offences() -> None:
    config = make_config("train.compile=true", objective="cpc")
    with pytest.raises(ConfigError) as refused:
        require_private(Mixed(), config)
    message = str(refused.value)
    for part in ("'cpc'", "first (BatchNorm1d)", "second (Derived)", "poles is complex", "codes is a buffer"):
        assert part in message
    assert "train.compile" in message
    assert "sound" not in message
    assert "table" not in message


@pytest.mark.parametrize(("engine", "refused"), [("loop", 0), ("auto", 1), ("batched", 1), ("hooks", 1)])
def test_compiled_blocks_can_only_be_looped_over(engine: str, refused: int) -> None:
    config = make_config("train.compile=true", "privacy.mechanism=dp-sgd", f"privacy.engine={engine}")
    assert len(offences(nn.Linear(1, 1), config)) == refused
