"""Linear SVM on utterance-level functionals, the classic baseline (P2 Table 4: IS10 + SVM; papers.md 5.6).

The paper gives neither kernel nor C. C is chosen by macro recall on the dev part; where a protocol has none, by
cross-validation over the speakers of the training part (papers.md 3: never select on test). With scaling `train` the
features are standardised by mean and deviation of the training part; with `per_speaker` each speaker's are standardised
by that speaker's own unlabelled utterances, those of test speakers included; with `per_corpus` by those of its corpus.
The last two are transductive, and reports say so.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ser.core.errors import SerError
from ser.core.tasks import Examples, Inputs, Task
from ser.evaluation.metrics import macro_recall


@dataclass(frozen=True)
class Config:
    """Scaling of the features and values of C to choose from."""

    scaling: Literal["train", "per_speaker", "per_corpus"] = "train"
    C: tuple[float, ...] = (0.001, 0.003, 0.01, 0.03, 0.1)  # ours: from under- to over-fitting with 1582 columns
    inner_folds: int = 3  # ours: speaker folds inside the training part when there is no dev part

    def __post_init__(self) -> None:
        if not self.C or min(self.C) <= 0:
            raise ValueError(f"C needs at least one value, all of them positive, not {self.C}")
        if self.inner_folds < 2:
            raise ValueError(f"inner_folds must be at least 2, not {self.inner_folds}")


class Model:
    """`sklearn.svm.SVC` with a linear kernel. Raises `SerError` for continuous labels and for frame-level features."""

    def __init__(self, config: Config, task: Task, seed: int) -> None:
        if task.kind != "classification":
            raise SerError("svm predicts classes; this corpus has continuous labels", "model svm")
        frames = [f for f, level in task.levels.items() if level != "utterance"]
        if frames:
            raise SerError(f"svm needs utterance-level features, {frames[0]!r} has one row per frame", "model svm")
        self.config, self.task = config, task
        self.notes: dict[str, object] = {"transductive": config.scaling != "train"}

    def fit(self, train: Examples, dev: Examples | None) -> list[dict[str, float]]:
        """Chooses C, then fits on the training part. Returns one row per value of C: training error and score.

        Raises `SerError` when the training part has one class only, and when C cannot be chosen.
        """
        x, y = self._scaled(train, train), np.asarray(train.labels)
        if len(np.unique(y)) < 2:
            only = self.task.outputs[int(y[0])]
            raise SerError(f"the training part has one class only, {only!r}", "model svm", "Choose other folds")
        inner = "train (inner speaker folds)" if len(self.config.C) > 1 else "fixed"
        self.notes["selection"] = inner if dev is None else "dev"
        rows = []
        for C in self.config.C:
            model = self._svc(C).fit(x, y)
            row = {"train_loss": float((model.predict(x) != y).mean()), "C": C}
            if dev is not None:
                row["dev_score"] = self._ua(np.asarray(dev.labels), model.predict(self._scaled(dev, train)))
            elif len(self.config.C) > 1:
                row["dev_score"] = self._inner(C, x, y, np.asarray(train.speakers))
            rows.append(row)
        best = max(rows, key=lambda r: (r.get("dev_score", 0.0), -r["C"]))
        self.notes["C"] = best["C"]
        model = self._svc(best["C"]).fit(x, y)
        self.fitted = {"classes": model.classes_, "coefficients": model.coef_, "intercepts": model.intercept_}
        if self.config.scaling == "train":
            self.fitted["mean"], self.fitted["deviation"] = statistics(self._columns(train))
        return rows

    def weights(self) -> dict[str, np.ndarray]:
        """classes (k,) among the outputs; coefficients (k (k - 1) / 2, F) and intercepts of the pairs of classes, or
        (1, F) of two classes; with scaling `train` also the mean (F,) and deviation (F,) of the features."""
        return self.fitted

    def load_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        self.fitted = dict(weights)

    def scores(self, inputs: Inputs) -> np.ndarray:
        """(n, K): softmax of the one-against-rest decision values; 0 for classes that the training part lacks."""
        x, classes = self._columns(inputs), self.fitted["classes"]
        if self.config.scaling == "train":
            x = (x - self.fitted["mean"]) / self.fitted["deviation"]
        else:
            x = per_group(x, self._groups(inputs))
        values = one_against_rest(x @ self.fitted["coefficients"].T + self.fitted["intercepts"], len(classes))
        scores = np.zeros((len(inputs), len(self.task.outputs)))
        values = np.exp(values - values.max(1, keepdims=True))
        scores[:, classes] = values / values.sum(1, keepdims=True)
        return scores

    @staticmethod
    def _svc(C: float):
        from sklearn.svm import SVC

        return SVC(kernel="linear", C=C, break_ties=True, cache_size=500)  # predict = argmax of the scores

    def _ua(self, truth: np.ndarray, prediction: np.ndarray) -> float:
        return macro_recall(truth, prediction, len(self.task.outputs))

    def _inner(self, C: float, x: np.ndarray, y: np.ndarray, speakers: np.ndarray) -> float:
        from sklearn.model_selection import GroupKFold

        folds = min(self.config.inner_folds, len(set(speakers)))
        if folds < 2:
            raise SerError(
                "no dev part and only one training speaker: C cannot be chosen",
                "model svm",
                "Give one value: C: [0.01]",
            )
        prediction = np.empty_like(y)
        for train, test in GroupKFold(folds).split(x, y, speakers):
            if len(np.unique(y[train])) < 2:  # the other speakers have one class, which is all that can be predicted
                prediction[test] = y[train][0]
            else:
                prediction[test] = self._svc(C).fit(x[train], y[train]).predict(x[test])
        return self._ua(y, prediction)

    def _columns(self, inputs: Inputs) -> np.ndarray:
        """(n, F) float64, all features side by side."""
        return np.concatenate([inputs.vectors(f) for f in self.task.inputs], 1).astype(np.float64)

    def _scaled(self, inputs: Inputs, train: Inputs) -> np.ndarray:
        x = self._columns(inputs)
        if self.config.scaling == "train":
            return standardise(x, self._columns(train))
        return per_group(x, self._groups(inputs))

    def _groups(self, inputs: Inputs) -> np.ndarray:
        """(n,): what is standardised together."""
        return np.asarray(inputs.speakers if self.config.scaling == "per_speaker" else inputs.corpora)


def one_against_rest(pairs: np.ndarray, classes: int) -> np.ndarray:
    """Decision values (n, k) of classes from those of their pairs (n, k (k - 1) / 2), in the order 01, 02, ..., 12, ...

    As ``sklearn.svm.SVC.decision_function`` computes them: the number of pairs that a class wins, and below 1/3 in
    absolute value the sum of its decision values, which breaks ties. Two classes have one value, that of the second.
    """
    if classes == 2:
        return np.concatenate([-pairs, pairs], 1)
    votes, sums = np.zeros((2, len(pairs), classes))
    for pair, (i, j) in zip(pairs.T, itertools.combinations(range(classes), 2), strict=True):
        votes[:, i] += pair >= 0
        votes[:, j] += pair < 0
        sums[:, i] += pair
        sums[:, j] -= pair
    return votes + sums / (3 * (np.abs(sums) + 1))


def per_group(x: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(n, F) -> (n, F): the utterances of each group (speaker, corpus) standardised by themselves."""
    out = np.empty_like(x)
    for group in np.unique(groups):
        own = groups == group
        out[own] = standardise(x[own], x[own])
    return out


def standardise(x: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """z-scores of `x` by the mean and deviation of `reference`; columns constant in the reference become 0."""
    mean, deviation = statistics(reference)
    return (x - mean) / deviation


def statistics(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation (F,) of each column of `x`; the deviation of a constant column is infinite, so that dividing
    by it gives 0.
    """
    mean, deviation = x.mean(0), x.std(0)
    return mean, np.where(deviation > 1e-9 * np.maximum(1.0, np.abs(mean)), deviation, np.inf)
