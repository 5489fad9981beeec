"""Bootstrap intervals over speakers, utterances or recordings.

Utterances of one speaker resemble each other. Resampling utterances as if they were independent gives intervals that
are far too narrow. The reported interval resamples whole *speakers* (recordings for continuous labels) with replacement
and computes the pooled metric of each resample. A resample is a vector of counts, one per speaker, so all draws are one
matrix product: counts (draws, speakers) times the confusion matrices (speakers, K * K) or the CCC moments of the
speakers.

With few speakers the plain percentile interval is too narrow: a resample of U units has (U - 1) / U of the variance it
should have, and it uses the quantile of the normal distribution where Student's is right. Percentiles further out
correct both. This is the *expanded percentile interval* (T. Hesterberg, "What Teachers Should Know About the
Bootstrap", American Statistician 69(4), 2015, pages 371-386). It stays within the range of the metric, and with 10
speakers a nominal 95 % covers 94 % instead of 89 % (tests/evaluation/test_intervals.py). With 5 units or fewer it falls
a few points short.

Utterances are not resampled within the drawn speakers. The chance in a speaker's own utterances is already part of the
differences between speakers and would be counted twice (A. Davison and D. Hinkley, "Bootstrap Methods and their
Application", 1997, section 3.8).

An interval takes the trained models as fixed: it covers the choice of test speakers, not of training data, and seeds
are averaged, not resampled. With fewer than two speakers there is no interval (None).

Letters: R seeds, U units (speakers, utterances or recordings), K classes, D dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from ser.core.files import digest
from ser.evaluation import metrics
from ser.evaluation.predictions import PREDICTION, TRUTH, Predictions

Statistic = Callable[[NDArray], NDArray]
Interval = tuple[float, float]


def confusions(predictions: Predictions, unit: str) -> NDArray[np.int64]:
    """Confusion matrices (R, U, K, K) of the seeds and units; `unit` is a column, such as speaker or fold."""
    table, K = predictions.table, len(predictions.classes)
    cell, shape = _cells(predictions, unit)
    for column in ("truth", "prediction"):
        cell = cell * K + metrics.codes(table[column], predictions.classes)
    return np.bincount(cell, minlength=shape[0] * shape[1] * K * K).reshape(*shape, K, K)


def moments(predictions: Predictions, unit: str) -> NDArray[np.float64]:
    """CCC moments (R, U, D, 6) of the seeds and units, from the frames that have a label."""
    table = predictions.table
    cell, shape = _cells(predictions, unit)
    sums = []
    for name in predictions.dimensions:
        truth, prediction = table[TRUTH + name].to_numpy(), table[PREDICTION + name].to_numpy()
        labelled = ~np.isnan(truth)
        sums.append(metrics.moments(prediction[labelled], truth[labelled], cell[labelled], shape[0] * shape[1]))
    return np.stack(sums, axis=1).reshape(*shape, len(sums), metrics.MOMENTS)


def bootstrap(
    units: NDArray,
    statistics: Mapping[str, Statistic],
    draws: int,
    name: str,
    level: float = 0.95,
    expanded: bool = True,
) -> dict[str, Interval | None]:
    """Intervals of metrics, averaged over seeds, under resampling of units with replacement.

    Args:
        units: (R, U, ...) additive summaries: confusion matrices (R, U, K, K) or moments (R, U, D, 6).
        statistics: metric name -> function of the summed summaries, (..., K, K) or (..., D, 6), to values (...).
        draws: number of resamples, the same for all metrics; 0 gives no intervals.
        name: seeds the resampling (draws depend on names, never on order).
        level: nominal coverage.
        expanded: correct for the number of units (see above); False is the plain percentile interval.

    Returns:
        (low, high) per metric, or None when there are fewer than 2 units.
    """
    U = units.shape[1]
    if U < 2 or draws < 1:
        return dict.fromkeys(statistics)
    resampled = resample(units, draws, name)
    percent = tail(level, U) if expanded else 50 * (1 - level)
    return {
        metric: bounds(metrics.mean(statistic(resampled), axis=1), percent) for metric, statistic in statistics.items()
    }


def resample(units: NDArray, draws: int, name: str) -> NDArray[np.float64]:
    """Sums of `draws` resamples of the units with replacement, (R, U, ...) -> (draws, R, ...)."""
    R, U = units.shape[:2]
    # equal units are interchangeable: drawing from the distinct ones, weighted by their number, is the same and faster
    rows, copies = np.unique(np.moveaxis(units, 0, 1).reshape(U, -1), axis=0, return_counts=True)
    rng = np.random.default_rng(int(digest("bootstrap", name), 16))
    counts = rng.multinomial(U, copies / U, size=draws).astype(np.float64)
    return (counts @ rows).reshape(draws, R, *units.shape[2:])


def tail(level: float, units: int) -> float:
    """Percent of the resamples below an expanded percentile interval, and as many above.

    100 * Phi(sqrt(U / (U - 1)) * t) with t the (1 - level) / 2 quantile of Student's t on U - 1 degrees of freedom
    (Hesterberg 2015, as above): 0.86 instead of 2.5 for ten units, 2.5 in the limit of many.
    """
    from scipy.special import ndtr, stdtrit  # here, so that importing this module stays light

    return float(100 * ndtr(sqrt(units / (units - 1)) * stdtrit(units - 1, (1 - level) / 2)))


def bounds(values: NDArray, percent: float) -> Interval | None:
    """The values (draws,) that leave `percent` of them below and above; None where none is a number."""
    values = values[~np.isnan(values)]
    if not values.size:
        return None
    low, high = np.percentile(values, (percent, 100 - percent))
    return float(low), float(high)


def _cells(predictions: Predictions, unit: str) -> tuple[NDArray[np.int64], tuple[int, int]]:
    """seed * U + unit for each row, and (R, U). Units of two corpora differ even if their names are equal."""
    table = predictions.table
    seed = table.groupby("seed", sort=True).ngroup().to_numpy()
    by = ["corpus", unit] if unit in ("speaker", "utterance") else unit
    group = table.groupby(by, sort=True).ngroup().to_numpy()
    R, U = int(seed.max()) + 1, int(group.max()) + 1
    return seed * U + group, (R, U)
