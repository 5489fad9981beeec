"""Which rows of a predictions file a headline and a plot are made of, by which functions, over which units."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from ser.evaluation import intervals, metrics
from ser.evaluation.predictions import PREDICTION, TRUTH, Predictions


def toolbox(predictions: Predictions) -> tuple[Callable[[Predictions, str], NDArray], dict[str, intervals.Statistic]]:
    """The additive summary of the kind of labels, and the metrics computed from sums of it."""
    if predictions.kind == "classification":
        return intervals.confusions, {"wa": metrics.wa, "ua": metrics.ua, "f1": metrics.macro_f1}

    def of(dimension: int) -> intervals.Statistic:
        return lambda sums: metrics.ccc_from_moments(sums[..., dimension, :])

    mean: intervals.Statistic = lambda sums: metrics.ccc_from_moments(sums).mean(axis=-1)  # noqa: E731
    return intervals.moments, {"ccc": mean, **{f"ccc_{name}": of(d) for d, name in enumerate(predictions.dimensions)}}


def labelled(predictions: Predictions) -> tuple[Predictions, list[str]]:
    """Drops the recordings without any label (the test part of a challenge) and names them."""
    if predictions.kind == "classification":
        return predictions, []
    table = predictions.table
    has = table[[TRUTH + name for name in predictions.dimensions]].notna().any(axis=1)
    known = has.groupby([table["seed"], table["fold"], table["utterance"]]).transform("any")
    return replace(predictions, table=table[known].reset_index(drop=True)), sorted(set(table["utterance"][~known]))


def headline(predictions: Predictions, details: Mapping[str, Any]) -> tuple[Predictions, dict[str, Predictions]]:
    """The part the headline is computed on, and each part of a fixed division into partitions.

    The folds of a cross-validation are one test set and are pooled; partitions are different test sets and are not
    (papers.md 2, CCC aggregation): there the development partition is the headline, as in P4's tables, else the first.
    """
    folds = sorted(set(predictions.table["fold"]))
    if details["protocol"] != "partitions" or len(folds) < 2:
        return predictions, {}
    table = predictions.table
    parts = {f: replace(predictions, table=table[table["fold"] == f].reset_index(drop=True)) for f in folds}
    return parts[next((f for f in folds if is_development(f)), folds[0])], parts


def is_development(fold: str) -> bool:
    return "dev" in fold.lower()


def unit_of(predictions: Predictions) -> str:
    """What is resampled: speakers; for continuous labels recordings (papers.md 8), unless a speaker has several."""
    pairs = predictions.table[["corpus", "speaker", "utterance"]].drop_duplicates()
    speakers = len(pairs[["corpus", "speaker"]].drop_duplicates())
    if predictions.kind == "classification" or 2 <= speakers < len(pairs):
        return "speaker"
    return "utterance"


def plot_rows(predictions: Predictions, rows: int = 2000) -> pd.DataFrame:
    """Data of the DVC plots: columns truth, prediction; one row an utterance and seed.

    Continuous labels: one row a labelled frame and dimension, with a column ``dimension``, evenly thinned to at most
    about `rows` (ours: 2000, what a browser still draws at once).
    """
    table = predictions.table
    if predictions.kind == "classification":
        return table[["truth", "prediction"]].reset_index(drop=True)
    step = max(1, -(-len(table) * len(predictions.dimensions) // rows))
    thin = table.iloc[::step]
    columns = [
        pd.DataFrame({"truth": thin[TRUTH + name], "prediction": thin[PREDICTION + name], "dimension": name})
        for name in predictions.dimensions
    ]
    return pd.concat(columns, ignore_index=True).dropna().reset_index(drop=True)
