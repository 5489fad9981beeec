"""One fold and seed of an experiment, and the examples of its parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser import plugins
from ser.corpora.manifest import LABEL_RATE
from ser.errors import SerError
from ser.protocols.folds import Fold
from ser.recipe import Training
from ser.seeds import seed_of
from ser.store import Store
from ser.tasks import Examples, Inputs, Task, class_indices
from ser.training import windows


@dataclass(frozen=True)
class Job:
    """One fold and seed, with all a worker needs; stores are opened in the worker."""

    settings: Mapping[str, Any]
    table: pd.DataFrame  # the manifest
    labels: Mapping[str, np.ndarray]  # continuous corpora: utterance -> (rows, D)
    task: Task
    features: Mapping[str, Path]
    fold: Fold
    seed: int
    folder: Path
    device: str
    place: tuple[int, int] = (0, 1)  # which fold of how many
    first: bool = False  # the fold and seed whose figures are kept

    @property
    def name(self) -> str:
        return f"{self.fold.name}-seed{self.seed}"

    @property
    def result(self) -> Path:
        return self.folder / f"{self.name}.npz"


def parts(job: Job) -> tuple[Examples, Examples | None, Inputs]:
    """Training and dev examples, and test inputs without labels."""
    if job.settings["control"] == "leaky_windows":
        train, test = leaky(job)
        return train, None, test
    train = examples(job, job.fold.train, "train")
    if job.settings["control"] == "shuffled_labels":
        shuffled = np.random.default_rng(seed_of(job.seed, job.fold.name, "shuffled")).permutation(len(train))
        labels = (
            train.labels[shuffled] if isinstance(train.labels, np.ndarray) else _shuffle_rows(train.labels, shuffled)
        )
        train = replace(train, labels=labels)
    dev = examples(job, job.fold.dev, "dev") if job.fold.dev else None
    return train, dev, examples(job, job.fold.test, "test").unlabelled()


def examples(job: Job, ids: tuple[str, ...], part: str) -> Examples:
    rows = job.table.set_index("utterance").loc[list(ids)]
    stores = {name: Store(path) for name, path in job.features.items()}
    if job.task.kind == "classification":
        classes = class_indices(list(rows["emotion"]), job.task.outputs, f"{job.name}, {part}")
        return Examples(ids, tuple(rows["speaker"]), stores, (), classes, durations=tuple(rows["duration"]))
    labels = [job.labels[u] for u in ids]
    unlabelled = [u for u, label in zip(ids, labels, strict=True) if np.isnan(label).any()]
    if unlabelled and part != "test":
        raise SerError(f"recording {unlabelled[0]} has no labels but is in the {part} part", job.name)
    counts = tuple(map(len, labels))
    return Examples(ids, tuple(rows["speaker"]), stores, counts, labels, durations=tuple(rows["duration"]))


def leaky(job: Job) -> tuple[Examples, Inputs]:
    """The deliberate mistake (papers.md 8): utterances are cut into windows first and the windows then dealt to the
    folds at random, so that every test window has neighbours of its own utterance in training."""
    everything = examples(job, (*job.fold.train, *job.fold.dev, *job.fold.test), "leaky")
    everything = _sorted(everything)
    training = plugins.build(Training, job.settings["training"], f"models.{job.settings['model']}.training")
    made = windows.fixed(everything, training)
    own, count = job.place
    dealt = np.random.default_rng(seed_of(job.seed, "leaky")).permutation(len(made)) % count
    train = replace(everything, windows=tuple(w for w, f in zip(made, dealt, strict=True) if f != own))
    test = [w for w, f in zip(made, dealt, strict=True) if f == own]
    kept = sorted({w.utterance for w in test})
    position = {u: i for i, u in enumerate(kept)}
    inputs = Inputs(
        tuple(everything.utterances[u] for u in kept),
        tuple(everything.speakers[u] for u in kept),
        everything.stores,
        (),
        windows=tuple(w._replace(utterance=position[w.utterance]) for w in test),
    )
    return train, inputs


def _sorted(part: Examples) -> Examples:
    """By id, so that every fold deals the same windows."""
    order = sorted(range(len(part)), key=part.utterances.__getitem__)

    def pick(values: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(values[i] for i in order)

    return replace(
        part,
        utterances=pick(part.utterances),
        speakers=pick(part.speakers),
        durations=pick(part.durations),
        labels=np.asarray(part.labels)[order],
    )


def _shuffle_rows(labels: Sequence[np.ndarray], shuffled: np.ndarray) -> list[np.ndarray]:
    """Each recording gets another one's labels, repeated or cut to its own number of rows."""
    return [np.resize(labels[j], labels[i].shape) for i, j in enumerate(shuffled)]


def continuous_labels(folder: Path, table: pd.DataFrame, task: Task) -> dict[str, np.ndarray]:
    """utterance -> (rows, D) from the manifest folder's labels.csv, NaN where the corpus gives none (test labels that
    the organisers keep); empty for classification."""
    if task.kind == "classification":
        return {}
    found = pd.read_csv(folder / "labels.csv", dtype={"utterance": str})
    columns = list(task.outputs)
    labels = {str(u): part[columns].to_numpy(dtype=np.float32) for u, part in found.groupby("utterance", sort=False)}
    for row in table[~table["utterance"].isin(list(labels))].itertuples():
        labels[row.utterance] = np.full((round(row.duration * LABEL_RATE), len(columns)), np.nan, dtype=np.float32)
    return labels
