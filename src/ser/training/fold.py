"""Trains one fold of an experiment with one seed: its examples, the model, the training, the scores of the test part.

This module and its imports are the code that a fold's result depends on. What writes predictions, curves and cards is
in `ser.training.experiment`, which is not imported from here.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ser.core import compute, plugins
from ser.core.errors import SerError, TrainingError, warn
from ser.core.files import file_name, read_csv, read_json
from ser.core.recipe import Training
from ser.core.seeds import seed_everything, seed_of
from ser.core.store import Store
from ser.core.tasks import UNLABELLED, Examples, Inputs, Task, class_indices
from ser.corpora.manifest import LABEL_RATE
from ser.protocols.folds import Fold
from ser.training import controls, windows
from ser.training.normalisation import NORMALISATION, TRANSDUCTIVE, fitted, normalised
from ser.training.result import Result
from ser.training.scores import Scores, judge

if TYPE_CHECKING:
    from ser.training.trainer import Trainer


@dataclass(frozen=True)
class Data:
    """What all folds of an experiment read. Stores are opened by the workers."""

    table: pd.DataFrame  # the manifest
    labels: Mapping[str, np.ndarray]  # continuous corpora: utterance -> (rows, D)
    task: Task
    features: Mapping[str, Path]  # name of the input -> store folder
    speaker_independent: bool = True  # what the folds claim

    @classmethod
    def read(
        cls, table: pd.DataFrame, manifest: Path, features: Mapping[str, Path], speaker_independent: bool = True
    ) -> Data:
        """From the table of a manifest, the folder it is from, and the stores of its features."""
        card = read_json(manifest / "card.json")
        stores = {name: Store(path).verify() for name, path in features.items()}
        columns = {name: int(store.card["dim"]) for name, store in stores.items()}
        levels = {name: str(store.card["level"]) for name, store in stores.items()}
        task = Task(card["task"], tuple(card["outputs"]), columns, levels)
        labels = {} if task.kind == "classification" else continuous_labels(manifest, table, task.outputs)
        return cls(table, labels, task, features, speaker_independent)


@dataclass(frozen=True)
class Job:
    """One fold with one seed, and all that a worker needs to train it."""

    settings: Mapping[str, Any]
    data: Data
    fold: Fold
    seed: int
    folder: Path  # of the results of the experiment
    device: str
    place: tuple[int, int] = (0, 1)  # the number of the fold, and how many there are
    first: bool = False  # whether the model's artefacts are kept

    @property
    def name(self) -> str:
        return f"{self.fold.name}-seed{self.seed}"

    @property
    def result(self) -> Path:
        """The file of the finished result."""
        return self.folder / f"{file_name(self.name)}.npz"

    @property
    def failure(self) -> Path:
        """The file that says why its last training failed by itself."""
        return self.result.with_suffix(".failed.json")

    @property
    def running(self) -> Path:
        """The folder of its checkpoint while it is trained."""
        return self.folder / file_name(self.name)


def train(job: Job) -> Result:
    """Trains the model of a job and predicts its test part."""
    module = controls.module_of(job.settings)
    with compute.threads(int(job.settings["threads"])):
        return _classical(job, module) if is_classical(module) else _network(job, module)


def is_classical(module: types.ModuleType) -> bool:
    """Whether a model is trained in the style of scikit-learn, and not by the loop."""
    return hasattr(module.Model, "fit")


def training_of(settings: Mapping[str, Any]) -> Training:
    return plugins.build(Training, settings["training"], f"models.{settings['model']}.training")


def _classical(job: Job, module: types.ModuleType) -> Result:
    """``Model(config, task, seed).fit(train, dev) -> history``, ``.scores(inputs) -> (n, K)`` and ``.weights()``."""
    train_part, dev, test = split(job)
    seed = seed_of(job.seed, job.fold.name) % 2**32  # scikit-learn takes 32 bits
    model = module.Model(controls.config_of(job.settings, module), job.data.task, seed)
    history = model.fit(train_part, dev)
    notes, weights = dict(getattr(model, "notes", {})), model.weights() if hasattr(model, "weights") else {}
    return Result(model.scores(test), history, notes, weights=weights)


def _network(job: Job, module: types.ModuleType) -> Result:
    compute.deterministic()
    oracle, training = job.settings["selection"] == "test_oracle", training_of(job.settings)
    train_part, dev, test = split(job)
    constants = fitted(train_part, training.normalise)
    dev = normalised(dev, training.normalise, constants) if dev else None
    test = normalised(test, training.normalise, constants)
    train_part = normalised(train_part, training.normalise, constants)
    arithmetic = compute.arithmetic(job.settings["precision"], job.device)
    trainer, notes = _fitted(job, module, arithmetic, (train_part, dev, test if oracle else None))
    history, model = trainer.loop.progress.history, trainer.model
    if job.device != "cpu":  # bytes: some gradients on a GPU are summed in an order that varies
        notes |= {"arithmetic": arithmetic, "repeats_to_the_byte": False}
    if training.normalise in TRANSDUCTIVE:
        notes["transductive"] = True
    if oracle:
        return Result(_best_on_test(trainer.snapshots, examples(job, job.fold.test, "test"), job.name), history, notes)
    scores = trainer.predict(test)
    weights = {name: tensor.cpu().numpy() for name, tensor in model.state_dict().items()}
    weights |= {f"{NORMALISATION}{name}": array for name, array in constants.items()}
    artefacts = trainer.artefacts(test) if job.first else {}
    result = Result(scores.values, history, notes, artefacts=artefacts, weights=weights)
    if scores.votes is not None:
        result = replace(result, votes=scores.votes)
    if dev is not None and dev.rows:
        result = replace(result, dev=trainer.predict(dev.unlabelled()).values)
    return replace(result, utterances=test.utterances) if test.windows is not None else result


def _fitted(
    job: Job, module: types.ModuleType, arithmetic: str, parts: tuple[Examples, Examples | None, Inputs | None]
) -> tuple[Trainer, dict[str, Any]]:
    """The trained model of a job, and notes of it. Where the training fails and the module has ``fallback(config)``, it
    starts again with the configuration that this gives, from the same initial weights."""
    config, notes = controls.config_of(job.settings, module), {}
    trainer = _trainer(job, module, config, arithmetic, job.running)
    try:
        trainer.fit(*parts)
    except TrainingError as error:
        other = module.fallback(config) if hasattr(module, "fallback") else None
        if other is None:
            raise
        notes["fallback"] = error.what
        warn(f"{error.what}: the training starts again with its fallback", trainer.loop.label)
        # a folder of its own: a stopped run finds out again that the first training failed, and then continues this one
        trainer = _trainer(job, module, other, arithmetic, job.running / "fallback")
        trainer.fit(*parts)
    model = trainer.model
    made = {"parameters": sum(p.numel() for p in model.parameters()), "best_step": trainer.loop.progress.best_step}
    return trainer, {**made, **getattr(model, "notes", {}), **notes}


def _trainer(job: Job, module: types.ModuleType, config: Any, arithmetic: str, folder: Path) -> Trainer:
    from ser.training.trainer import Trainer

    settings, task, seed = job.settings, job.data.task, seed_of(job.seed, job.fold.name)
    seed_everything(seed_of(seed, "initial"))
    model = module.Model(config, task)
    if settings.get("pretrained"):
        model.load_pretrained(Path(settings["pretrained"]))
    return Trainer(
        model,
        training_of(settings),
        selection=settings["selection"],
        seed=seed,
        device=job.device,
        bfloat16=arithmetic == "bfloat16",
        folder=folder,
        label=f"{settings['experiment']} {job.name}",
        classes=len(task.outputs) if task.kind == "classification" else 0,
    )


def _best_on_test(snapshots: list[Any], test: Examples, where: str) -> Any:
    """Scores of the evaluation that is best on TEST: what selecting on test would have reported, labelled as biased.

    Raises `SerError` when no utterance of the test part has a label.
    """
    classes = isinstance(test.labels, np.ndarray)
    known = [i for i, y in enumerate(test.labels) if (y != UNLABELLED if classes else not np.isnan(y).any())]
    if not known:
        hint = "Set selection: dev or last"
        raise SerError("selection test_oracle chooses by the labels of the test part, and there are none", where, hint)

    def score(snapshot: Any) -> float:
        pick = (lambda x: x[known]) if classes else (lambda x: [x[i] for i in known])
        return judge(Scores(pick(snapshot)), replace(test, labels=pick(test.labels)))["dev_score"]

    return max(snapshots, key=score)


def split(job: Job) -> tuple[Examples, Examples | None, Inputs]:
    """Training and dev examples, and test inputs without labels."""
    if job.settings["control"] == "leaky_windows":
        train_part, test = leaky(job)
        return train_part, None, test
    train_part = examples(job, job.fold.train, "train")
    if job.settings["control"] == "shuffled_labels":
        shuffled = np.random.default_rng(seed_of(job.seed, job.fold.name, "shuffled")).permutation(len(train_part))
        labels = train_part.labels
        labels = labels[shuffled] if isinstance(labels, np.ndarray) else _shuffle_rows(labels, shuffled)
        train_part = replace(train_part, labels=labels)
    dev = examples(job, job.fold.dev, "dev") if job.fold.dev else None
    return train_part, dev, examples(job, job.fold.test, "test").unlabelled()


def examples(job: Job, ids: tuple[str, ...], part: str) -> Examples:
    """Utterances with labels. Raises `SerError` for a recording without labels outside the test part."""
    data = job.data
    rows = data.table.set_index("utterance").loc[list(ids)]
    stores = {name: Store(path) for name, path in data.features.items()}
    speakers, about = tuple(rows["speaker"]), {"durations": tuple(rows["duration"]), "corpora": tuple(rows["corpus"])}
    about["groups"] = speakers if data.speaker_independent else tuple(rows["pcm"].where(rows["pcm"] != "", rows.index))
    labels: Any
    lengths: tuple[int, ...] = ()
    if data.task.kind == "classification":
        labels = class_indices(list(rows["emotion"]), data.task.outputs, f"{job.name}, {part}")
        unlabelled = [ids[i] for i in np.flatnonzero(labels == UNLABELLED)]
    else:
        labels = [data.labels[u] for u in ids]
        unlabelled = [u for u, label in zip(ids, labels, strict=True) if np.isnan(label).any()]
        lengths = tuple(map(len, labels))
    if unlabelled and part != "test":
        hint = "Use the protocol partitions, and put what has no labels into partition test"
        raise SerError(f"recording {unlabelled[0]} has no labels but is in the {part} part", job.name, hint)
    return Examples(ids, speakers, stores, lengths, labels, **about)


def leaky(job: Job) -> tuple[Examples, Inputs]:
    """The deliberate mistake (papers.md 8): utterances are cut into windows first, and the windows are then assigned to
    the folds at random, so that every test window has neighbours from its own utterance in training.
    """
    everything = _sorted(examples(job, (*job.fold.train, *job.fold.dev, *job.fold.test), "leaky"))
    made = windows.fixed(everything, training_of(job.settings))
    own, count = job.place
    folds = np.random.default_rng(seed_of(job.seed, "leaky")).permutation(len(made)) % count
    train_part = replace(everything, windows=tuple(w for w, f in zip(made, folds, strict=True) if f != own))
    test = [w for w, f in zip(made, folds, strict=True) if f == own]
    kept = sorted({w.utterance for w in test})
    position = {u: i for i, u in enumerate(kept)}
    inputs = Inputs(
        tuple(everything.utterances[u] for u in kept),
        tuple(everything.speakers[u] for u in kept),
        everything.stores,
        (),
        corpora=tuple(everything.corpora[u] for u in kept),
        windows=tuple(w._replace(utterance=position[w.utterance]) for w in test),
    )
    return train_part, inputs


def _sorted(everything: Examples) -> Examples:
    """By id, so that every fold assigns the same windows."""
    order = sorted(range(len(everything)), key=everything.utterances.__getitem__)

    def pick(values: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(values[i] for i in order)

    return replace(
        everything,
        utterances=pick(everything.utterances),
        speakers=pick(everything.speakers),
        durations=pick(everything.durations),
        groups=pick(everything.groups),
        corpora=pick(everything.corpora),
        labels=np.asarray(everything.labels)[order],
    )


def _shuffle_rows(labels: Sequence[np.ndarray], shuffled: np.ndarray) -> list[np.ndarray]:
    """Each recording gets the labels of another one, repeated or cut to its own number of rows."""
    return [np.resize(labels[j], labels[i].shape) for i, j in enumerate(shuffled)]


def continuous_labels(manifest: Path, table: pd.DataFrame, dimensions: Sequence[str]) -> dict[str, np.ndarray]:
    """utterance -> (rows, D) from labels.csv in the manifest's folder, NaN where the corpus gives no labels (those of
    the test part that the organisers keep).
    """
    found = read_csv(manifest / "labels.csv", dtype={"utterance": str})
    labels = {
        str(u): rows[list(dimensions)].to_numpy(dtype=np.float32) for u, rows in found.groupby("utterance", sort=False)
    }
    for row in table[~table["utterance"].isin(list(labels))].itertuples():
        labels[row.utterance] = np.full((round(row.duration * LABEL_RATE), len(dimensions)), np.nan, dtype=np.float32)
    return labels
