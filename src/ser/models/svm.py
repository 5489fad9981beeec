"""SVM on utterance-level functionals, the classic baseline (P2 Table 4: IS10 + SVM; papers.md 5.6).

The paper gives neither kernel nor C; ours is linear, or RBF by choice. C is chosen by macro recall on the dev part;
where a protocol has none, by cross-validation inside the training part, over speakers where the folds are by speaker
and at random where they are random (papers.md 3: never select on test). With scaling `train` the features are
standardised by mean and deviation of the training part; with `per_speaker` each speaker's are standardised by that
speaker's own unlabelled utterances, those of test speakers included; with `per_corpus` by those of its corpus. The last
two are transductive, and reports say so.

The kernel of the training part is computed once per fold. Every C and every inner fold takes its rows and columns.

Letters: n utterances, F columns, S support vectors, K classes of the task, k of them in the training part.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ser.core.errors import SerError
from ser.core.tasks import Examples, Inputs, Task
from ser.evaluation.metrics import macro_recall
from ser.protocols.splitting import inner_parts

if TYPE_CHECKING:
    from sklearn.svm import SVC


@dataclass(frozen=True)
class Config:
    """Kernel, scaling of the features and values of C to choose from. With the kernel `rbf`, whose values are at most
    1, C between 1 and 100 is usual."""

    kernel: Literal["linear", "rbf"] = "linear"
    gamma: float | None = None  # of `rbf`; without a value 1 / (F x variance of all features), sklearn's `scale`
    scaling: Literal["train", "per_speaker", "per_corpus"] = "train"
    C: tuple[float, ...] = (0.001, 0.003, 0.01, 0.03, 0.1)  # ours: from under- to over-fitting with 1582 columns
    inner_folds: int = 3  # ours: folds inside the training part when there is no dev part

    def __post_init__(self) -> None:
        if not self.C or min(self.C) <= 0:
            raise ValueError(f"C needs at least one value, all of them positive, not {self.C}")
        if self.inner_folds < 2:
            raise ValueError(f"inner_folds must be at least 2, not {self.inner_folds}")
        if self.gamma is not None and (self.kernel == "linear" or self.gamma <= 0):
            raise ValueError("gamma is a positive number and belongs to kernel: rbf")


class Model:
    """`sklearn.svm.SVC` with a kernel computed beforehand. Raises `SerError` for continuous labels and for frame-level
    features."""

    def __init__(self, config: Config, task: Task, seed: int) -> None:
        if task.kind != "classification":
            raise SerError("svm predicts classes; this corpus has continuous labels", "model svm")
        frames = [f for f, level in task.levels.items() if level != "utterance"]
        if frames:
            raise SerError(f"svm needs utterance-level features, {frames[0]!r} has one row per frame", "model svm")
        self.config, self.task, self.seed = config, task, seed
        self.notes: dict[str, object] = {"transductive": config.scaling != "train"}

    def fit(self, train: Examples, dev: Examples | None) -> list[dict[str, float]]:
        """Chooses C, then fits on the training part. Returns one row per value of C: training error and score.

        Raises `SerError` when the training part has one class only, and when C cannot be chosen.
        """
        x, y = self._scaled(train, train), np.asarray(train.labels)
        if len(np.unique(y)) < 2:
            only = self.task.outputs[int(y[0])]
            raise SerError(f"the training part has one class only, {only!r}", "model svm", "Choose other folds")
        self.gamma = self.config.gamma or 1 / (x.shape[1] * x.var())
        gram = self._kernel(x, x)
        seen = None if dev is None else self._kernel(self._scaled(dev, train), x)
        part = self._parts(train) if dev is None and len(self.config.C) > 1 else None
        self.notes["selection"] = "dev" if dev is not None else "fixed" if part is None else inner_kind(train)
        rows, models = [], {}
        for C in self.config.C:
            models[C] = model = svc(C).fit(gram, y)
            row = {"train_loss": float((model.predict(gram) != y).mean()), "C": C}
            if dev is not None:
                row["dev_score"] = self._ua(np.asarray(dev.labels), model.predict(seen))
            elif part is not None:
                row["dev_score"] = self._ua(y, inner_predictions(C, gram, y, part))
            rows.append(row)
        best = max(rows, key=lambda r: (r.get("dev_score", 0.0), -r["C"]))
        self.notes["C"] = best["C"]
        self.fitted = self._weights(models[best["C"]], x)
        if self.config.scaling == "train":
            self.fitted["mean"], self.fitted["deviation"] = statistics(self._columns(train))
        return rows

    def weights(self) -> dict[str, np.ndarray]:
        """classes (k,) among the outputs; coefficients and intercepts of the k (k - 1) / 2 pairs of classes: (pairs, F)
        of the linear kernel, or (pairs, S) with the support vectors (S, F) and gamma (1,) of `rbf`; with scaling
        `train` also the mean (F,) and deviation (F,) of the features."""
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
        if self.config.kernel == "rbf":
            x = rbf(x, self.fitted["support"], float(self.fitted["gamma"][0]))
        values = one_against_rest(x @ self.fitted["coefficients"].T + self.fitted["intercepts"], len(classes))
        scores = np.zeros((len(inputs), len(self.task.outputs)))
        values = np.exp(values - values.max(1, keepdims=True))
        scores[:, classes] = values / values.sum(1, keepdims=True)
        return scores

    def _kernel(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """(n, F), (m, F) -> (n, m)."""
        return rbf(x, y, self.gamma) if self.config.kernel == "rbf" else x @ y.T

    def _weights(self, model: SVC, x: np.ndarray) -> dict[str, np.ndarray]:
        pairs, support = pair_coefficients(model), x[model.support_]
        fitted = {"classes": model.classes_, "intercepts": model.intercept_}
        if self.config.kernel == "linear":
            return {**fitted, "coefficients": pairs @ support}
        return {**fitted, "coefficients": pairs, "support": support, "gamma": np.array([self.gamma])}

    def _ua(self, truth: np.ndarray, prediction: np.ndarray) -> float:
        return macro_recall(truth, prediction, len(self.task.outputs))

    def _parts(self, train: Examples) -> np.ndarray:
        try:
            return inner_parts(train, self.config.inner_folds, self.seed)
        except SerError as error:
            what = f"no dev part to choose C on, and {error.what}"
            raise SerError(what, "model svm", "Give one value: C: [0.01]") from error

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


def inner_kind(train: Examples) -> str:
    """What the card says of a value that was chosen on `ser.protocols.splitting.inner_parts`."""
    return f"train (inner {'speaker' if train.by_speaker else 'random'} folds)"


def svc(C: float) -> SVC:
    from sklearn.svm import SVC

    return SVC(kernel="precomputed", C=C, break_ties=True, cache_size=500)  # predict = argmax of the scores


def inner_predictions(C: float, gram: np.ndarray, y: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Classes (n,) of the utterances of each part by an SVM that was fitted to the other parts; `gram` (n, n)."""
    prediction = np.empty_like(y)
    for p in np.unique(part):
        own, other = np.flatnonzero(part == p), np.flatnonzero(part != p)
        if len(np.unique(y[other])) < 2:  # the others have one class, which is all that can be predicted
            prediction[own] = y[other][0]
        else:
            prediction[own] = svc(C).fit(gram[np.ix_(other, other)], y[other]).predict(gram[np.ix_(own, other)])
    return prediction


def rbf(x: np.ndarray, y: np.ndarray, gamma: float) -> np.ndarray:
    """exp(-gamma |a - b|^2) of the rows a of x (n, F) and b of y (m, F): (n, m)."""
    squares = np.square(x).sum(1)[:, None] + np.square(y).sum(1) - 2 * x @ y.T
    return np.exp(-gamma * np.maximum(squares, 0))


def pair_coefficients(model: SVC) -> np.ndarray:
    """(k (k - 1) / 2, S): what each support vector weighs in the decision value of each pair of classes, in the order
    01, 02, ..., 12, ...

    libsvm keeps k - 1 rows for the support vectors of a class, one per other class.
    """
    ends = np.cumsum(model.n_support_)
    own = [slice(end - n, end) for n, end in zip(model.n_support_, ends, strict=True)]
    if len(own) == 2:  # sklearn turns the sign of two classes, whose decision value is that of the second
        return np.asarray(model.dual_coef_)
    pairs = []
    for i, j in itertools.combinations(range(len(own)), 2):
        row = np.zeros(len(model.support_))
        row[own[i]] = model.dual_coef_[j - 1, own[i]]
        row[own[j]] = model.dual_coef_[i, own[j]]
        pairs.append(row)
    return np.stack(pairs)


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
