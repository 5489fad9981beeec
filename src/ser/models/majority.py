"""Majority: always predicts the most frequent class of the training part or, for continuous labels, the training mean.

It shows what a system reaches that ignores its input: UA is 1/K and CCC is 0 by construction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ser.core.tasks import Examples, Inputs, Task


@dataclass(frozen=True)
class Config:
    """No parameters."""


class Model:
    """Ignores its inputs."""

    def __init__(self, config: Config, task: Task, seed: int) -> None:
        self.task = task
        self.value = np.zeros(0)
        self.notes: dict[str, object] = {"selection": "none"}

    def fit(self, train: Examples, dev: Examples | None) -> list[dict[str, float]]:
        """Counts the classes or averages the labels of the training part; the curve has one row, their entropy or
        variance."""
        if self.task.kind == "continuous":
            labels = np.concatenate(list(train.labels))
            self.value = labels.mean(0)
            return [{"train_loss": float(labels.var(0).mean())}]
        counts = np.bincount(np.asarray(train.labels), minlength=len(self.task.outputs))
        self.value = counts / counts.sum()
        present = self.value[self.value > 0]
        return [{"train_loss": float(-(present * np.log(present)).sum())}]

    def weights(self) -> dict[str, np.ndarray]:
        return {"value": self.value}

    def load_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        self.value = weights["value"]

    def scores(self, inputs: Inputs) -> np.ndarray | list[np.ndarray]:
        """The class shares of the training part (n, K), or one constant array (rows, D) per utterance."""
        if self.task.kind == "continuous":
            return [np.tile(self.value, (rows, 1)) for rows in inputs.rows]
        return np.tile(self.value, (len(inputs), 1))
