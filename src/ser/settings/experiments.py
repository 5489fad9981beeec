"""One block of `experiments` in params.yaml: checked against the blocks it names, and as settings of two stages."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ser import plugins
from ser.errors import SerError
from ser.evaluation.published import published
from ser.layout import Layout
from ser.recipe import Training
from ser.settings.schema import EXTRA, Experiment, Study
from ser.words.settings import GRID, Block, check, inputs

CLASSES_ONLY = ("length_only", "speaker_only", "leaky_windows")  # controls (ser.training.controls, .parts)


class Model(NamedTuple):
    """A model's block of params.yaml: its own values, and those of its training."""

    config: dict[str, Any]
    training: dict[str, Any]


def settings(study: Study, name: str, models: Mapping[str, Model]) -> dict[str, Any]:
    """The settings ``train/<name>`` and ``evaluate/<name>``, after every check; `models`: the study's, checked.

    Raises `SerError` naming the key.
    """
    where = f"experiments.{name}"
    item = plugins.build(Experiment, study.experiments[name], where)
    _check_names(study, item, where)
    plugins.check_values("models", item.model, item.config, f"{where}.config")
    _check_streams(study, item, models, where)
    features, values, words = _extra(study, item, models, where)
    _check_paper(item.paper, f"{where}.paper")
    plugins.build(Training, item.training, f"{where}.training")
    training = {**models[item.model].training, **item.training}
    _check_grid(study, item, training, features, where)
    shared = {
        "study": study.study,
        "experiment": name,
        "model": item.model,
        "corpus": item.corpus,
        "selection": item.selection,
        "seeds": list(item.seeds),
        "control": item.control,
    }
    train = {
        "folds": item.folds,
        "features": features,
        "config": {**models[item.model].config, **item.config, **values},
        "training": training,
        "device": study.run.device,
        "precision": study.run.precision,
        "threads": study.run.threads,
        **({"words": words} if words else {}),
    }
    evaluate = {"size": item.size, "protocol": study.folds[item.folds]["protocol"], "paper": item.paper}
    statistics = dataclasses.asdict(study.statistics)
    return {f"train/{name}": {**shared, **train}, f"evaluate/{name}": {**shared, **evaluate, **statistics}}


def _check_names(study: Study, item: Experiment, where: str) -> None:
    """Model, corpus, folds and features are of this study and fit each other; seeds are there and differ."""
    plugins.check_name(item.model, study.models, "model of this study", f"{where}.model")
    plugins.check_name(item.corpus, study.corpora, "corpus of this study", f"{where}.corpus")
    if study.corpora[item.corpus].get("source") == "real_or_synthetic":
        what = f"experiments on {item.corpus} may be of real or of synthetic speech: one number, two meanings"
        raise SerError(what, f"corpora.{item.corpus}.source", "Set source: real or source: synthetic")
    plugins.check_name(item.folds, study.folds, "folds of this study", f"{where}.folds")
    corpus = study.folds[item.folds]["corpus"]
    if corpus != item.corpus:
        raise SerError(f"folds {item.folds!r} are of corpus {corpus!r}, not {item.corpus!r}", f"{where}.folds")
    for slot in ("feature", "feature2"):
        value = f"{item.corpus}-{getattr(item, slot)}"
        plugins.check_name(value, study.features, "feature of this study", f"{where}.{slot}")
    if not item.seeds:
        raise SerError("an experiment needs at least one seed", f"{where}.seeds")
    if len(set(item.seeds)) < len(item.seeds):
        raise SerError(f"a seed stands twice in {list(item.seeds)}", f"{where}.seeds", "Keep each once")


def _check_paper(key: str, where: str) -> None:
    try:
        published(key)
    except SerError as error:
        raise SerError(error.what, where, error.hint) from error


def _check_grid(
    study: Study, item: Experiment, training: Mapping[str, Any], features: Sequence[str], where: str
) -> None:
    """Continuous labels: windows follow each other, so that they can be joined to one trace, and row k of every input
    belongs to label k."""
    reader = study.corpora[item.corpus].get("reader") or {}
    continuous = reader.get("dimensions") or plugins.load("corpora", item.corpus).CARD.task == "continuous"
    if not continuous:
        return
    if item.control in CLASSES_ONLY:
        what = f"control {item.control} needs classes; {item.corpus} has continuous labels"
        raise SerError(what, f"{where}.control", "Set control: majority (the training mean) or shuffled_labels")
    if training.get("window", "whole") != "blocks" and (training.get("frames") or training.get("window") == "crops"):
        what = f"{item.corpus} has continuous labels, whose windows must follow each other"
        raise SerError(what, f"{where}.training.window", "Set window: blocks")
    for key in (f"{item.corpus}-{name}" for name in features):
        values = {k: v for k, v in study.features[key].items() if k not in ("corpus", "feature")}
        made = plugins.build(plugins.load("features", study.features[key]["feature"]).Feature, values, key)
        if made.level == "frame" and not math.isclose(made.frame_rate, GRID):
            what = f"{item.corpus} has {GRID:g} labels a second, this feature {made.frame_rate:g} rows"
            raise SerError(what, f"features.{key}", f"For a waveform set segment to a {GRID:g}th of rate")
        if getattr(made, "segments", None):
            what = f"{made.segments} rows a recording, and nothing for the labels after them"
            raise SerError(what, f"features.{key}.segments", "Take it out")


