"""Utterance statistics and a linear classifier: the floor that shows what a network adds to its own input.

Each column of a frame feature becomes its mean, standard deviation, five percentiles and mean absolute difference of
neighbouring frames; a feature of utterance level is taken as it is. The classes have the same weight. The penalty is
chosen by macro recall on the dev part or, where a protocol has none, by cross-validation inside the training part, as
in `svm`.

Letters: n utterances, T frames, F columns, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import softmax

from ser.core.errors import SerError
from ser.core.tasks import Examples, Inputs, Task
from ser.evaluation.metrics import macro_recall
from ser.models.svm import inner_kind, per_group, statistics
from ser.protocols.splitting import inner_parts

PERCENTILES = (5, 25, 50, 75, 95)


@dataclass(frozen=True)
class Config:
    classifier: Literal["ridge", "logistic"] = "ridge"
    penalty: tuple[float, ...] = (30.0, 100.0, 300.0, 1000.0, 3000.0)  # ours: alpha of ridge, or 1 / C of the logistic
    inner_folds: int = 3  # ours, as in `svm`
    scaling: Literal["train", "per_speaker"] = "train"  # as in `svm`; per_speaker is transductive

    def __post_init__(self) -> None:
        if not self.penalty or min(self.penalty) <= 0 or self.inner_folds < 2:
            raise ValueError("penalty needs at least one positive value, and inner_folds is at least 2")


class Model:
    """Ridge regression on one-hot labels, or logistic regression. Raises `SerError` for continuous labels."""

    def __init__(self, config: Config, task: Task, seed: int) -> None:
        if task.kind != "classification":
            raise SerError("statistics predicts classes; this corpus has continuous labels", "model statistics")
        self.config, self.task, self.seed = config, task, seed
        self.notes: dict[str, Any] = {"transductive": config.scaling == "per_speaker"}

    def fit(self, train: Examples, dev: Examples | None) -> list[dict[str, float]]:
        """Chooses the penalty and fits; the curve has one row per penalty: training error and score."""
        self.scaler: dict[str, np.ndarray] = {}
        reference = columns(train)
        if self.config.scaling == "train":
            self.scaler["mean"], self.scaler["deviation"] = statistics(reference)
        x, y = self._scaled(train, reference), np.asarray(train.labels)
        dev_x = None if dev is None else self._scaled(dev, columns(dev))
        part = inner_parts(train, self.config.inner_folds, self.seed) if dev is None else None
        rows = []
        for penalty in self.config.penalty:
            fitted = self._fitted(penalty, x, y)
            row = {"train_loss": float((self._linear(x, fitted).argmax(1) != y).mean()), "penalty": penalty}
            if dev is not None and dev_x is not None:
                row["dev_score"] = self._ua(np.asarray(dev.labels), self._linear(dev_x, fitted))
            elif part is not None:
                row["dev_score"] = self._ua(y, self._inner(penalty, x, y, part))
            rows.append(row)
        best = max(rows, key=lambda row: row["dev_score"])["penalty"]
        self.notes |= {"selection": inner_kind(train) if dev is None else "dev", "penalty": best}
        self.fitted = self._fitted(best, x, y)
        return rows

    def scores(self, inputs: Inputs) -> np.ndarray:
        """(n, K): probabilities of the logistic regression, or the softmax of the outputs of ridge regression."""
        return self._linear(self._scaled(inputs, columns(inputs)), self.fitted)

    def weights(self) -> dict[str, np.ndarray]:
        """classes (k,) among the outputs; coefficients (k, C) and intercepts (k,), or (1, C) and (1,) of two classes of
        the logistic regression; with scaling `train` also mean (C,) and deviation (C,) of the columns."""
        return {**self.fitted, **self.scaler}

    def load_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        self.fitted = self.scaler = dict(weights)

    def _fitted(self, penalty: float, x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
        """Classes, coefficients and intercepts of the classifier of columns (n, C)."""
        from sklearn.linear_model import LogisticRegression, Ridge
        from sklearn.utils.class_weight import compute_sample_weight

        classes, weight = len(self.task.outputs), compute_sample_weight("balanced", y)
        if self.config.classifier == "ridge":
            ridge = Ridge(alpha=penalty).fit(x, np.eye(classes)[y], weight)
            return {"classes": np.arange(classes), "coefficients": ridge.coef_, "intercepts": ridge.intercept_}
        model = LogisticRegression(C=1 / penalty, max_iter=1000).fit(x, y, weight)
        return {"classes": model.classes_, "coefficients": model.coef_, "intercepts": model.intercept_}

    def _linear(self, x: np.ndarray, fitted: Mapping[str, np.ndarray]) -> np.ndarray:
        """(n, K): the softmax of the linear outputs; 0 for classes that the training part lacks."""
        values = x @ fitted["coefficients"].T + fitted["intercepts"]
        if len(fitted["classes"]) > values.shape[1]:  # two classes have one output, that of the second
            values = np.concatenate([np.zeros_like(values), values], 1)
        return softmax(values, 1) @ np.eye(len(self.task.outputs))[fitted["classes"]]

    def _inner(self, penalty: float, x: np.ndarray, y: np.ndarray, part: np.ndarray) -> np.ndarray:
        """Scores (n, K) of the utterances of each part by a classifier that was fitted to the other parts."""
        scores = np.empty((len(x), len(self.task.outputs)))
        for own in (part == p for p in np.unique(part)):
            scores[own] = self._linear(x[own], self._fitted(penalty, x[~own], y[~own]))
        return scores

    def _ua(self, truth: np.ndarray, scores: np.ndarray) -> float:
        return macro_recall(truth, scores.argmax(1), scores.shape[1])

    def _scaled(self, inputs: Inputs, x: np.ndarray) -> np.ndarray:
        if self.config.scaling == "train":
            return (x - self.scaler["mean"]) / self.scaler["deviation"]
        return per_group(x, np.asarray(inputs.speakers))


def columns(inputs: Inputs) -> np.ndarray:
    """(n, columns of all features) float64."""
    each = []
    for name, store in inputs.stores.items():
        if store.card["level"] == "utterance":
            each.append(inputs.vectors(name).astype(np.float64))
        else:
            each.append(np.stack([summary(store[u]) for u in inputs.utterances]))
    return np.concatenate(each, 1)


def summary(x: np.ndarray) -> np.ndarray:
    """Frames (T, F) -> (8 F,): mean, standard deviation, percentiles, mean absolute difference of neighbours."""
    x = x.astype(np.float64)
    steps = np.abs(np.diff(x, axis=0)).mean(0) if len(x) > 1 else np.zeros(x.shape[1])
    return np.concatenate([x.mean(0), x.std(0), *np.percentile(x, PERCENTILES, axis=0), steps])
