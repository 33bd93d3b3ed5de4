import numpy as np
import pytest

from client.training.schedule import learning_rate
from wardlaw.config.train import TrainSection


def rates(steps: int, **settings: object) -> np.ndarray:
    section = TrainSection.model_validate({"learning_rate": 0.5, **settings})
    return np.array([learning_rate(section, step, steps) for step in range(steps)])


@pytest.mark.parametrize("decay", ["cosine", "linear", "constant"])
def test_warm_up_peak_and_floor(decay: str) -> None:
    curve = rates(100, warmup_fraction=0.1, floor_fraction=0.2, decay=decay)
    np.testing.assert_allclose(curve[:10], 0.5 * np.arange(1, 11) / 10)
    assert curve.max() == 0.5
    assert curve[-1] == pytest.approx(0.5 if decay == "constant" else 0.1)
    assert (np.diff(curve[10:]) <= 0).all()


def test_cosine_by_its_formula() -> None:
    curve = rates(50, warmup_fraction=0.0, floor_fraction=0.1, decay="cosine")
    progress = np.arange(1, 51) / 50
    np.testing.assert_allclose(curve, 0.05 + 0.45 * np.cos(np.pi * progress / 2) ** 2)


def test_all_warm_up_and_a_single_step() -> None:
    np.testing.assert_allclose(rates(4, warmup_fraction=1.0), [0.125, 0.25, 0.375, 0.5])
    assert rates(1, warmup_fraction=0.05).tolist() == [0.05]


def test_a_step_outside_the_run_is_refused() -> None:
    with pytest.raises(ValueError, match="step 4 of a run of 4"):
        learning_rate(TrainSection(), 4, 4)