def _check_streams(study: Study, item: Experiment, models: Mapping[str, Model], where: str) -> None:
    """A model of word streams gets what its values ask for."""
    if "stream" in plugins.keys("models", item.model) and item.control != "majority":
        names = dict.fromkeys([item.feature, item.feature2])
        kinds = {name: study.features[f"{item.corpus}-{name}"]["feature"] for name in names}
        check({**models[item.model].config, **item.config}, item.extra, kinds, where)


def _extra(
    study: Study, item: Experiment, models: Mapping[str, Model], where: str
) -> tuple[list[str], dict[str, str], dict[str, str]]:
    """What an experiment's `extra` makes of it: the names of its features, values of its model, and the stores of
    further inputs, by name."""
    features = list(dict.fromkeys([item.feature, item.feature2]))
    kind, _, name = item.extra.partition("/")
    if item.extra == "none":
        return features, {}, {}
    if kind == "features":
        plugins.check_name(name, study.features, "feature of this study", f"{where}.extra")
        if study.features[name]["corpus"] != item.corpus:
            raise SerError(f"feature {name!r} is of another corpus than {item.corpus!r}", f"{where}.extra")
        return list(dict.fromkeys([*features, name.removeprefix(f"{item.corpus}-")])), {}, {}
    if kind == "semantics":
        return features, {}, _streams(study, item, name, models[item.model].config, f"{where}.extra")
    if kind != "pretrained":
        raise SerError(f"nothing is known by the name {item.extra!r}", f"{where}.extra", EXTRA)
    plugins.check_name(name, study.pretraining, "pretraining of this study", f"{where}.extra")
    if "pretrained" not in plugins.keys("models", item.model):
        raise SerError(f"{item.model} takes no pretrained weights", f"{where}.extra", "Write extra: none")
    _check_feature(study, item, name, f"{where}.extra")
    return features, {"pretrained": Layout(study.study).pretrained(name).as_posix()}, {}


def _streams(study: Study, item: Experiment, name: str, config: Mapping[str, Any], where: str) -> dict[str, str]:
    """The stores of a word stream that the values of the model ask for, the experiment's own before its block's."""
    plugins.check_name(name, study.semantics, "semantics of this study", where)
    if "stream" not in plugins.keys("models", item.model):
        raise SerError(f"{item.model} reads no word streams", where, "Write extra: none")
    if study.semantics[name]["target"] != item.corpus:
        raise SerError(f"semantics {name!r} are of {study.semantics[name]['target']!r}, not {item.corpus!r}", where)
    if study.semantics[name].get("streams") is False:
        raise SerError(f"semantics {name!r} make no streams", where, f"Take out semantics.{name}.streams")
    protocol = study.folds[item.folds]["protocol"]
    if protocol != "partitions" and plugins.build(Block, study.semantics[name], f"semantics.{name}").knows_target:
        what = f"semantics {name!r} learn from the train part of {item.corpus}, which {protocol} tests on, too"
        raise SerError(what, where, "Take folds of protocol: partitions, or leave the target's text out")
    folder = Layout(study.study).data / "semantics" / name
    return {key: (folder / store).as_posix() for key, store in inputs({**config, **item.config}).items()}


def _check_feature(study: Study, item: Experiment, name: str, where: str) -> None:
    """An encoder reads what it was pretrained on: the feature, and each of its parameters."""
    theirs, ours = study.pretraining[name], study.features[f"{item.corpus}-{item.feature}"]
    own = {k: v for k, v in ours.items() if k not in ("corpus", "feature")}
    made = []
    for feature, values in ((ours["feature"], own), (theirs["feature"], theirs.get("features") or {})):
        module = plugins.load("features", feature)
        made.append((feature, dataclasses.asdict(plugins.build(module.Feature, values, where))))
    if made[0] != made[1]:
        differing = sorted(k for k in made[0][1] if made[0][1].get(k) != made[1][1].get(k)) or ["feature"]
        what = f"pretraining {name} and feature {item.corpus}-{item.feature} differ in {', '.join(differing)}"
        raise SerError(what, where, f"Give pretraining.{name}.features the feature's own values")
