"""The SVM predicts from its written weights what scikit-learn predicts, and chooses C as scikit-learn's fits would."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import GroupKFold
from sklearn.svm import SVC

from ser.core.errors import SerError
from ser.core.store import Arrays
from ser.core.tasks import Examples, Task
from ser.models import svm
from ser.protocols.splitting import inner_parts

CLASSES = ("anger", "joy", "neutral", "sadness")
TASK = Task("classification", CLASSES, {"x": 6}, {"x": "utterance"})


def examples(seed: int, n: int = 96, groups: tuple[str, ...] = (), classes: int = 4) -> Examples:
    """Utterances of six speakers with a weak signal of the class and a strong one of the speaker."""
    generator = np.random.default_rng(seed)
    y, speaker = generator.integers(0, classes, n), np.arange(n) % 6
    means, own = np.random.default_rng(99).normal(size=(2, 6, 6))
    x = (means[y] + 2 * own[speaker] + generator.normal(size=(n, 6))).astype(np.float32)
    ids = tuple(f"u{i:03d}" for i in range(n))
    store = Arrays(dict(zip(ids, x, strict=True)), {"feature": "functionals", "level": "utterance", "dim": 6})
    return Examples(ids, tuple(f"s{s}" for s in speaker), {"x": store}, (), y, groups=groups)


def plain(part: Examples, train: Examples) -> np.ndarray:
    return svm.standardise(part.vectors("x").astype(np.float64), train.vectors("x").astype(np.float64))


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
@pytest.mark.parametrize("classes", [2, 4])
def test_choice_and_predictions_are_those_of_plain_fits(kernel, classes):
    train, test, grid = examples(0, classes=classes), examples(1, classes=classes), (0.003, 0.1, 3.0)
    model = svm.Model(svm.Config(kernel=kernel, C=grid), TASK, 0)
    rows = model.fit(train, None)
    x, y = plain(train, train), np.asarray(train.labels)
    gamma = 1 / (x.shape[1] * x.var())
    for row in rows:
        inner = np.empty_like(y)
        for own, other in GroupKFold(3).split(x, y, train.speakers):
            fitted = SVC(kernel=kernel, C=row["C"], gamma=gamma, break_ties=True).fit(x[own], y[own])
            inner[other] = fitted.predict(x[other])
        assert row["dev_score"] == pytest.approx(np.mean([(inner[y == k] == k).mean() for k in range(classes)]))
    wanted = SVC(kernel=kernel, C=model.notes["C"], gamma=gamma, break_ties=True).fit(x, y)
    again = svm.Model(svm.Config(kernel=kernel, C=grid), TASK, 0)
    again.load_weights(model.weights())
    assert (again.scores(test).argmax(1) == wanted.predict(plain(test, train))).all()
    values = wanted.decision_function(plain(test, train))
    if classes > 2:
        logits = np.log(again.scores(test)[:, :classes])
        np.testing.assert_allclose(logits - logits[:, :1], values - values[:, :1], atol=1e-3)  # libsvm stops at 1e-3


def test_gamma_is_the_given_one_and_belongs_to_rbf():
    model = svm.Model(svm.Config(kernel="rbf", gamma=0.02, C=(1.0,)), TASK, 0)
    train = examples(0)
    model.fit(train, None)
    x = plain(train, train)
    wanted = SVC(kernel="rbf", gamma=0.02, C=1.0, break_ties=True).fit(x, train.labels)
    assert (model.scores(train).argmax(1) == wanted.predict(x)).all()
    with pytest.raises(ValueError, match="belongs to kernel: rbf"):
        svm.Config(gamma=0.02)


def test_inner_folds_are_of_the_kind_of_the_folds():
    audio = tuple(f"pcm{i // 2}" for i in range(96))  # every recording is there twice
    by_speaker, random = examples(0), examples(0, groups=audio)
    part = inner_parts(by_speaker, 3, 1)
    assert all(len(set(part[np.array(by_speaker.speakers) == s])) == 1 for s in set(by_speaker.speakers))
    part = inner_parts(random, 3, 1)
    assert any(len(set(part[np.array(random.speakers) == s])) > 1 for s in set(random.speakers))
    assert (part[::2] == part[1::2]).all(), "equal audio in one part"
    assert sorted(set(part)) == [0, 1, 2]
    for given, kind in ((by_speaker, "speaker"), (random, "random")):
        model = svm.Model(svm.Config(), TASK, 0)
        model.fit(given, None)
        assert model.notes["selection"] == f"train (inner {kind} folds)"


def test_one_speaker_cannot_be_divided_by_speaker():
    train = examples(0)
    one = Examples(train.utterances, ("s0",) * 96, train.stores, (), train.labels)
    with pytest.raises(SerError, match=r"one speaker only .* Give one value"):
        svm.Model(svm.Config(), TASK, 0).fit(one, None)


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
