"""From the outputs of a model on windows to one prediction per utterance, and the score of the dev part.

Letters: n utterances, K classes, R label rows, D continuous dimensions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from ser.core.tasks import Examples, Inputs, Window
from ser.evaluation import metrics


class Scores(NamedTuple):
    """Predictions of a part. `votes`: how many windows of each utterance have each class as their best; None where an
    utterance is one window.
    """

    values: Any  # (n, K) float64 class probabilities, or n arrays (R, D)
    votes: np.ndarray | None = None  # (n, K) int64


def classes(inputs: Inputs, outputs: Iterable[tuple[list[Window], np.ndarray]], windowed: bool) -> Scores:
    """The mean of the class probabilities over an utterance's windows; `outputs`: (B, K) probabilities per batch."""
    found = [(w.utterance, row) for items, block in outputs for w, row in zip(items, block, strict=True)]
    which = np.array([i for i, _ in found])
    rows = np.stack([row for _, row in found])
    total = np.zeros((len(inputs), rows.shape[1]))
    # sorted, so that the sums do not depend on how windows were batched
    by_utterance = np.argsort(which, kind="stable")
    np.add.at(total, which[by_utterance], rows[by_utterance])
    votes = np.zeros(total.shape, dtype=np.int64)
    np.add.at(votes, (which, rows.argmax(1)), 1)
    return Scores(total / votes.sum(1, keepdims=True), votes if windowed else None)


def traces(inputs: Inputs, outputs: Iterable[tuple[list[Window], np.ndarray]]) -> Scores:
    """The blocks of each recording joined, cut to its label rows; `outputs`: (B, R, D) per batch."""
    pieces: list[dict[int, np.ndarray]] = [{} for _ in range(len(inputs))]
    for items, block in outputs:
        for w, rows in zip(items, block, strict=True):
            pieces[w.utterance][w.start or 0] = rows
    joined = [np.concatenate([p[s] for s in sorted(p)])[:n] for p, n in zip(pieces, inputs.rows, strict=True)]
    return Scores(joined)


def judge(scores: Scores, dev: Examples) -> dict[str, float]:
    """dev_loss and dev_score: mean negative log probability and macro recall; for continuous labels 1 - CCC and CCC,
    with the frames of all recordings pooled, and then the mean over dimensions (papers.md 2: P4 selects by it).
    """
    if isinstance(dev.labels, np.ndarray):
        truth = dev.labels
        own = scores.values[np.arange(len(truth)), truth]
        score = metrics.macro_recall(truth, scores.values.argmax(1), scores.values.shape[1])
        return {"dev_loss": float(-np.log(np.maximum(own, 1e-12)).mean()), "dev_score": score}
    predicted, gold = np.concatenate(scores.values), np.concatenate(list(dev.labels))
    ccc = float(np.mean([metrics.ccc(predicted[:, d], gold[:, d]) for d in range(gold.shape[1])]))
    return {"dev_loss": 1 - ccc, "dev_score": ccc}
