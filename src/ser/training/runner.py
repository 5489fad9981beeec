"""Runs one experiment: all folds and seeds of one model, in parallel, each written once.

Every (fold, seed) is a job of its own, seeded by its name, so one worker or many give the same bytes. A finished job
lies in checkpoints/<study>/<experiment>/<fingerprint>/<fold>-seed<s>.npz. The fingerprint covers settings, folds,
labels, feature contents and the sources of the model and of the training code: a killed stage continues at the
unfinished fold, and a changed parameter can never pick up an old one.
"""

from __future__ import annotations

import shutil
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from ser import compute, plugins
from ser.corpora import manifest
from ser.errors import SerError
from ser.evaluation import predictions
from ser.files import read_json, write_json
from ser.protocols import audit
from ser.protocols import folds as fold_files
from ser.recipe import Training
from ser.seeds import seed_everything, seed_of
from ser.store import Store
from ser.tasks import Task
from ser.training import costs, memory
from ser.training.batches import macro_recall
from ser.training.controls import STAND_INS, module_of
from ser.training.fingerprint import fingerprint
from ser.training.parts import Job, continuous_labels, examples, parts
from ser.training.results import (
    Result,
    card,
    classification_rows,
    continuous_rows,
    leaky_rows,
    window_rows,
    write_curves,
    write_dev,
    write_windows,
)

CHECKPOINTS = Path("checkpoints")


@dataclass(frozen=True)
class Files:
    """Where an experiment reads and writes; every stage function takes paths, so it runs without DVC too."""

    manifest: Path  # folder with utterances.csv, card.json, and labels.csv for continuous corpora
    folds: Path  # folds CSV; its JSON beside it says what the protocol claims
    features: Mapping[str, Path]  # feature name -> store folder
    predictions: Path
    curves: Path
    card: Path
    cost: Path  # seconds and memory: the one output that differs from run to run
    checkpoints: Path = CHECKPOINTS


