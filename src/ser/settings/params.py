"""params.yaml, checked and taken apart: one small settings file a stage.

A user edits one file a study, params.yaml. DVC would parse it again for every stage that names it, so one quick stage,
`settings`, checks the whole file and writes what each other stage needs into a file of its own; a stage depends on
that file alone. Editing a model's value therefore changes the settings of that model's experiments and reruns nothing
else.

Every key is checked here, before anything runs: an unknown one is an error that names the nearest known key and its
line. Keys of plugins (corpora, features, protocols, models) are the fields of the plugin's own dataclass."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ser import plugins
from ser.errors import SerError
from ser.files import write_json
from ser.recipe import Training
from ser.settings import experiments as _experiment_blocks
from ser.settings.schema import Audio, Corpus, Study
from ser.settings.yamlfile import line_of, load

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")


def settings(path: str | Path, study: str | None = None) -> dict[str, Any]:
    """All settings files of a study, as ``{"train/svm-emodb-loso": {...}, ...}``, after every check.

    `study` is the name the graph was called with: the file must be that study's own. Raises `SerError` naming file,
    line, key and the nearest known key.
    """
    data = load(path)
    try:
        if study is not None:
            _check_place(data, Path(path), study)
        return _Checker(data).all()
    except SerError as error:
        if not error.where:
            raise SerError(error.what, path, error.hint) from None
        line = line_of(path, error.where)
        if line is None:
            raise
        raise SerError(error.what, f"{path}, line {line}, key {error.where}", error.hint) from None


def _check_place(data: Mapping[str, Any], path: Path, study: str) -> None:
    """`study`, `params` and `root` fit the place of the file: the graph beside a copied params.yaml takes them from the
    copy, and would run another study's values, or write over its results, where they were forgotten.
    """
    own, file = data.get("study"), path.as_posix()
    if own != study:
        hint = f"In studies/{study}/params.yaml set params: studies/{study}/params.yaml"
        raise SerError(f"study {study!r} is run with the values of study {own!r}", "study", hint)
    if data.get("params") != file:
        raise SerError(f"params is {data.get('params')!r}, but this file is {file}", "params", f"Set params: {file}")
    root = "."
    if len(path.parts) == 3 and path.parts[0] == "studies":
        root = "../.."
        if study != path.parts[1]:
            raise SerError(
                f"study is {study!r} in the folder of {path.parts[1]!r}", "study", f"Set study: {path.parts[1]}"
            )
    if len(path.parts) in (1, 3) and data.get("root") != root:
        raise SerError(f"root is {data.get('root')!r}, but this is {file}", "root", f'Set root: "{root}"')


def write(files: dict[str, Any], folder: str | Path) -> None:
    """Writes settings files below `folder`."""
    for name, value in files.items():
        write_json(Path(folder) / f"{name}.json", value)


class _Checker:
    def __init__(self, data: dict[str, Any]) -> None:
        self.study = plugins.build(Study, data, "")
        self.files: dict[str, Any] = {}

    def all(self) -> dict[str, Any]:
        for block in ("corpora", "audio", "features", "folds", "pretraining", "semantics", "models", "experiments"):
            if not getattr(self.study, block) and block in ("corpora", "experiments"):
                raise SerError(f"a study needs at least one entry in {block}", block, "`ser study new` makes them")
            for name in getattr(self.study, block):
                if not NAME.fullmatch(str(name)):
                    raise SerError(
                        f"name {name!r} has characters DVC cannot use",
                        f"{block}.{name}",
                        "Use letters, digits, - and _",
                    )
        self.corpora()
        self.audio()
        self.features()
        self.folds()
        self.pretraining()
        self.semantics()
        models = {name: self.model(name) for name in self.study.models}
        for name in self.study.experiments:
            self.files |= _experiment_blocks.settings(self.study, name, models)
        self.files["report"] = {
            "study": self.study.study,
            "experiments": list(self.study.experiments),
            "folds": {n: self.study.experiments[n]["folds"] for n in self.study.experiments},
            "corpora": {name: self.card(name) for name in self.study.corpora},
        }
        self.files["run"] = dataclasses.asdict(self.study.run)
        return self.files

    def plugin_keys(self, kind: str, name: str, values: Mapping[str, Any], where: str) -> None:
        """Keys and types of values from the plugin's source, and the plugin's own checks."""
        plugins.check_values(kind, name, values, where)
        plugins.build(getattr(plugins.load(kind, name), plugins.KINDS[kind]), values, where)

    def corpora(self) -> None:
        sources: set[str] = set()
        for name, block in self.study.corpora.items():
            where = f"corpora.{name}"
            plugins.check_name(name, plugins.names("corpora"), "corpus", where)
            corpus = plugins.build(Corpus, block, where)
            self.plugin_keys("corpora", name, corpus.reader, f"{where}.reader")
            if corpus.source != "real":
                plugins.check_name(name, plugins.names("synthetic"), "synthetic corpus", where)
                self.plugin_keys("synthetic", name, corpus.synthetic, f"{where}.synthetic")
            if corpus.source != "real_or_synthetic":
                sources.add(corpus.source)
            self.files[f"download/{name}"] = {"corpus": name, **dataclasses.asdict(corpus)}

        data = sources.pop() if len(sources) == 1 else "mixed"
        if self.study.data != data:
            raise SerError(f"the corpora of this study are {data}, not {self.study.data}", "data", f"Set data: {data}")

    def card(self, corpus: str) -> dict[str, Any]:
        """What the report says of a corpus; `shareable`: whether its audio may stand in the report."""
        card = plugins.load("corpora", corpus).CARD
        shareable = card.shareable and self.study.report.audio
        return {"title": card.title, "licence": card.licence, "shareable": shareable}

    def audio(self) -> None:
        for name, block in self.study.audio.items():
            plugins.check_name(name, self.study.corpora, "corpus", f"audio.{name}")
            self.files[f"audio/{name}"] = dataclasses.asdict(plugins.build(Audio, block, f"audio.{name}"))

    def features(self) -> None:
        for name, block in self.study.features.items():
            where = f"features.{name}"
            values = self.structure(block, where, ("corpus", "feature"))
            plugins.check_name(values["corpus"], self.study.audio, "packed corpus", f"{where}.corpus")
            if not name.startswith(values["corpus"] + "-"):
                raise SerError(
                    f"a feature's name is <corpus>-<name>, this one does not start with {values['corpus']}-", where
                )
            plugins.check_name(values["feature"], plugins.names("features"), "feature", f"{where}.feature")
            config = {k: v for k, v in values.items() if k not in ("corpus", "feature")}
            self.plugin_keys("features", values["feature"], config, where)
            self.files[f"features/{name}"] = {"feature": values["feature"], "config": config}

    def folds(self) -> None:
        for name, block in self.study.folds.items():
            where = f"folds.{name}"
            values = self.structure(block, where, ("corpus", "protocol", "seed"))
            plugins.check_name(values["corpus"], self.study.corpora, "corpus", f"{where}.corpus")
            plugins.check_name(values["protocol"], plugins.names("protocols"), "protocol", f"{where}.protocol")
            if not isinstance(values["seed"], int):
                raise SerError(f"expected int, got {values['seed']!r}", f"{where}.seed")
            config = {k: v for k, v in values.items() if k not in ("corpus", "protocol", "seed")}
            self.plugin_keys("protocols", values["protocol"], config, where)
            self.files[f"folds/{name}"] = {
                "folds": name,
                "corpus": values["corpus"],
                "protocol": values["protocol"],
                "seed": values["seed"],
                "config": config,
            }

    def pretraining(self) -> None:
        from ser.pretraining.settings import Settings

        for name, block in self.study.pretraining.items():
            where = f"pretraining.{name}"
            values = self.structure(block, where, ("corpus", "feature"))
            plugins.check_name(values["corpus"], self.study.corpora, "corpus of this study", f"{where}.corpus")
            plugins.check_name(values["feature"], plugins.names("features"), "feature", f"{where}.feature")
            own = {k: v for k, v in values.items() if k != "corpus"}
            plugins.build(Settings, own, where)
            self.plugin_keys("features", values["feature"], own.get("features") or {}, f"{where}.features")
            self.files[f"pretrain/{name}"] = {
                "corpus": values["corpus"],
                "settings": own,
                "device": self.study.run.device,
                "precision": self.study.run.precision,
            }

    def semantics(self) -> None:
        from ser.words.settings import Block

        for name, block in self.study.semantics.items():
            where = f"semantics.{name}"
            made = plugins.build(Block, block, where)
            for key in ("corpus", "target"):
                plugins.check_name(getattr(made, key), self.study.corpora, "corpus of this study", f"{where}.{key}")
            self.files[f"semantics/{name}"] = {"block": dict(block), "device": self.study.run.device}

    def model(self, name: str) -> _experiment_blocks.Model:
        where = f"models.{name}"
        plugins.check_name(name, plugins.names("models"), "model", where)
        block = self.study.models[name] or {}
        if not isinstance(block, Mapping):
            raise SerError(f"expected a mapping, got {block!r}", where)
        config = {k: v for k, v in block.items() if k != "training"}
        training = block.get("training") or {}
        plugins.check_values("models", name, config, where)  # no `build`: it would import torch
        plugins.build(Training, training, f"{where}.training")
        return _experiment_blocks.Model(config, dict(training))

    @staticmethod
    def structure(block: Any, where: str, required: tuple[str, ...]) -> dict[str, Any]:
        if not isinstance(block, Mapping):
            raise SerError(f"expected a mapping, got {block!r}", where)
        for key in required:
            if key not in block:
                raise SerError(f"missing key {key!r}", where)
        return dict(block)
