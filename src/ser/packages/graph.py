"""``model.onnx``: the networks of a package as one graph, which onnxruntime alone can run.

The graph takes the features of recordings of one length, as the package extracts them, and gives the scores of the
package. It holds all that comes between: normalisation, windows, the networks of all folds and seeds, softmax,
temperature and the mean. openSMILE and the spectrograms stay outside.

Letters: B recordings, T frames, F columns of a feature, W windows of a recording, L frames of one, K classes.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ser.core import plugins
from ser.core.errors import SerError
from ser.core.tasks import Batch
from ser.evaluation import calibration
from ser.packages import contents
from ser.packages.contents import Graph
from ser.packages.model import Model
from ser.training.normalisation import FLOOR, FRAMES_ONLY

TOLERANCE = 1e-4  # largest difference of a score from that of the package
# Seconds of the signals that are compared, and how many recordings a batch has. Ours: below and above what most windows
# hold, and a batch of one and of several, which an exporter may treat differently.
LENGTHS = {1.0: 1, 9.0: 3}
SCORES = "scores"  # the output
MISSING = "Install the extra onnx, in the repository: pip install --editable '.[onnx]'"


def refusal(model: str, training: Mapping[str, Any]) -> str:
    """Why a model has no graph; empty where it may have one. `training`: the values of its training."""
    module = plugins.load("models", model)
    if hasattr(module.Model, "fit"):
        return f"{model} is not a neural network"
    if getattr(module, "TASK", "classification") == "continuous" or training.get("window") == "blocks":
        return "its labels are continuous, and are joined from blocks of a recording"
    return str(getattr(module, "NO_GRAPH", ""))


def export(folder: Path, where: str) -> Graph:
    """Writes ``model.onnx`` into the folder of a package, and says what it takes and gives.

    Raises `SerError` when the libraries are missing, when a model cannot be exported, and when the graph gives other
    scores than the package (`TOLERANCE`); `where` is the key that asked for the graph.
    """
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise SerError("the libraries for ONNX are not installed", where, MISSING) from error
    model, path = Model(folder, "cpu"), folder / contents.GRAPH
    try:
        with _quiet():
            _save(model, path)
    except Exception as error:  # the exporter raises errors of all kinds
        what = f"model {model.contents.model} cannot be exported: {_reason(error)}"
        raise SerError(what, where, "Leave the graph out: onnx: false") from error
    _compare(path, model, where)
    shapes: dict[str, tuple[str | int, ...]] = {
        name: ("batch", "time", f.dim) if f.level == "frame" else ("batch", f.dim)
        for name, f in model.contents.features.items()
    }
    return Graph(shapes, {SCORES: ("batch", len(model.contents.outputs))}, _included(model), contents.digest(path))


def _save(model: Model, path: Path) -> None:
    features = model.read(_signal(min(LENGTHS), model.contents.rate), model.contents.rate)
    inputs = tuple(torch.from_numpy(np.stack([array] * 2)) for array in features.values())
    program = torch.onnx.export(
        Network(model).eval(),
        inputs,
        dynamo=True,
        verbose=False,
        input_names=list(features),
        output_names=[SCORES],
        dynamic_shapes={"inputs": tuple(_dynamic(x) for x in inputs)},
    )
    assert program is not None
    about = {"labels": json.dumps(model.contents.outputs), "package": model.contents.name}
    program.model.metadata_props.update(about)
    program.save(path, external_data=False)


class Network(nn.Module):
    """The features of B recordings of one length, each (B, T, F) or (B, F) -> the scores of the package (B, K)."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.recipe, self.temperature = model.training, model.contents.temperature
        self.levels = {name: f.level for name, f in model.contents.features.items()}
        self.networks = nn.ModuleList(network for network, _ in model.members.values())
        self.constants = [{k: torch.from_numpy(v) for k, v in own.items()} for _, own in model.members.values()]

    def forward(self, *inputs: Tensor) -> Tensor:
        named = dict(zip(self.levels, inputs, strict=True))
        found = [self._scores(*one, named) for one in zip(self.networks, self.constants, strict=True)]
        return torch.stack(found).mean(0).float()

    def _scores(self, network: nn.Module, constants: Mapping[str, Tensor], inputs: Mapping[str, Tensor]) -> Tensor:
        scaled = {name: self._normalised(name, x, constants) for name, x in inputs.items()}
        batch, windows = self._batch(scaled)
        scores = network(batch).logits.double().softmax(1)  # (B W, K)
        scores = scores.unflatten(0, (-1, windows)).mean(1)
        if self.temperature is None:
            return scores
        return (scores.clamp(min=calibration.FLOOR).log() / self.temperature).softmax(1)

    def _normalised(self, name: str, x: Tensor, constants: Mapping[str, Tensor]) -> Tensor:
        """As `ser.training.normalisation`, on tensors."""
        mode = self.recipe.normalise
        if mode == "none" or (mode in FRAMES_ONLY and self.levels[name] == "utterance"):
            return x
        x = x.double()
        if mode == "train":
            mean, deviation = constants[name]
        else:
            mean = x.mean(1, keepdim=True)
            deviation = x.std(1, keepdim=True, unbiased=False) if mode == "utterance" else constants[name][1]
        return ((x - mean) / (deviation + FLOOR)).float()

    def _batch(self, inputs: Mapping[str, Tensor]) -> tuple[Batch, Any]:
        """The windows of all recordings, those of one recording side by side, and W, their number in each."""
        recipe, made, lengths, windows = self.recipe, {}, {}, cast(Any, 1)
        frames = [x for name, x in inputs.items() if self.levels[name] == "frame"]
        starts = self._starts(frames[0].shape[1]) if frames else None
        if starts is not None:
            windows = starts.shape[0]
        for name, x in inputs.items():
            if self.levels[name] == "utterance":
                made[name] = x if starts is None else x[:, None].expand(-1, windows, -1).flatten(0, 1)
            elif starts is None:
                least = recipe.frames or 0
                lengths[name] = Lengths(torch.ones_like(x[..., 0], dtype=torch.long).sum(1), x.shape[1])
                made[name] = functional.pad(x, (0, 0, 0, torch.sym_max(least - x.shape[1], 0))) if least else x
            else:
                made[name], lengths[name] = _cut(x, starts, cast(int, recipe.frames))
        known = cast(Any, lengths)
        return Batch(made, known, None, known=known), windows

    def _starts(self, T: int) -> Tensor | None:
        """Where the windows start, (W,); None where the whole recording is one. As `ser.training.windows`."""
        L, hop = self.recipe.frames, self.recipe.crop_hop
        if L is None or self.recipe.window == "random_crop":
            return None
        last = torch.sym_max(T - L, 0)
        if self.recipe.window == "whole":
            return torch.arange(1) + last // 2
        return (torch.arange((last + hop - 1) // hop + 1) * hop).clamp(max=last)


class Lengths:
    """Valid frames (B,) of a batch of tensors of `frames` frames.

    A graph cannot make a tensor shorter by a number that it computes, so where a model asks for the greatest length, to
    leave out what is padding in all of a batch, it gets all frames. That changes no valid frame.
    """

    def __init__(self, values: Tensor, frames: int) -> None:
        self.values, self.frames, self.device = values, frames, values.device

    def max(self) -> int:
        return self.frames

    def __getitem__(self, key: Any) -> Tensor:
        return self.values[key]


def _cut(x: Tensor, starts: Tensor, L: int) -> tuple[Tensor, Lengths]:
    """(B, T, F), (W,) -> (B W, L, F), zero after the end of a recording, and the valid frames of each window."""
    at = starts[:, None] + torch.arange(L)  # (W, L)
    valid = at < x.shape[1]
    pieces = x[:, at.clamp(max=x.shape[1] - 1).flatten()] * valid.flatten()[:, None]
    pieces = pieces.unflatten(1, (starts.shape[0], L)).flatten(0, 1)
    return pieces, Lengths(valid.sum(1).repeat(x.shape[0]), L)


def _dynamic(x: Tensor) -> dict[int, str]:
    """The names of the dimensions that may have any size."""
    return {0: "batch", 1: "time"} if x.ndim == 3 else {0: "batch"}


def _compare(path: Path, model: Model, where: str) -> None:
    """Raises `SerError` when graph and package differ, at two lengths."""
    import onnxruntime

    session, rate = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]), model.contents.rate
    for seconds, number in LENGTHS.items():
        features = model.read(_signal(seconds, rate), rate)
        batch = [{k: array * np.float32(1 - 0.1 * i) for k, array in features.items()} for i in range(number)]
        (found,) = session.run([SCORES], {name: np.stack([each[name] for each in batch]) for name in features})
        difference = float(np.abs(found - model.predict(batch, [seconds] * number)).max())
        if not difference <= TOLERANCE:
            what = f"the scores of {contents.GRAPH} differ from those of the package by {difference:.1e}"
            raise SerError(f"{what}, at most {TOLERANCE:.0e} is allowed", where, "Leave the graph out: onnx: false")


