"""Which rows of a predictions file a headline is computed from, by which functions, and over which units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from ser.evaluation import intervals, metrics
from ser.evaluation.predictions import TRUTH, Predictions


def toolbox(predictions: Predictions) -> tuple[Callable[[Predictions, str], NDArray], dict[str, intervals.Statistic]]:
    """The summary that suits the labels (confusion matrices or CCC moments), and the metrics computed from its sums."""
    if predictions.kind == "classification":
        return intervals.confusions, {"wa": metrics.wa, "ua": metrics.ua, "f1": metrics.macro_f1}

    def of(dimension: int) -> intervals.Statistic:
        return lambda sums: metrics.ccc_from_moments(sums[..., dimension, :])

    mean: intervals.Statistic = lambda sums: metrics.ccc_from_moments(sums).mean(axis=-1)  # noqa: E731
    return intervals.moments, {"ccc": mean, **{f"ccc_{name}": of(d) for d, name in enumerate(predictions.dimensions)}}


def by_class(classes: Sequence[str]) -> dict[str, intervals.Statistic]:
    """Numbers by class from the sums of `toolbox`, named as published numbers are (`ser.evaluation.published`):
    ``precision of anger``, ``share of anger as fear``, ``weighted F1``."""
    found: dict[str, intervals.Statistic] = {
        "weighted F1": metrics.weighted_f1,
        "weighted precision": metrics.weighted_precision,
        "unweighted precision": metrics.macro_precision,
    }
    of_one = {"precision": metrics.precision, "recall": metrics.recalls, "F1": metrics.f1_scores}
    for k, name in enumerate(classes):
        found |= {f"{metric} of {name}": _cell(each, k) for metric, each in of_one.items()}
        found |= {f"share of {name} as {other}": _cell(metrics.shares, k, j) for j, other in enumerate(classes)}
    return found


def _cell(each: intervals.Statistic, *place: int) -> intervals.Statistic:
    where: tuple[Any, ...] = (..., *place)
    return lambda sums: each(sums)[where]


def labelled(predictions: Predictions) -> tuple[Predictions, list[str]]:
    """Without the recordings that have no label at all (the test part of a challenge), and the names of these."""
    table = predictions.table
    if predictions.kind == "classification":
        has = table["truth"] != ""
    else:
        has = table[[TRUTH + name for name in predictions.dimensions]].notna().any(axis=1)
    if has.all():
        return predictions, []
    known = has.groupby([table["seed"], table["fold"], table["utterance"]]).transform("any")
    return replace(predictions, table=table[known].reset_index(drop=True)), sorted(set(table["utterance"][~known]))


def headline(predictions: Predictions, protocol: str | None) -> tuple[Predictions, dict[str, Predictions]]:
    """The part that the headline is computed from, and each part of a corpus's own partitions (else none).

    The folds of a cross-validation are one test set and are pooled. Partitions are different test sets and are not
    (papers.md 2, CCC aggregation): there the headline is that of the development partition, as in P4's tables, and of
    the first partition where there is no development partition.
    """
    folds = sorted(set(predictions.table["fold"]))
    if protocol != "partitions" or len(folds) < 2:
        return predictions, {}
    table = predictions.table
    parts = {f: replace(predictions, table=table[table["fold"] == f].reset_index(drop=True)) for f in folds}
    return parts[next((f for f in folds if is_development(f)), folds[0])], parts


def is_development(fold: str) -> bool:
    return "dev" in fold.lower()


def unit_of(predictions: Predictions) -> str:
    """The column that is resampled: speakers; for continuous labels recordings (papers.md 8), unless a speaker has
    several."""
    pairs = predictions.table[["corpus", "speaker", "utterance"]].drop_duplicates()
    speakers = len(pairs[["corpus", "speaker"]].drop_duplicates())
    if predictions.kind == "classification" or 2 <= speakers < len(pairs):
        return "speaker"
    return "utterance"


def noun(unit: str) -> str:
    """What a unit is called in sentences: an utterance of a corpus with continuous labels is a recording."""
    return "recording" if unit == "utterance" else unit
