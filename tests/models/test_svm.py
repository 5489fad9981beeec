"""The SVM predicts from its written weights what scikit-learn predicts."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.svm import SVC

from ser.models import svm


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_decision_values_are_those_of_scikit_learn(classes):
    generator = np.random.default_rng(classes)
    y = np.arange(70) % classes
    x = generator.normal(size=(70, 5)) + y[:, None] / 3
    model = SVC(kernel="linear", C=0.1, break_ties=True).fit(x, y)
    values = svm.one_against_rest(x @ model.coef_.T + model.intercept_, classes)
    wanted = model.decision_function(x)
    if classes == 2:
        wanted = np.stack([-wanted, wanted], 1)
    np.testing.assert_allclose(values, wanted, atol=1e-10)
    assert (values.argmax(1) == model.predict(x)).all()


def test_constant_columns_become_zero():
    reference = np.random.default_rng(0).normal(size=(20, 3))
    reference[:, 1] = 4.0
    x = svm.standardise(reference + 1, reference)
    assert (x[:, 1] == 0).all()
    np.testing.assert_allclose(svm.standardise(reference, reference)[:, [0, 2]].std(0), 1)


def test_groups_are_standardised_by_themselves():
    x, groups = np.random.default_rng(0).normal(3, 2, size=(12, 2)), np.repeat(["a", "b"], 6)
    found = svm.per_group(x, groups)
    for group in ("a", "b"):
        np.testing.assert_allclose(found[groups == group].mean(0), 0, atol=1e-12)
        np.testing.assert_allclose(found[groups == group].std(0), 1)
