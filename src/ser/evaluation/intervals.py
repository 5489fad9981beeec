"""Percentile bootstrap intervals over speakers, utterances or recordings.

Utterances of one speaker are alike: resampling utterances as if they were independent gives intervals that are far too
narrow. The interval we report resamples whole *speakers* (recordings for continuous labels) with replacement and
computes the pooled metric anew. A resample is a vector of counts, one a speaker, so all draws are one matrix product:
counts (draws, speakers) times the confusion matrices of the speakers (speakers, K * K), or their CCC moments.

Read an interval for what it is. It holds the trained models fixed: it covers the choice of test speakers, not of
training data, and seeds are averaged, not resampled. With fewer than two speakers there is none (None). With few
speakers it is still too narrow, because the percentile method knows no small-sample correction: at 10 speakers a
nominal 95 % covers about 90 % (tests/evaluation/test_intervals.py).

Letters: R seeds, U units (speakers, utterances or recordings), K classes, D dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from ser.core.files import digest
from ser.evaluation import metrics
from ser.evaluation.predictions import PREDICTION, TRUTH, Predictions

Statistic = Callable[[NDArray], NDArray]
Interval = tuple[float, float]


def confusions(predictions: Predictions, unit: str) -> NDArray[np.int64]:
    """Confusion matrices (R, U, K, K) of the seeds and units; `unit`: a column, speaker or fold, say."""
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
    units: NDArray, statistics: Mapping[str, Statistic], draws: int, name: str, level: float = 0.95
) -> dict[str, Interval | None]:
    """Percentile intervals of metrics, averaged over seeds, under resampling of units with replacement.

    Args:
        units: (R, U, ...) additive summaries: confusion matrices (R, U, K, K) or moments (R, U, D, 6).
        statistics: metric name -> function of the summed summaries, (..., K, K) or (..., D, 6), to values (...).
        draws: number of resamples, the same for all metrics; 0 gives no intervals.
        name: seeds the resampling (draws depend on names, never on order).
        level: nominal coverage.

    Returns:
        (low, high) a metric, or None when there are fewer than 2 units.
    """
    R, U = units.shape[:2]
    if U < 2 or draws < 1:
        return dict.fromkeys(statistics)
    # equal units are interchangeable: drawing from the distinct ones by their numbers is the same and shorter
    rows, copies = np.unique(np.moveaxis(units, 0, 1).reshape(U, -1), axis=0, return_counts=True)
    rng = np.random.default_rng(int(digest("bootstrap", name), 16))
    counts = rng.multinomial(U, copies / U, size=draws).astype(np.float64)
    resampled = (counts @ rows).reshape(draws, R, *units.shape[2:])
    tail = 50 * (1 - level)
    intervals: dict[str, Interval | None] = {}
    for metric, statistic in statistics.items():
        values = metrics.mean(statistic(resampled), axis=1)
        values = values[~np.isnan(values)]
        low, high = np.percentile(values, (tail, 100 - tail)) if values.size else (np.nan, np.nan)
        intervals[metric] = (float(low), float(high)) if values.size else None
    return intervals


def _cells(predictions: Predictions, unit: str) -> tuple[NDArray[np.int64], tuple[int, int]]:
    """For each row seed * U + unit, and (R, U). Units of two corpora are two units, whatever they are called."""
    table = predictions.table
    seed = table.groupby("seed", sort=True).ngroup().to_numpy()
    by = ["corpus", unit] if unit in ("speaker", "utterance") else unit
    group = table.groupby(by, sort=True).ngroup().to_numpy()
    R, U = int(seed.max()) + 1, int(group.max()) + 1
    return seed * U + group, (R, U)
