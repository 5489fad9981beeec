"""Makes the package of an experiment from its card, its finished folds and its result."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ser.core import plugins, weights
from ser.core.errors import SerError
from ser.core.files import digest, file_name, read_json, replacing_folder, write_text
from ser.core.layout import Layout
from ser.corpora import Card, joint
from ser.evaluation import results
from ser.evaluation.predictions import read
from ser.packages import card as cards
from ser.packages import contents
from ser.packages.contents import Contents, Feature
from ser.packages.model import fold_of

LAYER_NORM = 1e-12  # layer_norm_eps of ser.models.layers.mockingjay.Config


def make(layout: Layout, name: str, settings: Mapping[str, Any]) -> Contents:
    """Writes the folder of a package; `settings`: ``experiment``, the ``members`` of an ensemble (none: it is no
    ensemble), ``on`` (folds, or all: trained here, once per seed, on all labelled utterances), ``onnx`` (whether to
    write the graph), and the ``formats`` of the corpus.

    Raises `SerError` for an experiment that cannot predict new recordings (`refusal`), and when the weights of its
    folds are no longer there.
    """
    experiment, members, where = settings["experiment"], settings["members"], f"packages.{name}"
    found = {e: _card(layout, e, where) for e in members or [experiment]}
    modules = [plugins.load("corpora", reader) for reader in settings["formats"]]
    corpus = joint.merged(next(iter(found.values()))["corpus"], [module.CARD for module in modules])
    with replacing_folder(layout.package(name)) as folder:
        if not members:
            made = _package(layout, folder, name, found[experiment], settings["on"])
        else:
            parts = [_package(layout, folder / file_name(e), e, card, settings["on"]) for e, card in found.items()]
            for part, card in zip(parts, found.values(), strict=True):
                _write(layout, folder / file_name(part.name), part, corpus, [card])
            made = _ensemble(layout, name, experiment, parts)
        if settings["onnx"]:  # by name: only such a package depends on the code of the networks
            contents.write(folder, made)
            made = replace(made, onnx=importlib.import_module("ser.packages.graph").export(folder, f"{where}.onnx"))
        _write(layout, folder, made, corpus, list(found.values()))
    return made


def _card(layout: Layout, experiment: str, where: str) -> Any:
    """The card of an experiment that can be packaged."""
    card = read_json(layout.card(experiment))
    if what := refusal(card):
        raise SerError(f"experiment {experiment} cannot be packaged: {what}", where)
    _check_encoder(card, where)
    return card


def _package(layout: Layout, folder: Path, name: str, card: Mapping[str, Any], on: Literal["folds", "all"]) -> Contents:
    """Writes the weights of an experiment into a folder."""
    members = list(card["notes"])
    if on == "all":  # by name: a package of the folds does not depend on the code of the training
        members = importlib.import_module("ser.packages.whole").train(layout, card)
    weights.save_arrays(folder / contents.WEIGHTS, _weights(card, members))
    made = _contents(layout, name, card, contents.digest(folder / contents.WEIGHTS))
    return replace(made, members=tuple(members), on=on)


def _ensemble(layout: Layout, name: str, experiment: str, parts: Sequence[Contents]) -> Contents:
    """What an ensemble holds, from the packages of its members."""
    made = replace(
        parts[0],
        name=name,
        experiment=experiment,
        fingerprint=digest(*(part.fingerprint for part in parts)),
        model=contents.ENSEMBLE,
        features={key: feature for part in parts for key, feature in part.features.items()},
        config={},
        training={},
        members=tuple(dict.fromkeys(fold_of(member) for member in parts[0].members)),
        digest=contents.together(parts),
        versions={key: version for part in parts for key, version in part.versions.items()},
        parts=tuple(part.name for part in parts),
    )
    return _calibrated(layout, made)


def _write(layout: Layout, folder: Path, made: Contents, corpus: Card, trained: Sequence[Mapping[str, Any]]) -> None:
    """Writes ``ser.yaml`` and the model card; `trained`: the cards of the experiments in the package."""
    contents.write(folder, made)
    predictions = read(layout.evidence(made.experiment)[0])
    result = results.read(layout, made.experiment)
    write_text(folder / contents.CARD, cards.text(made, trained, result, predictions, corpus))


def refusal(card: Mapping[str, Any]) -> str:
    """Why an experiment cannot predict new recordings; empty where it can. `card`: its card or its settings."""
    if card["control"] != "none":
        return f"it is the control {card['control']}"
    if card["words"]:
        return "it reads word vectors, which a recording alone does not have"
    if card["selection"] == "test_oracle":
        return "its epoch is chosen on test"
    scaling, normalise = card["config"].get("scaling"), card["training"].get("normalise")
    if card.get("transductive") or scaling in ("per_speaker", "per_corpus") or normalise in ("speaker", "corpus"):
        return "it is scaled by all recordings of a speaker or a corpus (transductive)"
    return ""


def _check_encoder(card: Mapping[str, Any], where: str) -> None:
    """A package builds its model from the model's own values, of which this one of a pretrained encoder is none."""
    if card["pretrained"]:
        epsilon = read_json(Path(card["pretrained"]) / "card.json")["config"].get("layer_norm_eps", LAYER_NORM)
        if epsilon != LAYER_NORM:
            raise SerError(f"an encoder with layer_norm_eps {epsilon} cannot be packaged yet, only {LAYER_NORM}", where)


def _weights(card: Mapping[str, Any], members: Sequence[str]) -> dict[str, np.ndarray]:
    """The weights of all folds and seeds, or of the trainings on all utterances, under the name of each."""
    found: dict[str, np.ndarray] = {}
    experiment = card["experiment"]
    for member in members:
        path = Path(card["results"]) / f"{file_name(member)}.safetensors"
        if not path.exists():
            hint = f"Train the experiment again: dvc repro -f -s train@{experiment} (or the stage of its group)"
            raise SerError(f"the weights of {member} are no longer there", path, hint)
        found |= {f"{member}/{key}": array for key, array in weights.load_arrays(path).items()}
    return found


def _contents(layout: Layout, name: str, card: Mapping[str, Any], digest: str) -> Contents:
    audio = read_json(layout.audio(card["corpus"]) / "card.json")
    made = Contents(
        name=name,
        study=layout.study,
        experiment=card["experiment"],
        fingerprint=Path(card["results"]).name,
        synthetic=card["synthetic"],
        model=card["model"],
        kind=card["task"],
        outputs=tuple(card["outputs"]),
        rate=audio["rate"],
        features={feature: _feature(layout.feature(card["corpus"], feature)) for feature in card["features"]},
        config=dict(card["config"]),
        training=dict(card["training"]),
        precision=card["precision"],
        members=tuple(card["notes"]),
        temperature=None,
        coverage=(),
        digest=digest,
        versions=dict(card["versions"]),
    )
    return _calibrated(layout, made)


def _calibrated(layout: Layout, made: Contents) -> Contents:
    """With the calibration that the evaluation found."""
    found = results.read(layout, made.experiment).calibration
    coverage = tuple(map(tuple, found["after"]["coverage"])) if "after" in found else ()
    return replace(made, temperature=found.get("temperature"), coverage=coverage)


def _feature(folder: Path) -> Feature:
    card = read_json(folder / "card.json")
    return Feature(card["feature"], card["params"], card["level"], card["dim"])
