"""The Challenge metric, rankings, decisions and thresholds against slow or independent references."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, f1_score, precision_recall_curve, roc_auc_score

from client.ecg.classes import CLASSES, SINUS, challenge_weights, class_of, labels_of
from client.ecg.scoring.figures import Predictions, macro, measure
from client.ecg.scoring.thresholds import choose_thresholds, decide
from wardlaw.errors import DataError

Binary = NDArray[np.uint8]
Floats = NDArray[np.float64]


def drawn(records: int, seed: int) -> tuple[Binary, Floats, Binary]:
    """Labels of rare to common classes, scores that say something of them (with ties), outputs."""
    random = np.random.default_rng(seed)
    labels = (random.random((records, 26)) < np.linspace(0.02, 0.3, 26)).astype(np.uint8)
    scores = np.round(np.clip(random.normal(0.4 + 0.2 * labels, 0.2), 0, 1), 2)
    return labels, scores, (scores > 0.5).astype(np.uint8)


def slow_challenge_metric(labels: Binary, outputs: Binary) -> float:
    """The metric as the Challenge writes it: a loop over records, labels and outputs."""

    def credit(answers: Binary) -> float:
        total = 0.0
        for label, answer in zip(labels, answers, strict=True):
            named = sum(1 for one, other in zip(label, answer, strict=True) if one or other)
            for true in range(26):
                for said in range(26):
                    if label[true] and answer[said]:
                        total += challenge_weights()[true, said] / max(named, 1)
        return total

    sinus = np.zeros_like(labels)
    sinus[:, list(CLASSES).index(SINUS)] = 1
    low, high = credit(sinus), credit(labels)
    return 0.0 if low == high else (credit(outputs) - low) / (high - low)


def metric(labels: Binary, outputs: Binary) -> float:
    return float(measure(Predictions(labels, outputs)).challenge_metric[0])


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 12), st.integers(0, 2**32), st.floats(0, 0.6))
def test_challenge_metric_equals_the_slow_loop(records: int, seed: int, density: float) -> None:
    random = np.random.default_rng(seed)
    labels, outputs = (random.random((2, records, 26)) < density).astype(np.uint8)
    assert metric(labels, outputs) == pytest.approx(slow_challenge_metric(labels, outputs), abs=1e-9)


def test_always_sinus_is_zero_and_the_labels_are_one() -> None:
    labels, _, _ = drawn(200, 0)
    sinus = np.zeros_like(labels)
    sinus[:, CLASSES.index(SINUS)] = 1
    assert metric(labels, sinus) == 0
    assert metric(labels, labels) == 1


def test_all_records_in_sinus_rhythm_give_zero_and_not_a_division_by_zero() -> None:
    labels = np.zeros((5, 26), np.uint8)
    labels[:, CLASSES.index(SINUS)] = 1
    assert metric(labels, labels) == 0


def test_weights_count_records_as_often_as_they_say() -> None:
    labels, scores, outputs = drawn(60, 1)
    counts = np.random.default_rng(2).integers(0, 4, 60)
    rows = np.repeat(np.arange(60), counts)
    weighted = measure(Predictions(labels, outputs, scores), counts[None].astype(float))
    repeated = measure(Predictions(labels[rows], outputs[rows], scores[rows]))
    for name in ("challenge_metric", "accuracy", "f_measure", "auroc", "auprc", "positives"):
        np.testing.assert_allclose(getattr(weighted, name), getattr(repeated, name), rtol=1e-12)


def test_simple_classifiers_on_the_real_labels(shared_data: Path) -> None:
    """Always negative and always positive: records with SNOMED CT headers, with text headers, and all."""
    with (shared_data / "ecg" / "MANIFEST.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    labels = np.array([labels_of(row["dx"].split(",")) for row in rows])
    coded = np.array([row["dx_source"] == "header" for row in rows])
    for chosen, size, negative, positive in (
        (coded, 187, -0.6927, 0.1415),
        (~coded, 140, -0.5080, 0.1394),
        (coded | True, 327, -0.6272, 0.1407),
    ):
        truth = labels[chosen]
        assert len(truth) == size
        assert metric(truth, truth) == 1
        for outputs, known in ((np.zeros_like(truth), negative), (np.ones_like(truth), positive)):
            assert metric(truth, outputs) == pytest.approx(known, abs=5e-5)
            assert metric(truth, outputs) == pytest.approx(slow_challenge_metric(truth, outputs), abs=1e-9)
    positives = dict(zip(CLASSES, labels.sum(axis=0), strict=True))
    assert [code for code, number in positives.items() if number == 0] == ["6374002", "365413008"]
    assert sum(number == 1 for number in positives.values()) == 2


def test_all_negative_is_worse_than_always_sinus_on_37749_labels(shared_data: Path) -> None:
    with (shared_data / "ecg" / "labels" / "cinc2020_labels_37749.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    labels = np.zeros((len(rows), 26), np.uint8)
    cells = np.array(rows)
    for column, name in enumerate(header):
        if (number := class_of(name)) is not None:
            labels[:, number] = np.maximum(labels[:, number], cells[:, column].astype(np.uint8))
    assert len(labels) == 37_749
    assert metric(labels, np.zeros_like(labels)) == pytest.approx(-0.8257, abs=5e-5)


def test_rankings_equal_scikit_learn() -> None:
    labels, scores, outputs = drawn(300, 3)
    figures = measure(Predictions(labels, outputs, scores))
    for number in range(26):
        truth, score = labels[:, number], scores[:, number]
        assert figures.auroc[0, number] == pytest.approx(roc_auc_score(truth, score), abs=1e-12)
        assert figures.auprc[0, number] == pytest.approx(average_precision_score(truth, score), abs=1e-12)
    assert macro(figures.auroc)[0] == pytest.approx(roc_auc_score(labels, scores, average="macro"), abs=1e-12)


def test_decisions_equal_scikit_learn() -> None:
    labels, scores, outputs = drawn(300, 4)
    figures = measure(Predictions(labels, outputs, scores))
    np.testing.assert_allclose(figures.f_measure[0], f1_score(labels, outputs, average=None), rtol=1e-12)
    outputs[:150] = labels[:150]
    assert measure(Predictions(labels, outputs)).accuracy[0] >= 0.5
    assert measure(Predictions(labels, labels)).accuracy[0] == 1


def test_absent_classes_have_no_ranking_and_leave_the_average_alone() -> None:
    labels, scores, outputs = drawn(300, 5)
    labels[:, [3, 7]] = 0
    outputs[:, 3] = 0
    outputs[0, 7] = 1
    figures = measure(Predictions(labels, outputs, scores))
    assert np.flatnonzero(np.isnan(figures.auroc[0])).tolist() == [3, 7]
    assert np.flatnonzero(np.isnan(figures.auprc[0])).tolist() == [3, 7]
    assert macro(figures.auroc)[0] == pytest.approx(np.delete(figures.auroc[0], [3, 7]).mean())
    assert np.isnan(figures.f_measure[0, 3])
    assert figures.f_measure[0, 7] == 0


def test_without_scores_there_is_no_ranking() -> None:
    labels, _, outputs = drawn(30, 6)
    figures = measure(Predictions(labels, outputs))
    assert np.isnan(figures.auroc).all()
    assert np.isnan(macro(figures.auprc)).all()
    assert np.isfinite(figures.challenge_metric).all()


def test_thresholds_reach_the_best_f_measure_of_scikit_learns_curve() -> None:
    labels, scores, _ = drawn(300, 7)
    thresholds = choose_thresholds(labels, scores)
    reached = f1_score(labels, decide(scores, thresholds), average=None)
    for number in range(26):
        precision, recall, _ = precision_recall_curve(labels[:, number], scores[:, number])
        best = np.max(2 * precision * recall / np.maximum(precision + recall, 1e-12))
        assert reached[number] == pytest.approx(best, abs=1e-9)


def test_of_equally_good_thresholds_the_highest_is_taken() -> None:
    labels = np.array([[1], [1], [0], [0], [1]], np.uint8)
    scores = np.array([[0.9], [0.8], [0.7], [0.6], [0.5]])
    # From 0.8: precision 1, recall 2/3, F 0.8; from 0.5: precision 3/5, recall 1, F 0.75.
    assert choose_thresholds(labels, scores).tolist() == [0.8]
    labels = np.array([[1], [0], [1], [0], [0]], np.uint8)
    # From 0.9: 2/3; from 0.7: 4/5.
    assert choose_thresholds(labels, scores).tolist() == [0.7]
    labels = np.array([[1], [0], [0], [1]], np.uint8)
    # From 0.9 and from 0.6: 2/3 both.
    assert choose_thresholds(labels, scores[:4]).tolist() == [0.9]


def test_a_class_without_positives_takes_the_pooled_threshold() -> None:
    labels, scores, _ = drawn(200, 8)
    labels[:, 5] = 0
    thresholds = choose_thresholds(labels, scores)
    candidates = np.unique(scores)
    pooled = [f1_score(labels.ravel(), (scores >= one).ravel()) for one in candidates]
    assert thresholds[5] == candidates[int(np.argmax(pooled))]
    with pytest.raises(DataError, match="no record of the tuning split"):
        choose_thresholds(np.zeros((4, 26), np.uint8), scores[:4])
