"""Intervals: absent classes, patients, coverage."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import norm

from client.ecg.scoring import bootstrap
from client.ecg.scoring.bootstrap import interval, resample
from client.ecg.scoring.figures import Figures, Predictions, macro, measure
from client.ecg.scoring.report import report

Floats = NDArray[np.float64]


def binormal(records: int, prevalence: Floats, auroc: Floats, random: np.random.Generator) -> Predictions:
    """Scores whose true AUROC is known for each class (squashed into [0, 1], which changes no rank)."""
    labels = (random.random((records, 26)) < prevalence).astype(np.uint8)
    scores = norm.cdf(random.normal(size=labels.shape) + labels * np.sqrt(2) * norm.ppf(auroc))
    return Predictions(labels, (scores > 0.8).astype(np.uint8), scores)


def alone(predictions: Predictions) -> NDArray[np.str_]:
    """Each record is its own patient."""
    return np.arange(len(predictions.labels)).astype(str)


def inside(ends: tuple[float, float] | Floats, figure: float) -> bool:
    return bool(ends[0] <= figure <= ends[1])


def test_zero_fill_loses_its_own_point_estimate() -> None:
    """18 classes of about two positives each, 8 common ones: here no figure leaves its interval."""
    prevalence = np.array([0.004] * 18 + [0.1, 0.2, 0.3, 0.2] * 2)
    random = np.random.default_rng(0)
    trials = 15
    lost = {"zero": 0, "auroc": 0, "auprc": 0, "f_measure": 0}
    for trial in range(trials):
        predictions = binormal(400, prevalence, np.full(26, 0.85), random)
        known = predictions.labels.any(axis=0)
        whole = measure(predictions)
        drawn = resample(predictions, alone(predictions), resamples=150, seed=trial)
        filled = np.nan_to_num(drawn.auroc[:, known]).mean(axis=1)
        lost["zero"] += not inside(np.percentile(filled, [2.5, 97.5]), macro(whole.auroc)[0])
        for name in ("auroc", "auprc", "f_measure"):
            point = getattr(whole, name)[0]
            lost[name] += not inside(interval(point, getattr(drawn, name)), macro(point[None])[0])
    assert lost.pop("zero") > 0.4 * trials
    assert not any(lost.values())


def test_coverage_of_known_figures() -> None:
    """Plain percentiles cover AUROC, and miss AUPRC, whose resamples are biased upwards."""
    auroc = np.linspace(0.65, 0.95, 26)
    prevalence = np.full(26, 0.1)
    random = np.random.default_rng(1)
    truth = {
        "auroc": auroc.mean(),
        "auprc": macro(measure(binormal(50_000, prevalence, auroc, random)).auprc)[0],
    }
    trials = 40
    covered = {"auroc": 0, "auprc": 0, "plain auprc": 0}
    for trial in range(trials):
        predictions = binormal(300, prevalence, auroc, random)
        whole = measure(predictions)
        drawn = resample(predictions, alone(predictions), resamples=150, seed=trial)
        for name in ("auroc", "auprc"):
            ends = interval(getattr(whole, name)[0], getattr(drawn, name))
            covered[name] += inside(ends, truth[name])
        covered["plain auprc"] += inside(np.percentile(macro(drawn.auprc), [2.5, 97.5]), truth["auprc"])
    # 95 % and 87 % of 40, less three standard errors; plain percentiles cover 38 %.
    assert covered["auroc"] >= 34
    assert covered["auprc"] >= 28
    assert covered["plain auprc"] < 25


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
    assert np.isnan(interval(measure(predictions).auroc[0, [1]], drawn.auroc[:, [1]])).all()


def test_intervals_are_percentiles_less_twice_the_bias_where_all_classes_are_there() -> None:
    random = np.random.default_rng(4)
    point = random.random(5) * 0.2 + 0.4
    values = point + random.normal(0.005, 0.05, (400, 5))
    means = values.mean(axis=1)
    bias = means.mean() - point.mean()
    assert interval(point, values) == pytest.approx(np.percentile(means, [2.5, 97.5]) - 2 * bias)
    assert interval(point, values, level=0.8) == pytest.approx(np.percentile(means, [10, 90]) - 2 * bias)
    one = values[:, :1]
    assert interval(point[:1], one) == pytest.approx(
        np.percentile(one, [2.5, 97.5]) - 2 * (one.mean() - point[0])
    )


def test_a_class_that_comes_and_goes_is_no_bias() -> None:
    """Classes without any noise, one of them often absent: averages move, what is estimated does not."""
    point = np.array([0.9, 0.8, 0.1])
    values = np.tile(point, (1000, 1))
    values[::3, 2] = np.nan
    low, high = interval(point, values)
    means = np.nanmean(values, axis=1)
    assert (low + high) / 2 == pytest.approx(0.6 + (means.min() + means.max()) / 2 - means.mean())
    assert low < 0.6 < high


def test_an_interval_reaches_the_point_estimate_even_past_a_large_bias() -> None:
    values = np.full((100, 1), 0.7) + np.linspace(-0.01, 0.01, 100)[:, None]
    assert interval(np.array([0.5]), values) == pytest.approx((0.29, 0.5), abs=1e-3)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.integers(3, 30), st.floats(0.02, 0.9))
def test_no_point_estimate_is_outside_of_its_interval(seed: int, records: int, density: float) -> None:
    random = np.random.default_rng(seed)
    labels, outputs = (random.random((2, records, 26)) < density).astype(np.uint8)
    predictions = Predictions(labels, outputs, np.round(random.random((records, 26)), 1))
    account = report(predictions, resample(predictions, alone(predictions), resamples=20, seed=seed))
    for figures in (account, *account["classes"].values()):
        for name, (low, high) in figures["intervals"].items():
            if figures[name] is None:
                assert low is high is None
            elif low is not None:
                assert low <= figures[name] <= high <= 1
                assert low >= 0 or name == "challenge_metric"


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
    assert by_patient.challenge_metric.std() > 2 * by_record.challenge_metric.std()


@pytest.mark.slow
def test_a_thousand_resamples_of_2000_records_take_seconds() -> None:
    predictions = binormal(2000, np.full(26, 0.05), np.full(26, 0.8), np.random.default_rng(5))
    start = time.perf_counter()
    resample(predictions, alone(predictions), resamples=1000, seed=0)
    assert time.perf_counter() - start < 20
