import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from client.evaluation.metrics import discrimination, weighted_auroc, weighted_average_precision


@pytest.mark.parametrize("seed", range(10))
def test_equal_scikit_learn_with_ties_and_repeated_predictions(seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, 60).astype(float)
    scores = rng.integers(0, 8, 60) / 8
    counts = rng.integers(0, 4, (3, 60)).astype(float)
    expected_auroc = [roc_auc_score(labels, scores, sample_weight=row) for row in counts]
    expected_auprc = [average_precision_score(labels, scores, sample_weight=row) for row in counts]
    np.testing.assert_allclose(weighted_auroc(labels, scores, counts), expected_auroc, rtol=1e-12)
    np.testing.assert_allclose(weighted_average_precision(labels, scores, counts), expected_auprc, rtol=1e-12)


def test_a_resample_with_one_class_is_left_out_not_zero():
    labels = np.array([1.0, 0.0, 0.0, 0.0])
    result = discrimination(labels, np.array([0.9, 0.1, 0.2, 0.3]), np.arange(4), resamples=500, seed=0)
    # A perfect ranking stays perfect in each resample that has both classes.
    assert (result.auroc.low, result.auroc.value, result.auroc.high) == (1.0, 1.0, 1.0)


def test_constant_scores_are_the_majority_baseline():
    labels = np.array([1.0, 0.0, 0.0, 0.0, 0.0])
    result = discrimination(labels, np.zeros(5), np.arange(5), resamples=50, seed=0)
    assert result.auroc.value == 0.5
    assert result.auprc.value == result.prevalence == 0.2


def test_resampling_patients_is_wider_than_resampling_their_predictions():
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(20), 10)
    labels = (patient % 2).astype(float)
    scores = labels + np.repeat(rng.normal(0, 1.5, 20), 10)
    by_patient = discrimination(labels, scores, patient, resamples=400, seed=0).auroc
    by_prediction = discrimination(labels, scores, np.arange(200), resamples=400, seed=0).auroc
    assert by_patient.high - by_patient.low > 2 * (by_prediction.high - by_prediction.low)
