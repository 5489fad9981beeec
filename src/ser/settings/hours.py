"""GPU hours of a study at the paper's size, estimated before anything runs: operations by papers.md 8, and rates that
nobody has measured. They tell hours from weeks, and no more.

A MAC is a multiply-add, two operations. A step of a training costs three times the forward pass.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from ser.core import plugins
from ser.core.recipe import Training
from ser.pretraining.settings import Settings
from ser.settings import experiments
from ser.settings.schema import Experiment, Study


class Load(NamedTuple):
    """What an example of a model costs at the paper's size."""

    macs: float  # of the forward pass
    rate: float  # operations per second that a current GPU may sustain: ours, not measured
    per_row: bool = False  # an example costs `macs` for each of `training.frames` rows


LOADS = {
    "cnns": Load(0.8e9, 30e12),  # of the layers of papers.md 4.2
    "fusion_convbert": Load(20e9, 30e12),  # papers.md 8
    "emotion_autoencoder": Load(1.5e9, 10e12),  # papers.md 8; small layers and recurrences fill a GPU badly
    "clstm": Load(0.79e9, 1e12, per_row=True),  # papers.md 6.3: 6.3 GMAC for 8 segments, one after the other
    "semantic": Load(1.4e9, 1e12),  # of the layers of papers.md 7.1, for a block of 10 s
}
PRETRAINING = Load(3e17 / 6 / 500_000, 30e12)  # papers.md 8: 3e17 operations in 500 000 steps
SECONDS = {"emodb": 2.8, "ravdess": 3.7, "iemocap": 4.3, "sewa": 165.0}  # papers.md 1: mean length of a recording
FOLDS = {"partitions": 1, "speaker_dependent_holdout": 1, "leave_one_session_out": 5}
BY_SPEAKER = ("leave_one_speaker_out", "speaker_independent")


def lines(study: Study) -> list[str]:
    """A line per pretraining and per model and corpus, and their sum; nothing for a study that is smaller."""
    sums: dict[str, list[float]] = {}
    for item in study.all_experiments.values():
        if (item.size or study.defaults.size) != "paper" or item.model not in LOADS or item.control == "majority":
            continue
        count = _folds(study, item) * len(item.seeds or study.defaults.seeds)
        row = sums.setdefault(f"{item.model} on {item.corpus}", [0, 0, 0.0])
        row[0], row[1], row[2] = row[0] + 1, row[1] + count, row[2] + count * _hours(study, item)
    if not sums:
        return []
    encoders = {name: _pretraining_hours(block.values) for name, block in study.pretraining.items()}
    rows = [f"  pretraining {name}: {hours:.1f} h" for name, hours in encoders.items()]
    rows += [f"  {key}: {n:g} experiments, {k:g} trainings, {hours:.1f} h" for key, (n, k, hours) in sums.items()]
    total = sum(encoders.values()) + sum(row[2] for row in sums.values())
    head = "GPU hours at most, an estimate by rates that nobody has measured (docs/gpu.md):"
    return [head, *rows, f"  together: {total:.0f} h"]


def _pretraining_hours(values: dict[str, Any]) -> float:
    steps = int(values.get("steps", Settings.steps))
    return 6 * PRETRAINING.macs * steps / PRETRAINING.rate / 3600


def _hours(study: Study, item: Experiment) -> float:
    """Of one training, without early stopping."""
    training = plugins.build(Training, experiments.training(study, item), "training")
    load = LOADS[item.model]
    each = load.macs * ((training.frames or 1) if load.per_row else 1)
    if training.steps is not None:
        examples = float(training.steps * training.batch)
    else:
        examples = (training.epochs or 0) * _utterances(study, item.corpus) * _windows(study, item, training)
    return 6 * each * examples / load.rate / 3600


def _windows(study: Study, item: Experiment, training: Training) -> int:
    """Examples of a recording of mean length."""
    if training.window not in ("crops", "blocks") or not training.frames:
        return 1
    block = study.features[f"{item.corpus}-{item.feature}"]
    feature = plugins.build(plugins.parameters("features", block.feature), block.values, "features")
    frames = SECONDS.get(study.formats(item.corpus)[0], 0.0) * feature.frame_rate
    if training.window == "blocks":
        return max(1, math.ceil(frames / training.frames))
    return max(1, math.ceil((frames - training.frames) / training.crop_hop) + 1)


def _folds(study: Study, item: Experiment) -> int:
    block = study.folds[f"{item.corpus}-{item.folds}"]
    if block.protocol in BY_SPEAKER:
        return int(_card(study, item.corpus).speakers or 1)
    config = plugins.build(plugins.parameters("protocols", block.protocol), block.values, "folds")
    return int(getattr(config, "n_folds", FOLDS.get(block.protocol, 1)))


def _utterances(study: Study, corpus: str) -> int:
    return int(_card(study, corpus).utterances or 0)


def _card(study: Study, corpus: str) -> Any:
    block, module = study.corpora[corpus], plugins.load("corpora", study.formats(corpus)[0])
    options = plugins.build(module.Config, block.reader, f"corpora.{corpus}.reader")
    return module.expected(options) if hasattr(module, "expected") else module.CARD
