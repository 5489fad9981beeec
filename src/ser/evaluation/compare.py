"""Paired tests between two experiments over the same utterances of the same speakers.

Two overlapping intervals say little, because the same speakers are hard for both systems. Here every speaker is its own
control. The *p-value* comes from exchanging the predictions of the two systems speaker by speaker: if the systems do
not differ, every way of exchanging is as likely as the observed one. All ways are computed for few speakers; otherwise
ways are drawn, and the observed one is counted (B. Phipson and G. Smyth, "Permutation p-values should never be zero",
2010). The *interval* of the difference resamples speakers for both systems at once. If several differences are tested
together, their p-values are corrected by Holm's step-down method (S. Holm, "A simple sequentially rejective multiple
test procedure", 1979).

The trained models are taken as fixed, as in `ser.evaluation.intervals`; the variation between seeds is given separately
as a standard deviation.

Letters: R seeds, U units (speakers or recordings), P ways of exchanging.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ser.core.errors import SerError
from ser.core.files import digest
from ser.evaluation import intervals, metrics, pooling
from ser.evaluation.predictions import TRUTH, Predictions

EXACT = 13  # ours: up to 13 units all 2**13 ways of exchanging are tried, more than are drawn for larger numbers
TINY = 1e-9  # ours: two ways of exchanging that differ by rounding alone are equally extreme


@dataclass(frozen=True)
class Difference:
    """One metric of experiment A less that of B; `p_holm` is `p` until `holm` corrects a family of them."""

    metric: str
    a: float
    b: float
    low: float | None
    high: float | None
    p: float
    p_holm: float
    sampling_sd: float  # of the difference, over the choice of speakers
    seed_sd: tuple[float | None, float | None]  # of A and of B, over their seeds
    detectable: float  # the smallest true difference these speakers would show with the power asked for

    @property
    def difference(self) -> float:
        return self.a - self.b


@dataclass(frozen=True)
class Comparison:
    """Two experiments compared. `ways`: ways of exchanging that were tried; `exact`: these were all there are."""

    a: str
    b: str
    corpus: str
    utterances: int
    unit: str
    units: int
    ways: int
    exact: bool
    confidence: float
    differences: tuple[Difference, ...]

    @property
    def smallest_p(self) -> float:
        """The smallest p-value this number of units can give."""
        return 2 / self.ways if self.exact else 1 / self.ways


def compare(
    names: tuple[str, str],
    a: Predictions,
    b: Predictions,
    draws: int,
    confidence: float = 0.95,
    only: Sequence[str] = (),
    power: float = 0.8,
) -> Comparison:
    """Compares the headline metrics of two experiments, Holm-corrected over the metrics.

    Args:
        names: what the experiments are called in messages.
        a, b: their headline parts (`ser.evaluation.pooling.headline`), any number of seeds each.
        draws: resamples of the interval, and ways of exchanging where there are too many to try all.
        only: the metrics to compare; all of them by default.
        power: chance at which the smallest detectable difference is found (ours: 0.8, the usual one).

    Raises:
        SerError: they cannot be compared: other corpus, labels, utterances, speakers, or only one speaker.
    """
    b = _alike(names, a, b)
    noun, units, statistics = _paired(names, a, b)
    U = units[0].shape[1]
    seed = f"{names[0]} {names[1]}"
    ways, drawn = _ways(U, draws, seed), intervals.resample(np.concatenate(units), draws, seed)
    levels = intervals.tail(confidence, U), _factor(U, 1 - confidence, power)
    chosen = {m: s for m, s in statistics.items() if not only or m in only}
    found = Comparison(
        *names,
        corpus=", ".join(sorted(set(a.table["corpus"]))),
        utterances=int(a.table["utterance"].nunique()),
        unit=noun,
        units=U,
        ways=len(ways),
        exact=U <= EXACT,
        confidence=confidence,
        differences=tuple(_difference(m, s, units, ways, drawn, *levels) for m, s in chosen.items()),
    )
    return holm([found])[0]


def holm(family: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons with `p_holm` corrected over all their differences together."""
    ps = [d.p for c in family for d in c.differences]
    corrected = iter(adjusted(ps))
    return [replace(c, differences=tuple(replace(d, p_holm=next(corrected)) for d in c.differences)) for c in family]


