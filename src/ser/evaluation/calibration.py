"""Calibration of class probabilities: of the utterances with confidence 0.7, are 70 % classified correctly?

One temperature T per experiment makes the scores p proportional to p^(1/T) (C. Guo et al., ICML 2017). T above 1 lowers
every confidence, and no decision changes. It is fitted on predictions for speakers whom the model did not learn from:
those of the test parts. To judge it, it is cross-fitted: the scores of a fold are scaled by the temperature that fits
the predictions of the other folds for other speakers, so that no speaker is judged by a temperature that was fitted to
them. The temperature of a package is fitted to all of them.

The dev parts are not used: where there is one, it has often chosen the epoch or C, and many protocols have none.

Letters: N utterances, K classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ser.evaluation import metrics
from ser.evaluation.predictions import SCORE, Predictions

Array = NDArray[np.float64]
BINS = 10  # ours: of the calibration error; finer ones are empty at EMO-DB's 535 utterances
FLOOR = 1e-6  # least probability that is scaled: files have five decimals, and a logarithm needs more than 0
TEMPERATURES = (0.05, 20.0)  # ours: the range in which a temperature is searched
SHARES = tuple(round(0.1 * k, 1) for k in range(1, 11))  # of the utterances, for the curve of accuracy over coverage


def measure(predictions: Predictions) -> dict[str, Any]:
    """What goes to the details of an experiment; empty for continuous labels and for scores that are no probabilities.

    ``before`` and ``after``: ece, nll and brier (`errors`), bins ([confidence, accuracy, utterances] of each filled
    bin) and coverage ([share of the utterances, accuracy on them, least confidence], the most confident first);
    ``temperature``: that of a package. The last two are absent where every fold shares its speakers with all others, or
    where there is only one.
    """
    if predictions.kind != "classification":
        return {}
    scores = predictions.table[[SCORE + c for c in predictions.classes]].to_numpy(np.float64)
    if scores.min() < 0 or np.abs(scores.sum(axis=1) - 1).max() > 0.01:
        return {}
    truth = metrics.codes(predictions.table["truth"], predictions.classes)
    after = cross_fitted(predictions, scores, truth)
    if after is None:
        return {"before": _summary(scores, truth)}
    found = {"before": _summary(scores, truth), "after": _summary(after, truth)}
    return {"temperature": round(temperature(scores, truth), 4), **found}


def scaled(scores: Array, temperature: float) -> Array:
    """(N, K) probabilities at a temperature."""
    values = np.log(np.maximum(scores, FLOOR)) / temperature
    values = np.exp(values - values.max(-1, keepdims=True))
    return values / values.sum(-1, keepdims=True)


def temperature(scores: Array, truth: NDArray[np.int64]) -> float:
    """The temperature with the least negative log likelihood of the true classes; (N, K), (N,)."""
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        return _nll(scaled(scores, float(np.exp(log_temperature))), truth)

    return float(np.exp(minimize_scalar(loss, bounds=tuple(np.log(TEMPERATURES)), method="bounded").x))


def cross_fitted(predictions: Predictions, scores: Array, truth: NDArray[np.int64]) -> Array | None:
    """(N, K): the scores of each fold at the temperature of other folds and other speakers; None where a fold has
    none.
    """
    table, out = predictions.table, np.empty_like(scores)
    folds, speakers = table["fold"].to_numpy(), (table["corpus"] + "/" + table["speaker"]).to_numpy()
    for fold in np.unique(folds):
        own = folds == fold
        others = ~own & ~np.isin(speakers, np.unique(speakers[own]))
        if not others.any():
            return None
        out[own] = scaled(scores[own], temperature(scores[others], truth[others]))
    return out


def errors(scores: Array, truth: NDArray[np.int64]) -> dict[str, float]:
    """Expected calibration error: the mean gap between confidence and accuracy, weighted by the utterances of a bin;
    mean negative log likelihood; Brier score: the mean squared distance to the true class, from 0 to 2.
    """
    confidence, accuracy, counts = reliability(scores, truth)
    target = np.eye(scores.shape[1])[truth]
    return {
        "ece": float((np.abs(confidence - accuracy) * counts).sum() / counts.sum()),
        "nll": _nll(scores, truth),
        "brier": float(np.square(scores - target).sum(axis=1).mean()),
    }


def reliability(scores: Array, truth: NDArray[np.int64]) -> tuple[Array, Array, NDArray[np.int64]]:
    """Mean confidence, accuracy and number of utterances of each filled bin."""
    top, hit = scores.max(axis=1), (scores.argmax(axis=1) == truth).astype(float)
    bins = np.minimum((top * BINS).astype(int), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    full = counts > 0
    confidence, accuracy = (np.bincount(bins, v, BINS)[full] / counts[full] for v in (top, hit))
    return confidence, accuracy, counts[full]


def coverage(scores: Array, truth: NDArray[np.int64]) -> list[tuple[float, float, float]]:
    """For each share of the utterances, the most confident first: the accuracy on them and their least confidence."""
    top = scores.max(axis=1)
    order = np.argsort(-top, kind="stable")
    right = np.cumsum(scores.argmax(axis=1)[order] == truth[order])
    counts = [max(1, round(share * len(top))) for share in SHARES]
    return [(share, float(right[n - 1] / n), float(top[order[n - 1]])) for share, n in zip(SHARES, counts, strict=True)]


def _nll(scores: Array, truth: NDArray[np.int64]) -> float:
    return float(-np.log(np.maximum(scores[np.arange(len(truth)), truth], FLOOR)).mean())


def _summary(scores: Array, truth: NDArray[np.int64]) -> dict[str, Any]:
    found: dict[str, Any] = {name: round(value, 4) for name, value in errors(scores, truth).items()}
    confidence, accuracy, counts = reliability(scores, truth)
    bins = [[round(c, 4), round(a, 4), int(n)] for c, a, n in zip(confidence, accuracy, counts, strict=True)]
    return {**found, "bins": bins, "coverage": [[round(v, 4) for v in row] for row in coverage(scores, truth)]}
