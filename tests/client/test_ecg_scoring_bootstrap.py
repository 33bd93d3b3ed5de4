"""Intervals: absent classes, patients, coverage."""

import time

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from client.ecg.scoring import bootstrap
from client.ecg.scoring.bootstrap import interval, resample
from client.ecg.scoring.figures import Figures, Predictions, macro, measure

Floats = NDArray[np.float64]


def binormal(records: int, prevalence: Floats, auroc: Floats, random: np.random.Generator) -> Predictions:
    """Scores whose true AUROC is known for each class (squashed into [0, 1], which changes no rank)."""
    labels = (random.random((records, 26)) < prevalence).astype(np.uint8)
    scores = norm.cdf(random.normal(size=labels.shape) + labels * np.sqrt(2) * norm.ppf(auroc))
    return Predictions(labels, (scores > 0.8).astype(np.uint8), scores)


def alone(predictions: Predictions) -> NDArray[np.str_]:
    """Each record is its own patient."""
    return np.arange(len(predictions.labels)).astype(str)


def covers(values: Floats, figure: float) -> bool:
    low, high = interval(values)
    return bool(low <= figure <= high)


def test_zero_fill_loses_the_point_estimate_and_the_truth_that_leaving_out_keeps() -> None:
    """18 classes of about two positives each, 8 common ones; the true macro AUROC is 0.85."""
    prevalence = np.array([0.004] * 18 + [0.1, 0.2, 0.3, 0.2] * 2)
    random = np.random.default_rng(0)
    outside = {"zero": 0, "left out": 0}
    covered = {"zero": 0, "left out": 0}
    trials = 25
    for trial in range(trials):
        predictions = binormal(400, prevalence, np.full(26, 0.85), random)
        known = predictions.labels.any(axis=0)
        point = macro(measure(predictions).auroc)[0]
        drawn = resample(predictions, alone(predictions), resamples=150, seed=trial)
        averages = {
            "zero": np.nan_to_num(drawn.auroc[:, known]).mean(axis=1),
            "left out": macro(drawn.auroc),
        }
        for name, values in averages.items():
            outside[name] += not covers(values, point)
            covered[name] += covers(values, 0.85)
    assert outside["left out"] == 0
    assert outside["zero"] > 0.4 * trials
    assert covered["left out"] > 0.7 * trials
    assert covered["zero"] < 0.6 * trials


def test_coverage_is_nominal_where_classes_are_common() -> None:
    random = np.random.default_rng(1)
    auroc = np.linspace(0.65, 0.95, 26)
    trials = 40
    covered = 0
    for trial in range(trials):
        predictions = binormal(300, np.full(26, 0.1), auroc, random)
        values = macro(resample(predictions, alone(predictions), resamples=150, seed=trial).auroc)
        covered += covers(values, auroc.mean())
    # 95 % of 40, less three standard errors.
    assert covered >= 34


@pytest.fixture(scope="module")
def rare() -> tuple[Predictions, Figures]:
    """Class 0 has one positive, class 1 none but an output, the rest are common."""
    random = np.random.default_rng(2)
    predictions = binormal(200, np.array([0, 0] + [0.2] * 24), np.full(26, 0.8), random)
    predictions.labels[3, 0] = 1
    predictions.outputs[:, :2] = 0
    predictions.outputs[[3, 4], 0] = 1
    predictions.outputs[5, 1] = 1
    return predictions, resample(predictions, alone(predictions), resamples=1000, seed=0)


def test_an_absent_class_has_no_figure_in_any_measure(rare: tuple[Predictions, Figures]) -> None:
    _, drawn = rare
    absent = drawn.positives[:, 0] == 0
    # A binomial share: exp(-1) of the resamples lack the one positive.
    assert abs(absent.mean() - np.exp(-1)) < 0.05
    for values in (drawn.auroc, drawn.auprc, drawn.f_measure):
        np.testing.assert_array_equal(np.isnan(values[:, 0]), absent)
    assert np.nanmin(drawn.f_measure[:, 0]) > 0


def test_a_class_that_the_records_lack_keeps_the_challenges_f_measure(
    rare: tuple[Predictions, Figures],
) -> None:
    predictions, drawn = rare
    answered = ~np.isnan(drawn.f_measure[:, 1])
    assert (drawn.f_measure[answered, 1] == 0).all()
    assert 0.5 < answered.mean() < 0.75
    assert measure(predictions).f_measure[0, 1] == 0
    assert np.isnan(interval(drawn.auroc)[:, 1]).all()


def test_intervals_are_percentiles_of_what_is_there(rare: tuple[Predictions, Figures]) -> None:
    _, drawn = rare
    limits = interval(drawn.auroc)
    assert limits.shape == (2, 26)
    np.testing.assert_allclose(limits[:, 2:], np.percentile(drawn.auroc[:, 2:], [2.5, 97.5], axis=0))
    np.testing.assert_allclose(limits[:, 0], np.nanpercentile(drawn.auroc[:, 0], [2.5, 97.5]))
    np.testing.assert_allclose(
        interval(drawn.challenge_metric, level=0.9), np.percentile(drawn.challenge_metric, [5, 95])
    )


def test_resamples_are_the_same_whatever_the_block(
    rare: tuple[Predictions, Figures], monkeypatch: pytest.MonkeyPatch
) -> None:
    predictions, whole = rare
    monkeypatch.setattr(bootstrap, "_CELLS", 200 * 7)
    blocks = resample(predictions, alone(predictions), resamples=1000, seed=0)
    np.testing.assert_allclose(blocks.auroc, whole.auroc, rtol=1e-12)
    assert len(blocks.challenge_metric) == 1000


def test_patients_are_drawn_with_all_of_their_records() -> None:
    """Ten copies of a record are one patient: the interval is that of the patients."""
    few = binormal(60, np.full(26, 0.3), np.full(26, 0.8), np.random.default_rng(3))
    assert few.scores is not None
    many = Predictions(
        np.repeat(few.labels, 10, axis=0),
        np.repeat(few.outputs, 10, axis=0),
        np.repeat(few.scores, 10, axis=0),
    )
    owners = np.repeat(alone(few), 10)
    by_patient = resample(many, owners, resamples=300, seed=4)
    np.testing.assert_allclose(
        by_patient.challenge_metric,
        resample(few, alone(few), resamples=300, seed=4).challenge_metric,
        rtol=1e-9,
    )
    by_record = resample(many, alone(many), resamples=300, seed=4)
    assert np.ptp(interval(by_patient.challenge_metric)) > 2 * np.ptp(interval(by_record.challenge_metric))


@pytest.mark.slow
def test_a_thousand_resamples_of_2000_records_take_seconds() -> None:
    predictions = binormal(2000, np.full(26, 0.05), np.full(26, 0.8), np.random.default_rng(5))
    start = time.perf_counter()
    resample(predictions, alone(predictions), resamples=1000, seed=0)
    assert time.perf_counter() - start < 20
