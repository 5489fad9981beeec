"""Runs an experiment: all folds with all seeds of one model, in parallel, each trained once.

Every fold with a seed is a job of its own, seeded by its name, so one worker or many give the same bytes. A finished
job is the file checkpoints/<study>/<experiment>/<fingerprint>/<fold>-seed<s>.npz. The fingerprint covers everything
that the result depends on, so a stopped stage continues with the folds that are missing, and a change never picks up
an old result.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from ser.core import caching
from ser.core.errors import SerError, TrainingError, end_with_parent, warn
from ser.core.files import claim, file_name, read_json, remove, set_aside, write_json
from ser.core.store import Store
from ser.core.tasks import UNLABELLED
from ser.corpora import manifest
from ser.evaluation.metrics import macro_recall
from ser.protocols import audit
from ser.protocols import folds as fold_files
from ser.protocols.folds import Fold
from ser.training import controls, costs, fold, gpus, outputs, workers
from ser.training.fold import Data, Job
from ser.training.result import Result

# Settings that are in no number: names, seeds (each has results of its own), paths whose contents count instead, and
# digests of more code than a fold's. Everything else that the settings hold counts.
_NO_NUMBERS = ("study", "experiment", "seeds", "pretrained", "words", "code", "versions", "paper")


@dataclass(frozen=True)
class Files:
    """Where an experiment reads and writes."""

    manifest: Path  # folder with utterances.csv, card.json, and labels.csv for continuous corpora
    folds: Path  # folds CSV; the JSON beside it says what the protocol claims
    features: Mapping[str, Path]  # feature name -> store folder
    predictions: Path
    curves: Path
    card: Path  # dev.csv and windows.csv go to the same folder
    cost: Path  # seconds and memory: the one output that differs from run to run
    checkpoints: Path = caching.CHECKPOINTS


def run(settings: Mapping[str, Any], files: Files, execution: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """Trains and predicts every fold with every seed of one experiment, writes predictions, curves and card, and
    returns the predictions.

    Raises `SerError` for a leak, an unknown label, a missing feature. `execution`: the block `run` of params.yaml, of
    which jobs, backend and the backend's own options are used here; they change no number.
    """
    folds, execution = fold_files.read(files.folds), dict(execution or {})
    with workers.helpers(settings, execution, controls.name_of(settings), len(folds) * len(settings["seeds"])):
        return _run(settings, files, folds, execution)


def _run(
    settings: Mapping[str, Any], files: Files, folds: Sequence[Fold], execution: Mapping[str, Any]
) -> pd.DataFrame:
    table, claims = manifest.read(files.manifest / "utterances.csv"), fold_files.read_claims(files.folds)
    audit.audit(folds, table, **claims["claims"], where=str(files.folds))
    data = Data.read(table, files.manifest, files.features, claims["claims"]["speaker_independent"])
    tested = {
        name: warn_of_encoder(name, Store(path).card.get("encoder"), table) for name, path in files.features.items()
    }
    module = controls.module_of(settings)
    check(settings, module)
    alone = warn_of_one_class_speakers(settings, module, data)
    modules = _modules(settings)
    folder = files.checkpoints.joinpath(file_name(settings["study"]), file_name(settings["experiment"]))
    wanted = "cpu" if fold.is_classical(module) else settings["device"]
    device, name = workers.device(wanted, execution, modules, folder)
    folder /= fingerprint(settings, files, name)
    write_json(folder / "settings.json", settings)
    pairs = [(seed, i) for seed in settings["seeds"] for i in range(len(folds))]
    jobs = [
        Job(settings, data, folds[i], seed, folder, device, (i, len(folds)), first=n == 0)
        for n, (seed, i) in enumerate(pairs)
    ]
    before = {job.name: _finished(job) for job in jobs}
    _train([job for job in jobs if before[job.name] is None], len(jobs), execution, modules, name)
    _stop_for_failures(jobs)
    found = {job.name: before[job.name] or Result.read(job.result, job.name) for job in jobs}
    rows = outputs.write_predictions(jobs, found, files.predictions)
    outputs.write_curves(list(found.values()), files.curves)
    more = {"one_class_speakers": alone, "beside": beside(jobs)}
    more["pretrained_on_tested"] = {name: corpora for name, corpora in tested.items() if corpora}
    outputs.write_card(jobs, found, claims, files.checkpoints, files.card, more)
    outputs.write_windows(jobs, found, files.card.with_name("windows.csv"))
    outputs.write_dev(jobs, found, files.card.with_name("dev.csv"))
    write_json(files.cost, costs.total([costs.path(job.result) for job in jobs]))
    return rows


def warn_of_one_class_speakers(settings: Mapping[str, Any], module: types.ModuleType, data: Data) -> list[str]:
    """The speakers whose utterances have one class, where each speaker's inputs are normalised by themselves, and a
    warning that names them: what tells this class from others is removed, or, if most speakers are so, given away.
    """
    if settings["control"] in controls.STAND_INS or data.task.kind != "classification":
        return []
    scaled = getattr(controls.config_of(settings, module), "scaling", None) == "per_speaker"
    if not scaled and settings["training"].get("normalise") != "speaker":
        return []
    classes = data.table[data.table["emotion"] != ""].groupby("speaker")["emotion"].nunique()
    alone = [str(name) for name in classes.index[classes == 1]]
    if alone:
        what = f"{len(alone)} of {len(classes)} speakers have one class only, which normalisation per speaker removes"
        warn(f"{what}: {', '.join(alone)}", settings["experiment"], "Normalise by the training part")
    return alone


def beside(jobs: Sequence[Job]) -> dict[str, float]:
    """UA of the controls `length_only` and `speaker_only` on the folds of an experiment whose test speakers are also in
    training, where the speaker's name, or the sentence, can tell the class. Empty for other experiments.
    """
    data = jobs[0].data
    found: dict[str, float] = {}
    if data.speaker_independent or data.task.kind != "classification" or jobs[0].settings["control"] != "none":
        return {}
    folds = [job for job in jobs if job.seed == jobs[0].seed]
    for name in controls.HERE:
        truth, predicted = [], []
        for job in folds:
            model = controls.Model(controls.Config(name), data.task, job.seed)
            model.fit(fold.examples(job, job.fold.train, "train"), None)
            test = fold.examples(job, job.fold.test, "test")
            labels = np.asarray(test.labels)
            truth.append(labels[labels != UNLABELLED])
            predicted.append(model.scores(test.unlabelled()).argmax(1)[labels != UNLABELLED])
        ua = macro_recall(np.concatenate(truth), np.concatenate(predicted), len(data.task.outputs))
        found[name] = round(float(ua), 4)
    return found


def warn_of_encoder(feature: str, encoder: Mapping[str, Any] | None, table: pd.DataFrame) -> list[str]:
    """The corpora that an encoder was pretrained on, without labels, and is tested on now; a warning names them."""
    both = sorted(set(encoder["pretrained_on"]) & set(table["corpus"])) if encoder else []
    if encoder and both:
        what = f"the encoder {encoder['bundle']} of feature {feature} was pretrained on the tested corpus"
        warn(f"{what} {', '.join(both)}")
    return both


def fingerprint(settings: Mapping[str, Any], files: Files, device: str) -> str:
    """The name of the folder of an experiment's finished folds: code, settings, inputs, versions and the device's name,
    which is that of the GPU without the number that it has in its machine.
    """
    inputs: dict[str, str | bytes | Path] = {f"feature {name}": Store(f).content for name, f in files.features.items()}
    inputs["folds"] = files.folds
    for name in ("utterances.csv", "card.json", "labels.csv"):
        if (files.manifest / name).exists():
            inputs[name] = files.manifest / name
    if settings.get("pretrained"):
        inputs["pretrained"] = Path(settings["pretrained"])
    numbers = {k: v for k, v in settings.items() if k not in _NO_NUMBERS} | {"first seed": settings["seeds"][0]}
    return caching.fingerprint(*_modules(settings), settings=numbers, inputs=inputs, device=device)


def _modules(settings: Mapping[str, Any]) -> tuple[str, str]:
    """The modules whose code, with all that they import, trains a fold."""
    return fold.__name__, controls.module_of(settings).__name__


def check(settings: Mapping[str, Any], module: types.ModuleType) -> None:
    """Stops an experiment whose values cannot work before any of its folds is trained."""
    name, where = f"models.{settings['model']}", f"experiments.{settings['experiment']}"
    if settings["control"] in controls.STAND_INS:
        return
    controls.config_of(settings, module)
    training = fold.training_of(settings)
    if settings["control"] == "leaky_windows":
        if fold.is_classical(module) or training.window != "crops":
            hint = "Set training.window: crops"
            raise SerError("control leaky_windows is about windows, and there are none", f"{where}.control", hint)
        if settings["selection"] != "last":
            raise SerError("control leaky_windows has no dev part", f"{where}.selection", "Set selection: last")
    if fold.is_classical(module):
        if settings["training"]:
            raise SerError(f"{settings['model']} is not trained by the loop", f"{name}.training", "Remove it")
        if settings["selection"] != "last":
            what = f"{settings['model']} chooses its hyper-parameters itself"
            raise SerError(what, f"{where}.selection", "Remove it")
    elif getattr(module, "FIXED_LENGTH", False) and training.frames is None:
        hint = "Set the frames of an utterance; papers.md 4.1: 768"
        raise SerError(f"{settings['model']} needs inputs of one length", f"{name}.training.frames", hint)


def _finished(job: Job) -> Result | None:
    """The result of a job that has been trained already; a damaged file is set aside."""
    if not job.result.exists():
        return None
    try:
        return Result.read(job.result, job.name)
    except SerError as error:
        set_aside(job.result, error)
        return None


def _train(jobs: Sequence[Job], total: int, execution: Mapping[str, Any], modules: Sequence[str], device: str) -> None:
    """Trains jobs in worker processes; where other processes share the checkpoints, those that they are not training,
    and then those that they gave up. `modules`: whose code the results depend on; `device`: its name.
    """
    if not jobs:
        return
    label, done = str(jobs[0].settings["experiment"]), total - len(jobs)
    if done:
        print(f"{label}: {done} of {total} folds are already trained and are kept", flush=True)
    for job in jobs:
        remove(job.failure, job.folder)  # it is tried again
    with tqdm(total=total, initial=done, desc=label, unit="fold", disable=None) as bar:
        for wait in (False, True):
            left = [job for job in jobs if not job.result.exists() and not job.failure.exists()]
            for _ in workers.each(partial(train, wait=wait, gpu=device), left, execution, modules):
                bar.update(total - len(jobs) + sum(job.result.exists() for job in jobs) - bar.n)


def _stop_for_failures(jobs: Sequence[Job]) -> None:
    """Raises `SerError` when trainings failed by themselves. All others were trained first, and are kept."""
    failed = [job for job in jobs if job.failure.exists()]
    if failed:
        first = read_json(failed[0].failure)
        what = f"{len(failed)} of {len(jobs)} folds could not be trained, such as {failed[0].name}: {first['what']}"
        raise SerError(what, str(jobs[0].settings["experiment"]), f"The others are kept; {first['hint']}")


def train(job: Job, wait: bool = False, gpu: str = "") -> bool:
    """Trains one job and writes its result, unless another process is doing so; `wait` until it has ended. Returns
    whether the result is there. `gpu`: the name of the one that the job must be trained on (empty: any).
    """
    end_with_parent()
    gpus.use(job.device, gpu)
    with claim(job.result.with_suffix(".claim"), wait) as mine:
        if mine and not job.result.exists() and not job.failure.exists():
            watch = costs.Watch(job.device, int(job.settings["threads"]), resumed=job.running.exists())
            try:
                result = fold.train(job)
            except TrainingError as error:  # the other folds do not depend on it
                write_json(job.failure, {"what": error.what, "hint": error.hint})
                return False
            watch.write(costs.path(job.result))  # before the result: a finished fold has its cost
            result.write(job.result, job.name)
            remove(job.running, job.folder)
    return job.result.exists()
