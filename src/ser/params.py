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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ser.core import plugins
from ser.core.errors import SerError
from ser.core.files import write_json

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Run:
    """How the study runs. `device` and `precision` change numbers and are part of every experiment's settings; `jobs`,
    `backend` and `threads` only change how long it takes."""

    device: Literal["auto", "cpu", "cuda"] = "auto"  # auto: CUDA when there is one
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # auto: bfloat16 autocast on CUDA, float32 on CPU
    jobs: int = 0  # workers of a stage; 0: one a core. SER_JOBS overrides it
    backend: str = "loky"  # joblib backend; a cluster engine registers its own
    threads: int = 1  # threads of one worker (ours: 1, so that sums are the same on every machine)


@dataclass(frozen=True)
class Statistics:
    """Bootstrap of the metrics."""

    draws: int = 2000  # ours: the Monte-Carlo error of a 95 % bound is then well under one point
    confidence: float = 0.95


@dataclass(frozen=True)
class Corpus:
    source: Literal["real", "synthetic"]
    synthetic: dict = field(default_factory=dict)  # sizes, seed, difficulty of the look-alike
    reader: dict = field(default_factory=dict)  # options of the reader


@dataclass(frozen=True)
class Audio:
    rate: int = 16000  # Hz


@dataclass(frozen=True)
class Experiment:
    """One experiment: a model on a corpus under a protocol, all its folds and seeds."""

    model: str
    corpus: str
    folds: str  # a key of folds
    feature: str  # the feature <corpus>-<feature>
    feature2: str  # a second input; the same name again when there is one input only
    plot: Literal["confusion_normalized", "scatter"] = "confusion_normalized"
    seeds: tuple[int, ...] = (1,)
    selection: Literal["dev", "last", "test_oracle"] = (
        "last"  # test_oracle imitates selection on test; labelled as biased
    )
    control: Literal["none", "shuffled_labels"] = "none"  # shuffled_labels: training labels permuted, a leak detector
    size: Literal["paper", "reduced", "demo"] = "reduced"
    paper: str = ""  # the published row this experiment answers to
    config: dict = field(default_factory=dict)  # values of the model that differ in this experiment
    training: dict = field(default_factory=dict)  # values of its training that differ in this experiment


@dataclass(frozen=True)
class Study:
    """The whole of params.yaml."""

    study: str
    root: str
    params: str
    data: Literal["synthetic", "real", "mixed"]  # what the corpora are: stands in the titles of plots
    corpora: dict[str, Any]
    audio: dict[str, Any]
    features: dict[str, Any]
    folds: dict[str, Any]
    models: dict[str, Any]
    experiments: dict[str, Any]
    run: Run = Run()
    statistics: Statistics = Statistics()


def load(path: str | Path) -> dict[str, Any]:
    """params.yaml as plain data (YAML 1.2, as DVC reads it). Raises `SerError` with the line of a syntax error."""
    from ruamel.yaml import YAML, YAMLError

    path = Path(path)
    if not path.exists():
        raise SerError("no such file", path, "Run this from the repository root")
    try:
        data = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        raise SerError(f"not valid YAML: {getattr(error, 'problem', None) or error}", where) from error
    if not isinstance(data, Mapping):
        raise SerError("expected a mapping", path)
    return dict(data)


def line_of(path: str | Path, key: str) -> int | None:
    """Line of a dotted key in a YAML file (for error messages)."""
    from ruamel.yaml import YAML

    node: Any = YAML().load(Path(path).read_text(encoding="utf-8"))
    line = None
    for part in key.split("."):
        part = part.split("[")[0]
        if not isinstance(node, Mapping) or part not in node:
            break
        line = node.lc.key(part)[0] + 1  # type: ignore[attr-defined]
        node = node[part]
    return line


def settings(path: str | Path) -> dict[str, Any]:
    """All settings files of a study, as ``{"train/svm-emodb-loso": {...}, ...}``, after every check.

    Raises `SerError` naming file, line, key and the nearest known key.
    """
    try:
        return _Checker(load(path)).all()
    except SerError as error:
        key = re.search(r"\(([\w.\[\]-]+)\)\.", str(error))
        line = line_of(path, key.group(1)) if key else None
        if key is None or line is None:
            raise
        raise SerError(
            str(error).replace(f"({key.group(1)})", f"({path}, line {line}, key {key.group(1)})", 1)
        ) from None


def write(files: dict[str, Any], folder: str | Path) -> None:
    """Writes settings files below `folder`."""
    for name, value in files.items():
        write_json(Path(folder) / f"{name}.json", value)


