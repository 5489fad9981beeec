"""One experiment of params.yaml: whether what it reads is there, and whether its model can use it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping
from typing import Any

from ser.core import plugins
from ser.core.errors import Faults, SerError
from ser.core.layout import Layout
from ser.core.recipe import CONTROLS, Training
from ser.corpora import JOINT
from ser.corpora.manifest import LABEL_RATE
from ser.evaluation.published import published
from ser.settings.schema import GROUPS, Experiment, Study

CLASSES_ONLY = ("length_only", "speaker_only", "leaky_windows")  # controls that need classes

Names = Mapping[str, Collection[str]]  # the names of the entries of every block


def feature_names(item: Experiment) -> list[str]:
    """The names of an experiment's features, in the order in which the model takes them."""
    return [name for name in (item.feature, item.functionals) if name]


def config(study: Study, item: Experiment) -> dict[str, Any]:
    """The values of the model: those of its block, then the experiment's own."""
    return {**study.models[item.model].values, **item.config}


def training(study: Study, item: Experiment) -> dict[str, Any]:
    """The values of the training: those of the model's block, then the experiment's own."""
    return {**study.models[item.model].training, **item.training}


def word_stores(study: Study, item: Experiment) -> dict[str, str]:
    """The inputs of a model that reads words -> the folders of the stores that hold them."""
    if not item.words:
        return {}
    module, folder = plugins.load("models", item.model), Layout(study.study).words(item.words)
    made = plugins.build(plugins.parameters("models", item.model), config(study, item), f"models.{item.model}")
    return {name: (folder / store).as_posix() for name, store in module.word_inputs(made).items()}


def check(study: Study, names: Names, faulty: Collection[tuple[str, str]], group: str, name: str) -> None:
    """Checks one experiment and raises every fault; `faulty` are the entries (block, name) with faults of their own."""
    where, item, faults = f"{group}.{name}", getattr(study, group)[name], Faults()
    for block, key, value in _named(item):
        with faults:
            _check_name(names, block, key, value, where)
    with faults:
        _check_paper(item.paper, f"{where}.paper")
    with faults:
        _check_source(study, item)
    with faults:
        plugins.check_name(item.control, CONTROLS, "control", f"{where}.control")
    sound = all(value in getattr(study, block) and (block, value) not in faulty for block, _, value in _named(item))
    if faults.found or not sound:
        faults.stop()  # what follows needs the blocks that the experiment names
        return
    with faults:
        made = plugins.build(plugins.parameters("models", item.model), config(study, item), f"{where}.config")
        _check_model(study, item, made, where)
    with faults:
        recipe = plugins.build(Training, training(study, item), f"{where}.training")
        _check_continuous(study, item, recipe, where)
        if recipe.noise and study.features[f"{item.corpus}-{item.feature}"].feature != "waveform":
            what = f"noise is added to waveforms, and {item.feature} is none"
            raise SerError(what, f"{where}.training.noise", "Use a feature of feature: waveform")
    if item.pretrained:
        with faults:
            _check_pretrained(study, item, f"{where}.pretrained")
    if item.words:
        with faults:
            _check_words(study, item, f"{where}.words")
    faults.stop()


def task(study: Study, corpus: str) -> str:
    """The task of a corpus under the options of its reader."""
    block, formats = study.corpora[corpus], study.formats(corpus)
    if block.format == JOINT:
        return "classification"
    module = plugins.load("corpora", formats[0])
    options = plugins.build(module.Config, block.reader, f"corpora.{corpus}.reader")
    card = module.expected(options) if hasattr(module, "expected") else module.CARD
    return str(card.task)


def check_package(study: Study, names: Names, name: str) -> None:
    """The experiment of a package, or each of an ensemble, exists and can predict new recordings."""
    where, experiment = f"packages.{name}.experiment", study.packages[name].experiment
    known = [e for group in GROUPS for e in names[group]] + list(names["ensembles"])
    plugins.check_name(experiment, known, "experiment of this study", where)
    if study.packages[name].onnx and experiment in study.ensembles:
        what = "an ensemble has no graph of its own"
        raise SerError(what, f"packages.{name}.onnx", "Make a package of each member that is a network")
    if experiment not in names["ensembles"] or experiment in study.ensembles:
        for trained in study.trained(experiment):
            _check_packaged(study, trained, name)