def _signal(seconds: float, rate: int) -> np.ndarray:
    """Something like a voice: harmonics of a gliding pitch in syllables, with pauses and a little noise; (N,)."""
    t = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(130 + 30 * np.sin(2 * np.pi * 0.7 * t)) / rate
    voice = np.add.reduce([np.sin(k * phase) / k for k in range(1, 15)])
    syllables = np.clip(np.sin(2 * np.pi * 3 * t), 0, None)
    noise = np.random.default_rng(0).normal(size=len(t))
    return (0.1 * voice * syllables + 0.002 * noise).astype(np.float32)


def _included(model: Model) -> str:
    """What the graph does besides the networks."""
    recipe, about = model.training, model.contents
    normalised = "no normalisation" if recipe.normalise == "none" else f"the normalisation ({recipe.normalise})"
    parts = [normalised]
    if recipe.frames:
        window = {"crops": "crops", "whole": "one centred window"}.get(recipe.window, "whole recordings")
        parts.append(f"{window} of {'at least ' * (recipe.window == 'random_crop')}{recipe.frames} frames")
    parts.append("softmax" if about.temperature is None else f"softmax, the temperature {about.temperature:.2f}")
    return f"{', '.join(parts)} and the mean over {len(about.members)} trained networks"


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter reports of its own work."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _reason(error: BaseException) -> str:
    """The first line of the innermost cause."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