def run(settings: Mapping[str, Any], files: Files, execution: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """Trains and predicts every fold and seed of one experiment; writes predictions, curves and card.

    Raises `SerError` on a leak, an unknown label, a missing feature. `execution`: the `run` block of params.yaml, of
    which jobs and backend are used here: they change no number.
    """
    table = manifest.read(files.manifest / "utterances.csv")
    folds, claims = fold_files.read(files.folds), fold_files.read_claims(files.folds)
    audit.audit(folds, table, **claims["claims"], where=str(files.folds))
    task = _task(files)
    module = module_of(settings)
    _check(settings, module)
    device = "cpu" if _is_classical(module) else compute.device(settings["device"])
    folder = (
        files.checkpoints
        / settings["study"]
        / settings["experiment"]
        / fingerprint(settings, files.manifest, files.folds, files.features, device)
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "settings.json", settings)
    labels = continuous_labels(files.manifest, table, task)
    pairs = [(seed, i) for seed in settings["seeds"] for i in range(len(folds))]
    todo = [
        Job(settings, table, labels, task, files.features, folds[i], seed, folder, device, (i, len(folds)), n == 0)
        for n, (seed, i) in enumerate(pairs)
    ]
    _work([j for j in todo if not j.result.exists()], len(todo), dict(execution or {}))
    results = {j.name: Result.read(j.result) for j in todo}
    rows = _all_rows(todo, results)
    predictions.write(rows, files.predictions)
    write_curves(list(results.values()), files.curves)
    write_json(files.card, card(settings, claims, table, task, device, results))
    windowed = [
        window_rows(table, r.utterances or j.fold.test, j.fold.name, j.seed, r, task)
        for j in todo
        if len((r := results[j.name]).votes)
    ]
    write_windows(windowed, files.card.with_name("windows.csv"))
    write_dev([_dev_rows(j, results[j.name]) for j in todo], files.card.with_name("dev.csv"))
    _draw(module, todo[0], results[todo[0].name], files.card.parent)
    write_json(files.cost, costs.total([costs.path(j.result) for j in todo]))
    return rows


def _all_rows(todo: Sequence[Job], results: Mapping[str, Result]) -> pd.DataFrame:
    first = todo[0]
    if first.settings["control"] != "leaky_windows":
        return pd.concat([_rows(j, results[j.name]) for j in todo], ignore_index=True)
    home = {u: j.fold.name for j in todo for u in j.fold.test}
    parts = [
        leaky_rows(first.table, home, seed, [results[j.name] for j in todo if j.seed == seed], first.task)
        for seed in first.settings["seeds"]
    ]
    return pd.concat(parts, ignore_index=True)


def _draw(module: types.ModuleType, job: Job, result: Result, folder: Path) -> None:
    """The model's own figures of its first fold, beside the card."""
    if not result.artefacts or not hasattr(module, "draw"):
        return
    test = job.table.set_index("utterance").loc[list(result.utterances or job.fold.test)].reset_index()
    module.draw(result.artefacts, test, job.task.outputs, folder)


def _check(settings: Mapping[str, Any], module: types.ModuleType) -> None:
    """Values that cannot work stop an experiment before any of its folds is trained."""
    name, where = f"models.{settings['model']}", f"experiments.{settings['experiment']}"
    if settings["control"] in STAND_INS:
        return
    plugins.build(module.Config, settings["config"], name)
    training = plugins.build(Training, settings["training"], f"{name}.training")
    if settings["control"] == "leaky_windows":
        if _is_classical(module) or training.window != "crops":
            raise SerError("control leaky_windows deals windows", f"{where}.control", "It needs training.window: crops")
        if settings["selection"] != "last":
            raise SerError("control leaky_windows has no dev part", f"{where}.selection", "Set selection: last")
    if _is_classical(module):
        if settings["training"]:
            raise SerError(f"{settings['model']} is not trained by the loop", f"{name}.training", "Remove it")
        if settings["selection"] != "last":
            raise SerError(
                f"{settings['model']} chooses its hyper-parameters itself", f"{where}.selection", "Remove it"
            )
    elif getattr(module, "FIXED_LENGTH", False) and training.frames is None:
        hint = "Set the frames of an utterance; papers.md 4.1: 768"
        raise SerError(f"{settings['model']} needs inputs of one length", f"{name}.training.frames", hint)


def _task(files: Files) -> Task:
    stores = {name: Store(path) for name, path in files.features.items()}
    card = read_json(files.manifest / "card.json")
    inputs = {name: int(store.card["dim"]) for name, store in stores.items()}
    levels = {name: str(store.card["level"]) for name, store in stores.items()}
    return Task(card["task"], tuple(card["outputs"]), inputs, levels)


def _work(todo: list[Job], total: int, execution: Mapping[str, Any]) -> None:
    if not todo:
        return
    from joblib import Parallel, delayed, parallel_config

    label, done = str(todo[0].settings["experiment"]), total - len(todo)
    if done:
        print(f"{label}: {done} of {total} folds are already trained and are kept", flush=True)
    n = min(compute.workers(execution, todo[0].device), len(todo))
    backend, threads = execution.get("backend", "loky"), int(todo[0].settings.get("threads", 1))
    bar = tqdm(total=total, initial=done, desc=label, unit="fold", disable=None)
    if n == 1:
        for job in todo:
            _run_job(job, threads)
            bar.update()
    else:
        options = {"inner_max_num_threads": threads} if backend == "loky" else {}
        with parallel_config(backend=backend, n_jobs=n, **options):
            for _ in Parallel(return_as="generator_unordered")(delayed(_run_job)(job, threads) for job in todo):
                bar.update()
    bar.close()


def _run_job(job: Job, threads: int) -> None:
    """Trains one fold with one seed and writes its result; runs in a worker process."""
    from threadpoolctl import threadpool_limits

    watch = costs.Watch(job.device, threads, resumed=(job.folder / job.name).exists())
    module = module_of(job.settings)
    with threadpool_limits(threads):
        result = _classical(job, module) if _is_classical(module) else _torch(job, module, threads)
    watch.write(costs.path(job.result))  # before the result: a finished fold has its cost
    result.write(job.result)
    shutil.rmtree(job.folder / job.name, ignore_errors=True)


def _rows(job: Job, result: Result) -> pd.DataFrame:
    test = job.table.set_index("utterance").loc[list(job.fold.test)].reset_index()
    if isinstance(result.scores, np.ndarray):
        return classification_rows(test, job.fold.name, job.seed, result.scores, job.task)
    truth = [job.labels[u] for u in job.fold.test]
    return continuous_rows(test, job.fold.name, job.seed, result.scores, truth, job.task)


def _dev_rows(job: Job, result: Result) -> pd.DataFrame | None:
    """What the chosen weights predict of the dev part, where labels are continuous: post-processing is fitted to it."""
    if not result.dev:
        return None
    dev = job.table.set_index("utterance").loc[list(job.fold.dev)].reset_index()
    truth = [job.labels[u] for u in job.fold.dev]
    return continuous_rows(dev, job.fold.name, job.seed, result.dev, truth, job.task)


def _is_classical(module: types.ModuleType) -> bool:
    return hasattr(module.Model, "fit")


def _classical(job: Job, module: types.ModuleType) -> Result:
    """scikit-learn style: ``Model(config, task, seed).fit(train, dev) -> history``, ``.scores(inputs) -> (n, K)``."""
    train, dev, test = parts(job)
    model = module.Model(_config(job, module), job.task, seed_of(job.seed, job.fold.name))
    history = model.fit(train, dev)
    return Result(model.scores(test), history, dict(getattr(model, "notes", {})))


def _config(job: Job, module: types.ModuleType) -> Any:
    control = job.settings["control"]
    if control in STAND_INS:
        return module.Config() if control == "majority" else module.Config(control)
    return plugins.build(module.Config, job.settings["config"], f"models.{job.settings['model']}")


def _torch(job: Job, module: types.ModuleType, threads: int) -> Result:
    import torch

    from ser.training.trainer import Trainer

    memory.keep()
    torch.set_num_threads(threads)
    compute.deterministic()
    train, dev, test = parts(job)
    settings = job.settings
    training = plugins.build(Training, settings["training"], f"models.{settings['model']}.training")
    seed = seed_of(job.seed, job.fold.name)
    seed_everything(seed_of(seed, "initial"))
    trainer = Trainer(
        module.Model(_config(job, module), job.task),
        training,
        selection=settings["selection"],
        seed=seed,
        device=job.device,
        bfloat16=compute.bfloat16(settings["precision"], job.device),
        folder=job.folder / job.name,
        label=f"{settings['experiment']} {job.name}",
    )
    history = trainer.fit(train, dev, test if settings["selection"] == "test_oracle" else None)
    parameters = sum(p.numel() for p in trainer.model.parameters())
    notes = {
        "parameters": parameters,
        "best_step": trainer.loop.progress.best_step,
        **getattr(trainer.model, "notes", {}),
    }
    if settings["selection"] == "test_oracle":
        truth = np.asarray(examples(job, job.fold.test, "test").labels)
        return Result(_oracle(trainer.snapshots, truth), history, notes)
    scores = trainer.predict(test)
    result = Result(scores.values, history, notes, artefacts=trainer.artefacts(test) if job.first else {})
    if scores.votes is not None:
        result = replace(result, votes=scores.votes)
    if dev is not None and dev.rows:
        result = replace(result, dev=trainer.predict(dev.unlabelled()).values)
    return replace(result, utterances=test.utterances) if test.windows is not None else result


def _oracle(snapshots: list[np.ndarray], truth: np.ndarray) -> np.ndarray:
    """Scores of the evaluation that is best on TEST: what selecting on test would have reported. Labelled as biased."""
    return max(snapshots, key=lambda scores: macro_recall(truth, scores.argmax(1), scores.shape[1]))