class _Checker:
    def __init__(self, data: dict[str, Any]) -> None:
        self.study = plugins.build(Study, data, "params")
        self.files: dict[str, Any] = {}

    def all(self) -> dict[str, Any]:
        for block in ("corpora", "audio", "features", "folds", "models", "experiments"):
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
        for name in self.study.models:
            self.model(name)
        for name in self.study.experiments:
            self.experiment(name)
        self.files["report"] = {
            "study": self.study.study,
            "experiments": list(self.study.experiments),
            "folds": {n: self.study.experiments[n]["folds"] for n in self.study.experiments},
        }
        self.files["run"] = dataclasses.asdict(self.study.run)
        return self.files

    def plugin_keys(self, kind: str, name: str, values: Mapping[str, Any], where: str) -> None:
        """Names of keys from the plugin's source; values too, except of models, as those would import torch."""
        known = plugins.keys(kind, name)
        for key in values:
            plugins.check_name(str(key), known, f"key of {name}", f"{where}.{key}")
        if kind != "models":
            plugins.build(getattr(plugins.load(kind, name), plugins.KINDS[kind]), values, where)

    def corpora(self) -> None:
        sources: set[str] = set()
        for name, block in self.study.corpora.items():
            where = f"corpora.{name}"
            plugins.check_name(name, plugins.names("corpora"), "corpus", where)
            corpus = plugins.build(Corpus, block, where)
            self.plugin_keys("corpora", name, corpus.reader, f"{where}.reader")
            if corpus.source == "synthetic":
                plugins.check_name(name, plugins.names("corpora.synthetic"), "synthetic corpus", where)
                self.plugin_keys("corpora.synthetic", name, corpus.synthetic, f"{where}.synthetic")
            sources.add(corpus.source)
            self.files[f"download/{name}"] = {"corpus": name, **dataclasses.asdict(corpus)}

        data = sources.pop() if len(sources) == 1 else "mixed"
        if self.study.data != data:
            raise SerError(f"the corpora of this study are {data}, not {self.study.data}", "data", f"Set data: {data}")

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

    def model(self, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
        where = f"models.{name}"
        plugins.check_name(name, plugins.names("models"), "model", where)
        block = self.study.models[name] or {}
        if not isinstance(block, Mapping):
            raise SerError(f"expected a mapping, got {block!r}", where)
        config = {k: v for k, v in block.items() if k != "training"}
        training = block.get("training") or {}
        self.plugin_keys("models", name, config, where)
        self.training_keys(training, f"{where}.training")
        return config, dict(training)

    def training_keys(self, values: Mapping[str, Any], where: str) -> None:
        from ser.training.settings import Training

        plugins.build(Training, values, where)

    def experiment(self, name: str) -> None:
        where = f"experiments.{name}"
        item = plugins.build(Experiment, self.study.experiments[name], where)
        plugins.check_name(item.model, self.study.models, "model of this study", f"{where}.model")
        plugins.check_name(item.corpus, self.study.corpora, "corpus of this study", f"{where}.corpus")
        plugins.check_name(item.folds, self.study.folds, "folds of this study", f"{where}.folds")
        folds = self.study.folds[item.folds]
        if folds["corpus"] != item.corpus:
            raise SerError(
                f"folds {item.folds!r} are of corpus {folds['corpus']!r}, not {item.corpus!r}", f"{where}.folds"
            )
        for slot in ("feature", "feature2"):
            value = f"{item.corpus}-{getattr(item, slot)}"
            plugins.check_name(value, self.study.features, "feature of this study", f"{where}.{slot}")
        if not item.seeds:
            raise SerError("an experiment needs at least one seed", f"{where}.seeds")
        config, training = self.model(item.model)
        self.plugin_keys("models", item.model, item.config, f"{where}.config")
        self.training_keys(item.training, f"{where}.training")
        shared = {
            "study": self.study.study,
            "experiment": name,
            "model": item.model,
            "corpus": item.corpus,
            "selection": item.selection,
            "seeds": list(item.seeds),
            "control": item.control,
            "size": item.size,
        }
        self.files[f"train/{name}"] = {
            **shared,
            "folds": item.folds,
            "features": list(dict.fromkeys([item.feature, item.feature2])),
            "config": {**config, **item.config},
            "training": {**training, **item.training},
            "device": self.study.run.device,
            "precision": self.study.run.precision,
        }
        self.files[f"evaluate/{name}"] = {
            **shared,
            "protocol": folds["protocol"],
            "paper": item.paper,
            **dataclasses.asdict(self.study.statistics),
        }

    @staticmethod
    def structure(block: Any, where: str, required: tuple[str, ...]) -> dict[str, Any]:
        if not isinstance(block, Mapping):
            raise SerError(f"expected a mapping, got {block!r}", where)
        for key in required:
            if key not in block:
                raise SerError(f"missing key {key!r}", where)
        return dict(block)
