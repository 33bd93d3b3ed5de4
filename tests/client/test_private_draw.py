import numpy as np
import pytest
from scipy import stats

from client.privacy.draw import PoissonDraws

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
PATIENTS, RATE, STEPS = 40, 0.05, 4000


def membership(draws: PoissonDraws, steps: int) -> np.ndarray:
    """(steps, patients) of bool."""
    drawn = np.zeros((steps, draws.patients), bool)
    for step in range(steps):
        drawn[step, draws.members(step)] = True
    return drawn


@pytest.fixture(scope="module")
def drawn() -> np.ndarray:
    return membership(PoissonDraws(PATIENTS, RATE, KEY), STEPS)


def test_numbers_drawn_are_binomial(drawn: np.ndarray) -> None:
    # Of batches of a fixed size, or of passes over shuffled patients, only the mean would fit.
    counts = np.bincount(drawn.sum(1), minlength=9)
    expected = STEPS * stats.binom.pmf(np.arange(len(counts)), PATIENTS, RATE)
    assert counts[0] > 0
    few = 7
    observed = [*counts[:few], counts[few:].sum()]
    wanted = [*expected[:few], STEPS - expected[:few].sum()]
    assert stats.chisquare(observed, wanted).pvalue > 0.01


def test_every_patient_has_the_same_coin(drawn: np.ndarray) -> None:
    times = drawn.sum(0)
    spread = ((times - STEPS * RATE) ** 2).sum() / (STEPS * RATE * (1 - RATE))
    assert 0.005 < stats.chi2.sf(spread, PATIENTS) < 0.995


@pytest.mark.parametrize("lag", [1, 2, 20, 40])
def test_steps_are_independent(drawn: np.ndarray, lag: int) -> None:
    # A shuffled epoch of n / B = 20 steps never draws a patient twice.
    both = int((drawn[lag:] & drawn[:-lag]).sum())
    assert stats.binomtest(both, (STEPS - lag) * PATIENTS, RATE**2).pvalue > 0.005


def test_patients_are_independent(drawn: np.ndarray) -> None:
    for other in (1, 2, 20):
        both = int((drawn & np.roll(drawn, other, axis=1)).sum())
        assert stats.binomtest(both, STEPS * PATIENTS, RATE**2).pvalue > 0.005


def test_a_draw_is_a_function_of_step_and_key() -> None:
    draws = PoissonDraws(200, 0.3, KEY)
    forwards = [draws.members(step).tolist() for step in range(5)]
    assert [PoissonDraws(200, 0.3, KEY).members(step).tolist() for step in (4, 2, 0)] == forwards[::-2]
    assert draws.members(0).tolist() != PoissonDraws(200, 0.3, OTHER).members(0).tolist()
    assert all(drawn == sorted(set(drawn)) for drawn in forwards)


def test_others_do_not_decide_whether_a_patient_is_drawn() -> None:
    # Adding a patient at the end leaves the coins of the rest: the relation of add and remove.
    few, more = PoissonDraws(99, 0.3, KEY), PoissonDraws(100, 0.3, KEY)
    for step in range(20):
        assert few.members(step).tolist() == [p for p in more.members(step) if p < 99]


def test_certain_and_impossible() -> None:
    assert PoissonDraws(5, 1.0, KEY).members(3).tolist() == [0, 1, 2, 3, 4]
    assert PoissonDraws(5, 0.0, KEY).members(3).tolist() == []
    assert PoissonDraws(0, 0.5, KEY).members(3).tolist() == []


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_a_rate_is_a_probability(rate: float) -> None:
    with pytest.raises(ValueError, match="sampling rate"):
        PoissonDraws(5, rate, KEY)
