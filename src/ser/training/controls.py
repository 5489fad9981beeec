"""Controls that stand in for an experiment's model: what class shares, the length or the speaker alone would score.

``control: majority | length_only | speaker_only``. The folds, the labels and the report stay the experiment's own, so
that the number beside it says how much of its score needs no emotion in the voice at all.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ser import plugins
from ser.errors import SerError
from ser.tasks import Examples, Inputs, Task

HERE = ("length_only", "speaker_only")  # the models of this file
STAND_INS = ("majority", *HERE)


def module_of(settings: Mapping[str, Any]) -> types.ModuleType:
    """The experiment's model, or the control that stands in for it."""
    if settings["control"] in HERE:
        return sys.modules[__name__]
    return plugins.load("models", _name(settings))


def sources(settings: Mapping[str, Any]) -> list[Path]:
    """The files that what is trained consists of, beside those of the training itself, which this one belongs to."""
    return [] if settings["control"] in HERE else plugins.sources("models", _name(settings))


def _name(settings: Mapping[str, Any]) -> str:
    return "majority" if settings["control"] == "majority" else settings["model"]


@dataclass(frozen=True)
class Config:
    sees: Literal["length_only", "speaker_only"] = "length_only"


class Model:
    """Logistic regression on the logarithm of the duration and its square (ours: lets a class lie in the middle), or
    on the speaker's name; a speaker not heard in training gets the class shares. Classification only."""

    def __init__(self, config: Config, task: Task, seed: int) -> None:
        if task.kind != "classification":
            hint = "Use control: majority (the training mean) or shuffled_labels"
            raise SerError(
                f"control {config.sees} predicts classes; this corpus has continuous labels", "control", hint
            )
        self.config, self.task = config, task
        self.notes: dict[str, object] = {"selection": "none"}

    def fit(self, train: Examples, dev: Examples | None) -> list[dict[str, float]]:
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder, StandardScaler

        first: Any = StandardScaler()
        if self.config.sees == "speaker_only":
            first = OneHotEncoder(handle_unknown="ignore")
        x, y = self._columns(train), np.asarray(train.labels)
        self.model = make_pipeline(first, LogisticRegression(max_iter=1000)).fit(x, y)
        return [{"train_loss": float((self.model.predict(x) != y).mean())}]

    def scores(self, inputs: Inputs) -> np.ndarray:
        """(n, K) probabilities, 0 for classes the training part lacks."""
        scores = np.zeros((len(inputs), len(self.task.outputs)))
        scores[:, self.model.classes_] = self.model.predict_proba(self._columns(inputs))
        return scores

    def _columns(self, inputs: Inputs) -> np.ndarray:
        if self.config.sees == "speaker_only":
            return np.asarray(inputs.speakers, dtype=object)[:, None]
        length = np.log(np.maximum(np.asarray(inputs.durations), 1e-3))
        return np.stack([length, length**2], 1)
