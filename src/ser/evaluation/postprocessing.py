"""Post-processing of predicted traces of affect, which is a separate result and never the headline (papers.md 7.4).

Neither P4 nor its code post-processes; the baselines of the AVEC challenges do. Each option is fitted per dimension to
the predictions of the dev part of a fold and seed, made with the chosen weights. It is then applied to each test
recording separately. Test labels are not used.

Letters: N rows (label frames) of a recording.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.core.errors import SerError
from ser.corpora.manifest import LABEL_RATE
from ser.evaluation import metrics
from ser.evaluation.predictions import KEYS, PREDICTION, TRUTH, Predictions

REPEAT = "Remove the experiment's predictions and train it again"
NOTE = "post-processing fitted on dev is reported separately, never as the headline"
OPTIONS = {  # papers.md 7.4; `all`: in this order
    "delay": ("delay",),
    "median": ("median",),
    "rescale": ("rescale",),
    "all": ("delay", "median", "rescale"),
}
Array = NDArray[np.float64]
Chosen = dict[str, dict[str, list[float]]]


@dataclass(frozen=True)
class Grids:
    """The delays that are tried, in seconds. Of several with equal CCC on dev the first one is taken."""

    delays: tuple[float, ...] = tuple(k / 2 for k in range(9))
    """0 to 4 s (papers.md 7.4), every 0.5 s (ours: annotators differ from each other by more)"""
    windows: tuple[float, ...] = (0.1, 0.5, 1.1, 2.1, 4.1, 8.1)
    """ours: odd numbers of rows, 0.1 s is no filter; above 8 s little is left of turns of a few seconds"""


@dataclass(frozen=True)
class Delay:
    """The trace shifted to a later time, because annotators react late; the first value is repeated."""

    delay_s: float

    def __call__(self, trace: Array) -> Array:
        return trace[np.maximum(np.arange(len(trace)) - round(self.delay_s * LABEL_RATE), 0)]


@dataclass(frozen=True)
class Median:
    """The median of the rows around each row; beyond the ends of the recording its first or last value is repeated."""

    window_s: float

    def __call__(self, trace: Array) -> Array:
        from scipy.ndimage import median_filter  # here, so that importing this module stays light

        return median_filter(trace, round(self.window_s * LABEL_RATE), mode="nearest")


@dataclass(frozen=True)
class Rescale:
    factor: float
    offset: float

    def __call__(self, trace: Array) -> Array:
        return self.factor * trace + self.offset


Step = Delay | Median | Rescale  # (N,) of one recording -> (N,)


def run(test: Predictions, dev: Predictions, grids: Grids = Grids()) -> dict[str, tuple[Predictions, Chosen]]:
    """Option -> the test predictions that it gives, and the choices: name -> dimension -> [least, median, most] over
    folds and seeds.

    Empty where a fold and seed of `test` has no labelled dev part. Raises `SerError` for other dimensions in dev, and
    for a recording that is in test and in dev of one fold.
    """
    if test.dimensions != dev.dimensions:
        what = f"dev has {', '.join(dev.dimensions)}, test {', '.join(test.dimensions)}"
        raise SerError(what, "post-processing", REPEAT)
    tested, held = (p.table.sort_values([*KEYS, "time"], kind="stable", ignore_index=True) for p in (test, dev))
    groups, known = (t.groupby(["fold", "seed"], sort=True).indices for t in (tested, held))
    gold = held[[TRUTH + name for name in test.dimensions]]
    if any(key not in known or gold.iloc[known[key]].count().min() < 2 for key in groups):
        return {}
    made = {o: {PREDICTION + d: tested[PREDICTION + d].to_numpy(copy=True) for d in test.dimensions} for o in OPTIONS}
    found: dict[str, dict[str, list[list[Step]]]] = {o: {d: [] for d in test.dimensions} for o in OPTIONS}
    for key, rows in groups.items():
        part, own = tested.iloc[rows], held.iloc[known[key]]
        _check_apart(part["utterance"], own["utterance"], key)
        borders, borders_dev = _borders(part), _borders(own)
        for name in test.dimensions:
            column, gold_of = PREDICTION + name, own[TRUTH + name].to_numpy()
            traces = np.split(part[column].to_numpy(), borders)
            traces_dev = np.split(own[column].to_numpy(), borders_dev)
            for option, chain in OPTIONS.items():
                steps = fit(chain, traces_dev, gold_of, grids)
                made[option][column][rows] = np.concatenate(apply(steps, traces))
                found[option][name].append(steps)
    return {o: (replace(test, table=tested.assign(**made[o])), _summary(found[o])) for o in OPTIONS}


def fit(chain: Iterable[str], dev: Sequence[Array], gold: Array, grids: Grids = Grids()) -> list[Step]:
    """The steps of a chain, each fitted to the result of the steps before it.

    Args:
        dev: predictions of one dimension, (N,) per recording.
        gold: the labels of all recordings joined; NaN where a row has none.
    """
    steps: list[Step] = []
    for name in chain:
        if name == "rescale":
            step: Step = _matched(np.concatenate(dev), gold)
        elif name == "delay":
            step = _best([Delay(s) for s in grids.delays], dev, gold)
        else:
            step = _best([Median(s) for s in grids.windows], dev, gold)
        dev = apply([step], dev)
        steps.append(step)
    return steps


def apply(steps: Iterable[Step], traces: Sequence[Array]) -> list[Array]:
    """The recordings one by one."""
    out = list(traces)
    for step in steps:
        out = [step(trace) for trace in out]
    return out


def _best(candidates: Sequence[Step], dev: Sequence[Array], gold: Array) -> Step:
    there = ~np.isnan(gold)
    return max(candidates, key=lambda step: metrics.ccc(np.concatenate(apply([step], dev)), gold, there))


def _matched(predicted: Array, gold: Array) -> Rescale:
    """Rescales to the mean and standard deviation of the labels of dev; constant predictions can only be shifted."""
    there = ~np.isnan(gold)
    x, y = predicted[there], gold[there]
    factor = float(y.std() / x.std()) if np.ptp(x) > 0 else 1.0
    return Rescale(factor, float(y.mean() - factor * x.mean()))


def _borders(rows: pd.DataFrame) -> NDArray[np.intp]:
    """The rows at which another recording begins."""
    names = rows["utterance"].to_numpy()
    return np.flatnonzero(names[1:] != names[:-1]) + 1


def _check_apart(tested: pd.Series, held: pd.Series, key: tuple[Any, ...]) -> None:
    both = sorted(set(tested.unique()) & set(held.unique()))
    if both:
        what = f"{both[0]!r} is in test and in dev: post-processing would be fitted to what it is scored on"
        raise SerError(what, f"fold {key[0]}, seed {key[1]}", REPEAT)


def _summary(found: Mapping[str, Sequence[Sequence[Step]]]) -> Chosen:
    out: Chosen = {}
    for name, runs in found.items():
        values = [{k: v for step in steps for k, v in dataclasses.asdict(step).items()} for steps in runs]
        for key in values[0]:
            own = [v[key] for v in values]
            out.setdefault(key, {})[name] = [round(float(f(own)), 4) for f in (np.min, np.median, np.max)]
    return out