def _check_packaged(study: Study, experiment: str, name: str) -> None:
    """One experiment of a package."""
    from ser.packages.make import refusal

    item, package = study.all_experiments.get(experiment), study.packages[name]
    if item is None or item.model not in study.models:
        return  # its own fault is reported
    selection = item.selection or study.defaults.selection
    values: dict[str, Any] = {"control": item.control, "words": item.words, "selection": selection}
    values |= {"config": config(study, item), "training": training(study, item)}
    if what := refusal(values):
        what = f"experiment {experiment} cannot be packaged: {what}"
        raise SerError(what, f"packages.{name}.experiment", "Name another experiment")
    if package.on == "all" and selection == "dev":
        what = f"experiment {experiment} chooses its epoch on dev, and a training on all utterances has no dev part"
        raise SerError(what, f"packages.{name}.on", "Set on: folds, or name an experiment with selection: last")
    if package.onnx:
        from ser.packages import graph

        if what := graph.refusal(item.model, values["training"]):
            raise SerError(f"experiment {experiment} has no graph: {what}", f"packages.{name}.onnx", "Set onnx: false")


def check_ensemble(study: Study, names: Names, name: str) -> None:
    """The members are experiments on the same folds, in which every speaker or utterance has the same place."""
    where, item = f"ensembles.{name}", study.ensembles[name]
    _check_paper(item.paper, f"{where}.paper")
    known, folds = [e for group in GROUPS for e in names[group]], {}
    for member in item.members:
        plugins.check_name(member, known, "experiment of this study", f"{where}.members")
        if (own := study.all_experiments.get(member)) is not None:  # None: its own faults are reported
            folds[member] = f"{own.corpus}-{own.folds}"
    if len(set(folds.values())) > 1:
        listed = ", ".join(f"{member} on {value}" for member, value in folds.items())
        raise SerError(f"the members are on different folds: {listed}", f"{where}.members")


def _named(item: Experiment) -> list[tuple[str, str, str]]:
    """The blocks that an experiment names: block of params.yaml, key of the experiment, name of the entry."""
    named = [
        ("models", "model", item.model),
        ("corpora", "corpus", item.corpus),
        ("folds", "folds", f"{item.corpus}-{item.folds}"),
        ("features", "feature", f"{item.corpus}-{item.feature}"),
    ]
    if item.functionals:
        named.append(("features", "functionals", f"{item.corpus}-{item.functionals}"))
    if item.pretrained:
        named.append(("pretraining", "pretrained", item.pretrained))
    if item.words:
        named.append(("words", "words", item.words))
    return named


def _check_name(names: Names, block: str, key: str, value: str, where: str) -> None:
    what = {"models": "model", "corpora": "corpus", "features": "feature"}.get(block, block)
    plugins.check_name(value, names[block], f"{what} of this study", f"{where}.{key}")


def _check_paper(key: str, where: str) -> None:
    try:
        published(key)
    except SerError as error:
        raise SerError(error.what, where, error.hint) from error


def _check_source(study: Study, item: Experiment) -> None:
    corpus = study.corpora.get(item.corpus)
    if corpus is not None and corpus.source == "real_or_synthetic":
        what = f"experiments on {item.corpus} could be of real or of synthetic speech"
        raise SerError(what, f"corpora.{item.corpus}.source", "Set source: real or source: synthetic")


