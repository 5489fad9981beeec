"""A package as a function from signals to scores.

Letters: N samples, n signals, K classes, R rows (10 per second), D continuous dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ser.core import compute, plugins, weights
from ser.core.errors import SerError
from ser.core.files import file_name
from ser.core.recipe import Training
from ser.core.store import Arrays
from ser.core.tasks import Inputs
from ser.corpora import audio
from ser.corpora.manifest import LABEL_RATE
from ser.evaluation import calibration, ensembles
from ser.features import extraction
from ser.packages import contents

SHORTEST = 0.1  # s; ours: one row of continuous labels, and twice what openSMILE needs

Features = dict[str, np.ndarray]  # name of the input -> (T, F), or (F,) at utterance level


class Model:
    """A package that has been loaded.

    `device`: ``auto`` (CUDA when there is one), ``cpu`` or ``cuda``. ``contents`` is what ``ser.yaml`` says. Raises
    `SerError` for a folder that is no sound package.
    """

    def __init__(self, folder: str | Path, device: str = "auto") -> None:
        self.contents = about = contents.read(folder)
        self.parts = [Model(Path(folder) / file_name(part), device) for part in about.parts]
        self.features = {
            name: plugins.build(plugins.load("features", f.feature).Feature, f.values, f"{folder}: {name}")
            for name, f in about.features.items()
        }
        if self.parts:
            self._check_parts(folder)
            return
        self.training = plugins.build(Training, about.training, f"{folder}: training")
        self.classical = hasattr(plugins.load("models", about.model).Model, "fit")
        self.device = "cpu" if self.classical else compute.device(device)
        arrays = weights.load_arrays(Path(folder) / contents.WEIGHTS)
        self.members = {name: self._member(_below(arrays, f"{name}/"), folder) for name in about.members}

    def __call__(self, signal: Any, rate: int) -> Any:
        """The scores of one signal (N,) or (N, channels) at `rate` Hz, in [-1, 1], or a list of them for a list.

        ``[{"label": ..., "score": ...}, ...]``, the most probable class first, or for continuous labels
        ``[{"time": ..., <dimension>: ...}, ...]``, a row every 0.1 s.
        """
        if isinstance(signal, list | tuple):
            return [self(one, rate) for one in signal]
        mono = np.asarray(signal, dtype=np.float32)
        mono = mono.mean(axis=1, dtype=np.float32) if mono.ndim == 2 else mono
        (scores,) = self.predict([self.read(mono, rate)], [len(mono) / rate])
        if self.contents.kind == "continuous":
            names = self.contents.outputs
            return [
                {"time": k / LABEL_RATE, **dict(zip(names, map(float, r), strict=True))} for k, r in enumerate(scores)
            ]
        order = np.argsort(-scores, kind="stable")
        return [{"label": self.contents.outputs[k], "score": float(scores[k])} for k in order]

    def read(self, signal: np.ndarray, rate: int) -> Features:
        """The inputs of the model from a signal (N,) float32 at `rate` Hz.

        The samples are brought to the rate and the 16 bits of the audio that the model was trained on. Raises
        `SerError` for a signal that is too short or not finite, and where a feature is not finite.
        """
        seconds = len(signal) / rate
        if seconds < SHORTEST:
            raise SerError(f"{seconds:.3f} s of audio are too short: at least {SHORTEST} s are needed")
        if not np.isfinite(signal).all():
            raise SerError("audio with NaN or infinite samples")
        samples = audio.to_float(audio.to_int16(audio.resample(signal, rate, self.contents.rate))[0])
        found = {n: extraction.of_signal(f, samples, self.contents.rate) for n, f in self.features.items()}
        for name, rows in found.items():
            if not np.isfinite(rows).all():
                raise SerError(f"{name} is NaN or infinite for these {seconds:.3f} s of audio")
        return found

    def predict(self, inputs: Sequence[Features], seconds: Sequence[float]) -> np.ndarray | list[np.ndarray]:
        """Calibrated probabilities (n, K), or one array (R, D) per signal: the mean over folds and seeds."""
        found = list(self.each(inputs, seconds).values())
        if self.contents.kind == "continuous":
            return [np.mean(each, axis=0) for each in zip(*found, strict=True)]
        if self.contents.temperature is not None:
            found = [calibration.scaled(scores, self.contents.temperature) for scores in found]
        return np.mean(found, axis=0)

    def each(self, inputs: Sequence[Features], seconds: Sequence[float]) -> dict[str, Any]:
        """What `predict` averages, before calibration: scores of each fold and seed, of an ensemble of each fold."""
        if self.parts:
            found = [part.each(inputs, seconds) for part in self.parts]
            return {
                fold: ensembles.mean([[own[name] for name in own if fold_of(name) == fold] for own in found])
                for fold in self.contents.members
            }
        given = self._inputs(inputs, seconds)
        return {name: self._scores(member, given) for name, member in self.members.items()}

    def _check_parts(self, folder: str | Path) -> None:
        """Raises `SerError` unless all parts of an ensemble have its classes and its folds."""
        about = self.contents
        for part in self.parts:
            own = part.contents
            if own.outputs != about.outputs or {fold_of(name) for name in own.members} != set(about.members):
                raise SerError(f"{own.name} has other classes or folds than the ensemble", folder, contents.AGAIN)

    def _inputs(self, inputs: Sequence[Features], seconds: Sequence[float]) -> Inputs:
        ids = tuple(map(str, range(len(inputs))))
        stores = {}
        for name, f in self.contents.features.items():
            card = {"feature": f.feature, "level": f.level, "dim": f.dim}
            stores[name] = Arrays({i: each[name] for i, each in zip(ids, inputs, strict=True)}, card)
        rows = tuple(max(1, round(s * LABEL_RATE)) for s in seconds) if self.contents.kind == "continuous" else ()
        return Inputs(ids, ("",) * len(ids), stores, rows, durations=tuple(seconds))

    def _scores(self, member: Any, inputs: Inputs) -> Any:
        if self.classical:
            return member.scores(inputs)
        from ser.training.normalisation import normalised
        from ser.training.trainer import predict

        model, constants = member
        inputs = normalised(inputs, self.training.normalise, constants)
        return predict(model, inputs, self.training, self.device).values

    def _member(self, arrays: dict[str, np.ndarray], folder: str | Path) -> Any:
        """The model of one fold and seed with its weights; a network with the constants of its normalisation."""
        module = plugins.load("models", self.contents.model)
        config = plugins.build(module.Config, self.contents.config, f"{folder}: config")
        if self.classical:
            model = module.Model(config, self.contents.task, 0)
            model.load_weights(arrays)
            return model
        import torch

        from ser.training.normalisation import NORMALISATION

        constants = _below(arrays, NORMALISATION)
        model = module.Model(config, self.contents.task)
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items() if NORMALISATION not in name}
        weights.check(tensors, model.state_dict(), folder)
        model.load_state_dict(tensors)
        return model.to(self.device).eval(), constants


def load(folder: str | Path, device: str = "auto") -> Model:
    """The model of a package: ``ser.load("folder")(signal, rate)``."""
    return Model(folder, device)


def fold_of(member: str) -> str:
    """The fold of a training that is named after its fold and seed."""
    return member.rpartition("-seed")[0]


def _below(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {key.removeprefix(prefix): a for key, a in arrays.items() if key.startswith(prefix)}
