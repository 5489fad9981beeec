"""WA, UA, F1 and CCC (papers.md, section 2).

Letters: K classes, D dimensions; ``...`` any leading axes (bootstrap draws, seeds, folds), so one call scores them all.
Rows of a confusion matrix are true classes, columns predicted ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ser.core.errors import SerError

MOMENTS = 6  # n, sum x, sum y, sum x^2, sum y^2, sum xy
Array = NDArray[np.float64]


def codes(labels: ArrayLike, classes: Sequence[str]) -> NDArray[np.int64]:
    """Index in `classes` of each label, (N,). Raises `SerError` for a label that is none of them."""
    labels, order = np.asarray(labels, dtype=object).astype(str), np.argsort(classes)
    known = np.asarray(classes, dtype=str)[order]
    place = np.searchsorted(known, labels).clip(max=len(known) - 1)
    if (bad := known[place] != labels).any():
        raise SerError(f"label {labels[bad][0]!r} is none of the classes", hint="Classes: " + ", ".join(classes))
    return order[place]


def confusion(truth: ArrayLike, prediction: ArrayLike, classes: Sequence[str]) -> NDArray[np.int64]:
    """Counts (K, K) from N true and N predicted labels."""
    K = len(classes)
    cells = codes(truth, classes) * K + codes(prediction, classes)
    return np.bincount(cells, minlength=K * K).reshape(K, K)


def wa(matrix: ArrayLike) -> Array:
    """Weighted accuracy = accuracy, (..., K, K) -> (...); NaN without utterances."""
    matrix = np.asarray(matrix, dtype=np.float64)
    return _ratio(_hits(matrix).sum(-1), matrix.sum((-2, -1)))


def recalls(matrix: ArrayLike) -> Array:
    """Recall of each class, (..., K, K) -> (..., K); NaN for a class that has no true item."""
    matrix = np.asarray(matrix, dtype=np.float64)
    return _ratio(_hits(matrix), matrix.sum(-1))


def precision(matrix: ArrayLike) -> Array:
    """Precision of each class, (..., K, K) -> (..., K); 0 for a class never predicted (papers.md 2, edge case 2)."""
    matrix = np.asarray(matrix, dtype=np.float64)
    return _ratio(_hits(matrix), matrix.sum(-2), empty=0.0)


def f1_scores(matrix: ArrayLike) -> Array:
    """F1 of each class, (..., K, K) -> (..., K); 0 for a class never predicted, NaN for one without true items."""
    matrix = np.asarray(matrix, dtype=np.float64)
    true = matrix.sum(-1)
    return np.where(true > 0, _ratio(2 * _hits(matrix), true + matrix.sum(-2)), np.nan)


def ua(matrix: ArrayLike) -> Array:
    """Unweighted accuracy = macro recall over the classes that have true items, (..., K, K) -> (...)."""
    return mean(recalls(matrix), axis=-1)


def macro_recall(truth: ArrayLike, prediction: ArrayLike, classes: int) -> float:
    """UA of class indices (n,) and (n,); classes that are absent from `truth` are left out."""
    cells = np.asarray(truth) * classes + np.asarray(prediction)
    return float(ua(np.bincount(cells, minlength=classes * classes).reshape(classes, classes)))


def macro_f1(matrix: ArrayLike) -> Array:
    """Mean F1 over the classes that have true items, (..., K, K) -> (...)."""
    return mean(f1_scores(matrix), axis=-1)


def macro_precision(matrix: ArrayLike) -> Array:
    """Mean precision over the classes that have true items, (..., K, K) -> (...)."""
    true = np.asarray(matrix, dtype=np.float64).sum(-1)
    return mean(np.where(true > 0, precision(matrix), np.nan), axis=-1)


def weighted_precision(matrix: ArrayLike) -> Array:
    """Mean precision weighted by the number of true items, (..., K, K) -> (...)."""
    true = np.asarray(matrix, dtype=np.float64).sum(-1)
    return _ratio((precision(matrix) * true).sum(-1), true.sum(-1))


def shares(matrix: ArrayLike) -> Array:
    """The matrix with each row divided by its sum, (..., K, K) -> (..., K, K); NaN for a class without true items."""
    matrix = np.asarray(matrix, dtype=np.float64)
    return _ratio(matrix, np.broadcast_to(matrix.sum(-1, keepdims=True), matrix.shape))


def weighted_f1(matrix: ArrayLike) -> Array:
    """Mean F1 weighted by the number of true items, (..., K, K) -> (...)."""
    true = np.asarray(matrix, dtype=np.float64).sum(-1)
    return _ratio((np.nan_to_num(f1_scores(matrix)) * true).sum(-1), true.sum(-1))


def classes_averaged(matrix: ArrayLike) -> NDArray[np.int64]:
    """How many classes UA and macro F1 of a matrix are averaged over, (..., K, K) -> (...)."""
    return (np.asarray(matrix).sum(-1) > 0).sum(-1)


def ccc(x: ArrayLike, y: ArrayLike, mask: ArrayLike | None = None, ddof_var: int = 0) -> float:
    """Concordance correlation coefficient of two series of N frames.

    Args:
        mask: (N,) booleans, True for the frames that count; the others are removed before the moments.
        ddof_var: 0 divides the variances by N (the definition), 1 by N - 1 (as the AVEC 2018 script does;
            papers.md 2, edge case 3).

    Returns:
        A value in [-1, 1]; 1 when both series are constant and equal, 0 when one is constant, NaN for fewer than two
        frames.
    """
    a, b = np.asarray(x, dtype=np.float64).ravel(), np.asarray(y, dtype=np.float64).ravel()
    if a.shape != b.shape:
        raise ValueError(f"series of {a.size} and {b.size} frames")
    if mask is not None:
        keep = np.asarray(mask, dtype=bool).ravel()
        a, b = a[keep], b[keep]
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("a frame that counts is not a finite number; mask it out")
    return float(ccc_from_moments(moments(a, b, np.zeros(a.size, np.int64), 1), ddof_var)[0])


def moments(x: Array, y: Array, group: NDArray[np.int64], groups: int) -> Array:
    """Sums from which the CCC of any union of groups follows, (groups, 6): n, Sx, Sy, Sxx, Syy, Sxy.

    Both series (N,) are shifted by the mean of y, which leaves the CCC as it is and keeps the sums of squares exact.
    """
    shift = y.mean() if y.size else 0.0
    x, y = x - shift, y - shift
    weights = (np.ones_like(x), x, y, x * x, y * y, x * y)
    return np.stack([np.bincount(group, w, minlength=groups) for w in weights], axis=-1)


def ccc_from_moments(sums: ArrayLike, ddof_var: int = 0, tiny: float = 1e-12) -> Array:
    """CCC from sums (..., 6) as `moments` makes them -> (...).

    Edge cases of papers.md 2: a denominator below `tiny` (1e-12 there) gives 1 if the series are equal, else 0; fewer
    than two frames give NaN.
    """
    n, sx, sy, sxx, syy, sxy = np.moveaxis(np.asarray(sums, dtype=np.float64), -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mx, my = sx / n, sy / n
        vx, vy, cov = sxx / n - mx * mx, syy / n - my * my, sxy / n - mx * my
        if ddof_var:
            vx, vy = vx * n / (n - ddof_var), vy * n / (n - ddof_var)
        below = vx + vy + (mx - my) ** 2
        value = np.where(below < tiny, (sxx == syy) & (sxx == sxy) & (sx == sy), 2 * cov / below)
        # one series constant: cov is 0 but for rounding
        value = np.where((below >= tiny) & (np.minimum(vx, vy) < tiny * below), 0.0, value)
    return np.where(n >= 2, value, np.nan)


def mean(values: Array, axis: int) -> Array:
    """Mean over an axis without its NaN; NaN where nothing is left (and no warning)."""
    there = ~np.isnan(values)
    return _ratio(np.where(there, values, 0.0).sum(axis), there.sum(axis))


def _hits(matrix: Array) -> Array:
    return np.diagonal(matrix, axis1=-2, axis2=-1)


def _ratio(above: Array, below: Array, empty: float = np.nan) -> Array:
    full = np.asarray(below) > 0
    return np.divide(above, below, out=np.full(np.shape(full), empty), where=full)
