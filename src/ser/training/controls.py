"""Controls take the place of an experiment's model: what class shares, the length or the speaker alone would score.

``control: majority | length_only | speaker_only``. The folds, the labels and the report are those of the experiment, so
the number beside it shows how much of its score needs no emotion in the voice.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ser.core import plugins
from ser.core.errors import SerError
from ser.core.tasks import Examples, Inputs, Task

HERE: tuple[Literal["length_only", "speaker_only"], ...] = ("length_only", "speaker_only")  # the models of this file
STAND_INS = ("majority", *HERE)


def name_of(settings: Mapping[str, Any]) -> str:
    """The name of the module of the experiment's model, or of the control that takes its place."""
    if settings["control"] in HERE:
        return __name__
    return f"ser.models.{'majority' if settings['control'] == 'majority' else settings['model']}"


def module_of(settings: Mapping[str, Any]) -> types.ModuleType:
    """That module."""
    package, _, name = name_of(settings).rpartition(".")
    return sys.modules[__name__] if package != "ser.models" else plugins.load("models", name)


def config_of(settings: Mapping[str, Any], module: types.ModuleType) -> Any:
    """The Config of that model."""
    control = settings["control"]
    if control in STAND_INS:
        return module.Config() if control == "majority" else module.Config(control)
    return plugins.build(module.Config, settings["config"], f"models.{settings['model']}")


@dataclass(frozen=True)
class Config:
    sees: Literal["length_only", "speaker_only"] = "length_only"


class Model:
    """Logistic regression on the logarithm of the duration and its square (ours: the square lets a class be in the
    middle), or on the speaker's name, where a speaker who is not in the training part gets the class shares.
    Classification only.
    """

    def __init__(self, config: Config, task: Task, seed: int) -> None:
        if task.kind != "classification":
            what = f"control {config.sees} predicts classes; this corpus has continuous labels"
            raise SerError(what, "control", "Use control: majority (the training mean) or shuffled_labels")
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
        """(n, K) probabilities, 0 for classes that the training part lacks."""
        scores = np.zeros((len(inputs), len(self.task.outputs)))
        scores[:, self.model.classes_] = self.model.predict_proba(self._columns(inputs))
        return scores

    def _columns(self, inputs: Inputs) -> np.ndarray:
        if self.config.sees == "speaker_only":
            return np.asarray(inputs.speakers, dtype=object)[:, None]
        length = np.log(np.maximum(np.asarray(inputs.durations), 1e-3))
        return np.stack([length, length**2], 1)
