"""Makes the package of an experiment from its card, its finished folds and its result."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ser.core import plugins, weights
from ser.core.errors import SerError
from ser.core.files import file_name, read_json, replacing_folder, write_text
from ser.core.layout import Layout
from ser.corpora import joint
from ser.evaluation import results
from ser.evaluation.predictions import read
from ser.packages import card as cards
from ser.packages import contents
from ser.packages.contents import Contents, Feature

LAYER_NORM = 1e-12  # layer_norm_eps of ser.models.layers.mockingjay.Config


def make(layout: Layout, name: str, settings: Mapping[str, Any]) -> Contents:
    """Writes the folder of a package; `settings`: ``experiment``, ``on`` (folds, or all: trained here, once per seed,
    on all labelled utterances), and the ``formats`` of its corpus.

    Raises `SerError` for an experiment that cannot predict new recordings (`refusal`), and when the weights of its
    folds are no longer there.
    """
    experiment = settings["experiment"]
    card = read_json(layout.card(experiment))
    where = f"packages.{name}"
    if what := refusal(card):
        raise SerError(f"experiment {experiment} cannot be packaged: {what}", where)
    _check_encoder(card, where)
    predictions, result = read(layout.predictions(experiment)), results.read(layout, experiment)
    on = settings["on"]
    members = list(card["notes"])
    if on == "all":  # by name: a package of the folds does not depend on the code of the training
        members = importlib.import_module("ser.packages.whole").train(layout, card)
    with replacing_folder(layout.package(name)) as folder:
        weights.save_arrays(folder / contents.WEIGHTS, _weights(card, members))
        made = _contents(layout, name, card, result, contents.digest(folder / contents.WEIGHTS))
        made = replace(made, members=tuple(members), on=on)
        contents.write(folder, made)
        corpus = joint.merged(card["corpus"], [plugins.load("corpora", name).CARD for name in settings["formats"]])
        write_text(folder / contents.CARD, cards.text(made, card, result, predictions, corpus))
    return made


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


def _contents(layout: Layout, name: str, card: Mapping[str, Any], result: results.Result, digest: str) -> Contents:
    audio = read_json(layout.audio(card["corpus"]) / "card.json")
    calibrated = result.calibration
    return Contents(
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
        temperature=calibrated.get("temperature"),
        coverage=tuple(map(tuple, calibrated["after"]["coverage"])) if "after" in calibrated else (),
        digest=digest,
        versions=dict(card["versions"]),
    )


def _feature(folder: Path) -> Feature:
    card = read_json(folder / "card.json")
    return Feature(card["feature"], card["params"], card["level"], card["dim"])