def _check_model(study: Study, item: Experiment, made: Any, where: str) -> None:
    """The model can read what the experiment's group adds, and accepts the features and words it is given."""
    module, added = plugins.load("models", item.model), next((k for k in GROUPS.values() if k and getattr(item, k)), "")
    if added and added not in getattr(module, "READS", ()):
        raise SerError(f"{item.model} reads no {added}", f"{where}.{added}", "Move the experiment to another block")
    if hasattr(module, "check") and item.control != "majority":
        kinds = {name: study.features[f"{item.corpus}-{name}"].feature for name in feature_names(item)}
        module.check(made, kinds, item.words or None, where)
    frames = {f"{item.corpus}-{name}": _feature(study, f"{item.corpus}-{name}") for name in feature_names(item)}
    rates = {key: feature.frame_rate for key, feature in frames.items() if feature.level == "frame"}
    if len(rates) > 1 and len(set(rates.values())) > 1:  # windows are cut at the same frames of all inputs
        listed = " and ".join(f"{key} {rate:g}" for key, rate in rates.items())
        raise SerError(f"the features have different frames per second: {listed}", where, "Change hop of one of them")


def _check_continuous(study: Study, item: Experiment, recipe: Training, where: str) -> None:
    """Continuous labels: windows follow each other, so that they can be joined to one trace, and row k of every input
    belongs to label k."""
    if task(study, item.corpus) != "continuous":
        return
    if item.control in CLASSES_ONLY:
        what = f"control {item.control} needs classes; {item.corpus} has continuous labels"
        raise SerError(what, f"{where}.control", "Set control: majority (the training mean) or shuffled_labels")
    if recipe.window != "blocks" and (recipe.frames or recipe.window == "crops"):
        what = f"{item.corpus} has continuous labels, whose windows must follow each other"
        raise SerError(what, f"{where}.training.window", "Set window: blocks")
    if recipe.speed:
        what = f"{item.corpus} has continuous labels, which would no longer fit the time of the speech"
        raise SerError(what, f"{where}.training.speed", "Remove it")
    for name in feature_names(item):
        key = f"{item.corpus}-{name}"
        feature = _feature(study, key)
        if feature.level == "frame" and not math.isclose(feature.frame_rate, LABEL_RATE):
            what = f"{item.corpus} has {LABEL_RATE:g} labels per second, this feature {feature.frame_rate:g} rows"
            raise SerError(what, f"features.{key}", f"For a waveform set segment to rate / {LABEL_RATE:g}")
        if getattr(feature, "segments", None):
            what = f"{feature.segments} rows per recording leave nothing for the labels after them"
            raise SerError(what, f"features.{key}.segments", "Remove it")


def _feature(study: Study, key: str) -> Any:
    block = study.features[key]
    return plugins.build(plugins.parameters("features", block.feature), block.values, f"features.{key}")


def _check_pretrained(study: Study, item: Experiment, where: str) -> None:
    """An encoder reads what it was pretrained on: the same feature with the same parameters."""
    name, key = item.pretrained, f"{item.corpus}-{item.feature}"
    theirs, ours = study.pretraining[name], study.features[key]
    values = theirs.values.get("features") or {}
    encoder = plugins.build(plugins.parameters("features", theirs.feature), values, f"pretraining.{name}.features")
    made = [dataclasses.asdict(f) for f in (_feature(study, key), encoder)]
    if ours.feature != theirs.feature or made[0] != made[1]:
        differing = sorted(k for k in made[0] if made[0].get(k) != made[1].get(k)) or ["feature"]
        what = f"pretraining {name} and feature {key} differ in {', '.join(differing)}"
        raise SerError(what, where, f"Give pretraining.{name}.features the feature's own values")


def _check_words(study: Study, item: Experiment, where: str) -> None:
    """The word streams belong to the experiment's corpus, and were not learnt from what it is tested on."""
    from ser.words.config import Config

    name, words = item.words, study.words[item.words]
    if words.target != item.corpus:
        raise SerError(f"words {name!r} are of {words.target!r}, not of {item.corpus!r}", where)
    block = plugins.build(Config, {"corpus": words.corpus, "target": words.target, **words.values}, f"words.{name}")
    if not block.streams:
        raise SerError(f"words {name!r} make no streams", where, f"Remove words.{name}.streams")
    protocol = study.folds[f"{item.corpus}-{item.folds}"].protocol
    if protocol != "partitions" and block.knows_target:
        what = f"words {name!r} learn from the train part of {item.corpus}, which {protocol} also tests on"
        raise SerError(what, where, "Use folds with protocol: partitions, or leave the target's text out")
