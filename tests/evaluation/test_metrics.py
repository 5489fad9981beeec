from __future__ import annotations

import warnings

import audmetric
import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from ser.core.errors import SerError
from ser.evaluation import metrics

CLASSES = ["neutral", "anger", "fear", "joy"]  # not in alphabetical order


@pytest.fixture(params=range(5))
def labels(request):
    rng = np.random.default_rng(request.param)
    truth = rng.choice(CLASSES, size=200, p=[0.5, 0.3, 0.15, 0.05])
    return truth, np.where(rng.random(200) < 0.5, truth, rng.choice(CLASSES, size=200))


def test_against_scikit_learn(labels):
    matrix = metrics.confusion(*labels, CLASSES)
    np.testing.assert_array_equal(matrix, sklearn_metrics.confusion_matrix(*labels, labels=CLASSES))
    assert metrics.wa(matrix) == pytest.approx(sklearn_metrics.accuracy_score(*labels))
    assert metrics.ua(matrix) == pytest.approx(sklearn_metrics.recall_score(*labels, labels=CLASSES, average="macro"))
    assert metrics.macro_f1(matrix) == pytest.approx(sklearn_metrics.f1_score(*labels, average="macro"))
    assert metrics.weighted_f1(matrix) == pytest.approx(sklearn_metrics.f1_score(*labels, average="weighted"))
    p, r, f, _ = sklearn_metrics.precision_recall_fscore_support(*labels, labels=CLASSES)
    np.testing.assert_allclose(metrics.precision(matrix), p)
    np.testing.assert_allclose(metrics.recalls(matrix), r)
    np.testing.assert_allclose(metrics.f1_scores(matrix), f)


def test_against_audmetric(labels):
    matrix = metrics.confusion(*labels, CLASSES)
    assert metrics.wa(matrix) == pytest.approx(audmetric.accuracy(*labels))
    assert metrics.ua(matrix) == pytest.approx(audmetric.unweighted_average_recall(*labels))
    assert metrics.macro_f1(matrix) == pytest.approx(audmetric.unweighted_average_fscore(*labels))


def test_closed_form():
    matrix = [[8, 2], [1, 1]]  # recalls 0.8, 0.5; precisions 8/9, 1/3; F1 16/19, 2/5
    assert metrics.wa(matrix) == 0.75
    assert metrics.ua(matrix) == pytest.approx(0.65)
    assert metrics.macro_f1(matrix) == pytest.approx((16 / 19 + 2 / 5) / 2)
    assert metrics.weighted_f1(matrix) == pytest.approx((10 * 16 / 19 + 2 * 2 / 5) / 12)


@pytest.mark.filterwarnings("ignore:y_pred contains classes")
def test_absent_class_is_left_out_of_the_averages():
    """Edge case 1: EMO-DB's speaker 08 has no disgust, though others may be taken for it."""
    matrix = np.array([[3, 0, 1], [0, 0, 0], [1, 1, 2]])
    truth, prediction = np.repeat([0, 2], [4, 4]), np.array([0, 0, 0, 2, 0, 1, 2, 2])
    assert metrics.classes_averaged(matrix) == 2
    assert metrics.ua(matrix) == pytest.approx((3 / 4 + 2 / 4) / 2)
    assert metrics.ua(matrix) == pytest.approx(sklearn_metrics.balanced_accuracy_score(truth, prediction))
    assert metrics.macro_f1(matrix) == pytest.approx(
        sklearn_metrics.f1_score(truth, prediction, labels=[0, 2], average="macro")
    )
    np.testing.assert_array_equal(np.isnan(metrics.recalls(matrix)), [False, True, False])


def test_class_never_predicted_counts_as_zero():
    """Edge case 2."""
    matrix = [[5, 0], [3, 0]]
    assert metrics.precision(matrix).tolist() == [5 / 8, 0.0]
    assert metrics.f1_scores(matrix).tolist() == [pytest.approx(10 / 13), 0.0]
    assert metrics.macro_f1(matrix) == pytest.approx(5 / 13)
    assert metrics.ua(matrix) == 0.5


def test_batches_equal_single_matrices_and_empty_ones_are_nan_without_warnings():
    batch = np.random.default_rng(0).integers(0, 9, size=(3, 2, 4, 4))
    batch[1, 1] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for function in (metrics.wa, metrics.ua, metrics.macro_f1, metrics.weighted_f1):
            values = function(batch)
            assert values.shape == (3, 2)
            assert np.isnan(values[1, 1])
            assert values[2, 0] == function(batch[2, 0])


def test_unknown_label_is_named():
    with pytest.raises(SerError, match="'zeal'"):
        metrics.confusion(["joy", "zeal"], ["joy", "joy"], CLASSES)


@pytest.mark.parametrize("seed", range(5))
def test_ccc_against_audmetric(seed):
    rng = np.random.default_rng(seed)
    y = rng.normal(0.3, 0.2, 500)
    x = 0.6 * y + rng.normal(0, 0.1, 500) + 0.1 * seed
    assert metrics.ccc(x, y) == pytest.approx(audmetric.concordance_cc(y, x), abs=1e-12)
    assert metrics.ccc(x, y) == pytest.approx(metrics.ccc(y, x), abs=1e-12)
    assert metrics.ccc(x + 1e4, y + 1e4) == pytest.approx(metrics.ccc(x, y), abs=1e-9)


def test_ccc_closed_forms():
    x = np.array([-1.0, 0.0, 1.0])  # population variance 2/3
    assert metrics.ccc(x, x) == 1
    assert metrics.ccc(x, -x) == pytest.approx(-1)
    assert metrics.ccc(x, x + 1) == pytest.approx((4 / 3) / (4 / 3 + 1))
    # edge case 3: variances over N - 1 are 1, the covariance stays 2/3
    assert metrics.ccc(x, x, ddof_var=1) == pytest.approx(2 / 3)


def test_ccc_of_constants():
    """Edge case 4."""
    wave = np.sin(np.arange(50))
    flat = np.full(50, 0.1)
    assert metrics.ccc(flat, flat) == 1
    assert metrics.ccc(flat, wave) == 0
    assert metrics.ccc(wave, flat) == 0
    assert metrics.ccc(flat, flat + 0.5) == 0
    assert metrics.ccc(flat, flat + 1e-9) == 0  # denominator below 1e-12, not equal


def test_ccc_masks_and_few_frames():
    """Edge case 5."""
    x, y = np.array([0.1, 0.5, 9.0, 0.3]), np.array([0.2, 0.4, np.nan, 0.3])
    assert metrics.ccc(x, y, mask=~np.isnan(y)) == metrics.ccc(x[[0, 1, 3]], y[[0, 1, 3]])
    with pytest.raises(ValueError, match="mask it out"):
        metrics.ccc(x, y)
    with pytest.raises(ValueError, match="4 and 3"):
        metrics.ccc(x, y[:3])
    assert np.isnan(metrics.ccc([0.5], [0.5]))
    assert np.isnan(metrics.ccc([], []))
    assert np.isnan(metrics.ccc(x, x, mask=[True, False, False, False]))


def test_moments_of_groups_add_up_to_the_pooled_ccc():
    rng = np.random.default_rng(3)
    x, y, group = rng.normal(size=90), rng.normal(size=90), np.repeat([0, 1, 2], 30)
    sums = metrics.moments(x, y, group, 3)
    assert metrics.ccc_from_moments(sums.sum(axis=0)) == pytest.approx(metrics.ccc(x, y))
    pair = group != 1
    assert metrics.ccc_from_moments(sums[[0, 2]].sum(axis=0)) == pytest.approx(metrics.ccc(x[pair], y[pair]))