def adjusted(ps: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given."""
    order = np.argsort(ps, kind="stable")
    scaled = np.asarray(ps)[order] * np.arange(len(ps), 0, -1)
    out = np.empty(len(ps))
    out[order] = np.minimum(1, np.maximum.accumulate(scaled))
    return out.tolist()


def pairs(ranked: Sequence[str], most: int = 6) -> list[tuple[str, str]]:
    """The pairs to test in a group of comparable experiments, given from the best to the worst: all of them, or, in a
    group of more than `most` (ours: 6, 15 pairs, a table one can read), the best against each of the others."""
    if len(ranked) <= most:
        return list(combinations(ranked, 2))
    return [(ranked[0], name) for name in ranked[1:]]


def _paired(
    names: tuple[str, str], a: Predictions, b: Predictions
) -> tuple[str, tuple[NDArray, NDArray], Mapping[str, intervals.Statistic]]:
    """The name of the exchanged units; their sums for A and for B, (R, U, ...) each, in the same order; metrics of such
    sums. Raises `SerError` when there is only one unit.
    """
    summaries, statistics = pooling.toolbox(a)
    unit = pooling.unit_of(a)
    noun = pooling.noun(unit)
    units = summaries(a, unit), summaries(b, unit)
    if units[0].shape[1] < 2:
        raise SerError(f"one {noun} is too few to compare over", " and ".join(names), "Test on several")
    return noun, units, statistics


def _difference(
    metric: str,
    statistic: intervals.Statistic,
    units: tuple[NDArray, NDArray],
    ways: NDArray,
    drawn: NDArray,
    percent: float,
    factor: float,
) -> Difference:
    """One metric; `drawn`: (draws, R of A + R of B, ...) resampled sums of both, the same speakers in both."""
    by_seed = [statistic(u.sum(axis=1)) for u in units]
    resampled = np.split(statistic(drawn), [len(units[0])], axis=1)
    values = metrics.mean(resampled[0], axis=1) - metrics.mean(resampled[1], axis=1)
    low, high = intervals.bounds(values, percent) or (None, None)
    U = units[0].shape[1]
    sd = float(np.nanstd(values) * np.sqrt(U / (U - 1)))
    p = _p_value(*units, statistic, ways)
    return Difference(
        metric=metric,
        a=float(metrics.mean(by_seed[0], axis=0)),
        b=float(metrics.mean(by_seed[1], axis=0)),
        low=low,
        high=high,
        p=p,
        p_holm=p,
        sampling_sd=sd,
        seed_sd=(_seed_sd(by_seed[0]), _seed_sd(by_seed[1])),
        detectable=factor * sd,
    )


def _ways(U: int, draws: int, name: str) -> NDArray[np.float64]:
    """(P, U) of 0 and 1: whose predictions are exchanged; the first row exchanges none."""
    if U <= EXACT:
        return ((np.arange(2**U)[:, None] >> np.arange(U)) & 1).astype(np.float64)
    rng = np.random.default_rng(int(digest("permutation", name), 16))
    return np.vstack([np.zeros(U), rng.integers(0, 2, size=(draws, U))])


def _p_value(a: NDArray, b: NDArray, statistic: intervals.Statistic, ways: NDArray) -> float:
    """Two-sided p-value of a difference; a, b: (R, U, ...), averaged over seeds before units are exchanged."""
    one, two = a.mean(axis=0), b.mean(axis=0)  # (U, ...): experiments may have different numbers of seeds
    moved = np.tensordot(ways, two - one, axes=1)  # (P, ...)
    values = np.abs(statistic(one.sum(axis=0) + moved) - statistic(two.sum(axis=0) - moved))
    return float(np.mean(~(values < values[0] - TINY)))  # a difference that is no number counts against us


def _factor(U: int, alpha: float, power: float) -> float:
    """How many standard deviations a difference must have to be found: t(1 - alpha / 2) + t(power), U - 1 degrees of
    freedom (H. Bloom, "Minimum detectable effects", Evaluation Review 19(5), 1995).
    """
    from scipy.special import stdtrit

    return float(stdtrit(U - 1, 1 - alpha / 2) + stdtrit(U - 1, power))


def _seed_sd(values: NDArray) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _alike(names: tuple[str, str], a: Predictions, b: Predictions) -> Predictions:
    """`b` with its classes in the order of `a`; raises `SerError` when the two cannot be compared."""

    def refuse(what: str) -> SerError:
        return SerError(f"{names[0]} and {names[1]} cannot be compared: {what}")

    corpora = [", ".join(sorted(set(p.table["corpus"]))) for p in (a, b)]
    if corpora[0] != corpora[1]:
        raise refuse(f"the first is on {corpora[0]}, the second on {corpora[1]}")
    labels = [sorted(p.classes or p.dimensions) for p in (a, b)]
    if labels[0] != labels[1]:
        raise refuse(f"other labels, {', '.join(labels[0])} against {', '.join(labels[1])}")
    columns = ["truth"] if a.kind == "classification" else [TRUTH + d for d in a.dimensions]
    keys = ["corpus", "utterance", *([] if a.kind == "classification" else ["time"])]
    one, two = (
        p.table[[*keys, "speaker", *columns]].drop_duplicates(keys).set_index(keys).sort_index() for p in (a, b)
    )
    only = [x.index.difference(y.index).get_level_values("utterance").unique() for x, y in ((one, two), (two, one))]
    if len(only[0]) or len(only[1]):
        example = (only[0] if len(only[0]) else only[1])[0]
        raise refuse(
            f"other utterances, {len(only[0])} only in the first, {len(only[1])} only in the second, such as {example}"
        )
    other = ~((one == two) | (one.isna() & two.isna())).all()
    if other.any():
        raise refuse(f"the same utterances with another {other.index[other][0].replace('truth_', 'true ')}")
    return replace(b, classes=a.classes, dimensions=a.dimensions)
