"""Checks a whole params.yaml before anything runs, and reports all its faults at once.

pydantic validates the form of every block (`ser.settings.schema`) and the parameters of every plugin. What is left for
this module is how the blocks fit each other: names that one block takes from another, and inputs that a model needs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ser.core import plugins
from ser.core.errors import CombinedError, Faults, SerError
from ser.corpora import JOINT
from ser.settings import experiments
from ser.settings.schema import GROUPS, Study
from ser.settings.yamlfile import lines, load

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
BLOCKS = ("corpora", "audio", "features", "folds", "pretraining", "words", "models", *GROUPS, "ensembles", "packages")
# Keys of a block that are the same in all its entries; the others are parameters of a plugin.
OWN = {
    "features": ("corpus", "feature"),
    "folds": ("corpus", "protocol", "seed"),
    "models": ("training",),
    "pretraining": ("corpus", "feature"),
    "words": ("corpus", "target"),
}


def read(path: str | Path, study: str | None = None) -> Study:
    """A params.yaml as a `Study`, after every check.

    `study` is the name that the graph was called with: the file must belong to that study. Raises `SerError`, or
    `CombinedError` for several faults; each names file, line, key and the nearest known key.
    """
    data, faults = load(path), Faults()
    if study is not None:
        with faults:
            _check_place(data, Path(path), study)
    made = _build(data, faults)
    if made is not None:
        _Checks(made, data, faults).all()
    if faults.found:
        line_of = lines(path)
        located = [_located(error, path, line_of(error.where) if error.where else None) for error in faults.found]
        raise located[0] if len(located) == 1 else CombinedError(located)
    assert made is not None
    return made


def _located(error: SerError, path: str | Path, line: int | None) -> SerError:
    if error.where is None or not error.where:
        return SerError(error.what, path, error.hint)
    if line is None:
        return error
    return SerError(error.what, f"{path}, line {line}, key {error.where}", error.hint)


def _check_place(data: Mapping[str, Any], path: Path, study: str) -> None:
    """`study`, `params` and `root` fit the place of the file. The graph beside a copied params.yaml takes them from the
    copy, so it would run with another study's values, or overwrite its results, if they were not adapted."""
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
            what = f"study is {study!r} in the folder of {path.parts[1]!r}"
            raise SerError(what, "study", f"Set study: {path.parts[1]}")
    if len(path.parts) in (1, 3) and data.get("root") != root:
        raise SerError(f"root is {data.get('root')!r}, but this is {file}", "root", f'Set root: "{root}"')


def _build(data: Mapping[str, Any], faults: Faults) -> Study | None:
    """The study without the entries whose own form is wrong, so that the others can be checked further; None where
    the form of the whole file is wrong."""
    nested = {key: _nested(key, value) for key, value in data.items()}
    with faults:
        return plugins.build(Study, nested, "")
    for error in faults.found:
        block, _, rest = (error.where or "").partition(".")
        if block in BLOCKS and rest and isinstance(nested.get(block), dict):
            nested[block].pop(rest.split(".")[0].split("[")[0], None)
        elif block not in (*BLOCKS, "study", "root", "params"):  # an unknown key, or a block with defaults
            nested.pop(block, None)
    try:
        return plugins.build(Study, nested, "")
    except SerError:
        return None


def _nested(block: str, entries: Any) -> Any:
    """The entries of a block with the parameters of their plugins moved to a mapping of their own."""
    if not isinstance(entries, Mapping):
        return entries
    if block not in OWN:
        return dict(entries)
    nested = {}
    for name, entry in entries.items():
        entry = {} if entry is None and block == "models" else entry
        if not isinstance(entry, Mapping):
            nested[name] = entry
            continue
        own = {k: v for k, v in entry.items() if k in OWN[block]}
        nested[name] = {**own, "values": {k: v for k, v in entry.items() if k not in own}}
    return nested


class _Checks:
    """How the blocks fit each other. Names are looked up in the file itself: an entry that is wrong in itself is
    reported once, and not again wherever it is named."""

    def __init__(self, study: Study, data: Mapping[str, Any], faults: Faults) -> None:
        self.study, self.faults = study, faults
        self.names = {block: list(data.get(block) or {}) for block in BLOCKS}
        self.faulty: set[tuple[str, str]] = set()  # (block, name) of entries with faults of their own

    def all(self) -> None:
        for check in (self.entries, self.corpora, self.features, self.folds, self.pretraining, self.words, self.models):
            with self.faults:
                check()
        for error in self.faults.found:
            block, _, rest = (error.where or "").partition(".")
            self.faulty.add((block, rest.partition(".")[0]))
        for group in GROUPS:
            for name in getattr(self.study, group):
                with self.faults:
                    experiments.check(self.study, self.names, self.faulty, group, name)
        for name in self.study.ensembles:
            with self.faults:
                experiments.check_ensemble(self.study, self.names, name)
        for name in self.study.packages:
            with self.faults:
                experiments.check_package(self.study, self.names, name)

    def known(self, block: str, name: str, where: str) -> None:
        what = {"corpora": "corpus", "audio": "packed corpus"}[block]
        plugins.check_name(name, self.names[block], f"{what} of this study", where)

    def single(self, name: str, where: str) -> None:
        """Not a joint corpus, whose original files are in several folders and whose words are not read."""
        if name in self.study.corpora and self.study.corpora[name].format == JOINT:
            raise SerError(f"{name} is made of several corpora", where, "Name one of its members")

    def build(self, cls: type, values: Mapping[str, Any], where: str) -> Any:
        """The parameters of a plugin, or None after reporting what is wrong with them."""
        with self.faults:
            return plugins.build(cls, values, where)

    def plugin(self, kind: str, name: str, values: Mapping[str, Any], where: str, key: str = "") -> Any:
        """As `build`, for a plugin that is named at `key` of `where`, or by the entry itself."""
        with self.faults:
            what = {"corpora": "corpus"}.get(kind, kind.removesuffix("s"))
            plugins.check_name(name, plugins.names(kind), what, f"{where}.{key}" if key else where)
            return self.build(plugins.parameters(kind, name), values, where)

    def entries(self) -> None:
        if not self.names["corpora"]:
            self.faults.found.append(SerError("a study needs at least one corpus", "corpora", "Run ser study new"))
        if not any(self.names[group] for group in GROUPS):
            self.faults.found.append(SerError("a study needs at least one experiment", "experiments"))
        if not NAME.fullmatch(self.study.study):
            what = f"a study cannot be called {self.study.study!r}"
            self.faults.found.append(SerError(what, "study", "Use letters, digits, - and _"))
        seen: dict[str, str] = {}
        for block in BLOCKS:
            for name in map(str, self.names[block]):
                if not NAME.fullmatch(name):
                    what = f"name {name!r} has characters that DVC cannot use"
                    self.faults.found.append(SerError(what, f"{block}.{name}", "Use letters, digits, - and _"))
                if block in (*GROUPS, "ensembles") and seen.setdefault(name, block) != block:
                    what = f"experiment {name!r} is in {seen[name]} and in {block}"
                    self.faults.found.append(SerError(what, f"{block}.{name}", "Rename one of the two"))

    def corpora(self) -> None:
        for name, corpus in self.study.corpora.items():
            where = f"corpora.{name}"
            if corpus.format == JOINT:
                with self.faults:
                    self.joint(name)
                continue
            reader, named = corpus.format or name, f"{where}.format" if corpus.format else where
            with self.faults:
                plugins.check_name(reader, [*plugins.names("corpora"), JOINT], "corpus", named)
                self.plugin("corpora", reader, corpus.reader, f"{where}.reader")
            if corpus.source != "real":
                with self.faults:
                    plugins.check_name(reader, plugins.names("synthetic"), "synthetic corpus", named)
                    self.plugin("synthetic", reader, corpus.synthetic, f"{where}.synthetic")
        for name in self.study.audio:
            with self.faults:
                self.known("corpora", name, f"audio.{name}")
        sources = {c.source for c in self.study.corpora.values()} - {"real_or_synthetic"}
        data = sources.pop() if len(sources) == 1 else "mixed"
        if self.study.data != data and len(self.study.corpora) == len(self.names["corpora"]):
            raise SerError(f"the corpora of this study are {data}, not {self.study.data}", "data", f"Set data: {data}")

    def joint(self, name: str) -> None:
        """The members of a joint corpus are other corpora of the study, with classes and from the same source, and its
        table names labels that they have."""
        from ser.corpora.joint import Config

        own, where = self.study.corpora[name], f"corpora.{name}.reader"
        for member in plugins.build(Config, own.reader, where).of:
            self.known("corpora", member, f"{where}.of")
            if (block := self.study.corpora.get(member)) is None:
                continue  # its own fault is reported
            if block.format == JOINT:
                raise SerError(f"{member} is itself made of several corpora", f"{where}.of", "Name its members")
            if block.source != own.source:
                what = f"{name} is {own.source}, its member {member} is {block.source}"
                raise SerError(what, f"corpora.{name}.source", "Give both the same source")
            card = plugins.load("corpora", block.format or member).CARD
            if experiments.task(self.study, member) == "continuous":
                raise SerError(f"{member} has continuous labels", f"{where}.of", "Join corpora with classes")
            for label in own.reader["labels"][member] if card.classes else ():
                classes = block.reader.get("classes") or card.classes
                plugins.check_name(label, classes, f"label of {member}", f"{where}.labels.{member}")

    def features(self) -> None:
        for name, block in self.study.features.items():
            where = f"features.{name}"
            with self.faults:
                self.known("audio", block.corpus, f"{where}.corpus")
                if not name.startswith(f"{block.corpus}-"):
                    raise SerError(f"the name of a feature of {block.corpus} starts with {block.corpus}-", where)
            self.plugin("features", block.feature, block.values, where, "feature")

    def folds(self) -> None:
        for name, block in self.study.folds.items():
            where = f"folds.{name}"
            with self.faults:
                self.known("corpora", block.corpus, f"{where}.corpus")
                if not name.startswith(f"{block.corpus}-"):
                    raise SerError(f"the name of folds of {block.corpus} starts with {block.corpus}-", where)
            self.plugin("protocols", block.protocol, block.values, where, "protocol")

    def pretraining(self) -> None:
        if not self.study.pretraining:
            return  # what follows imports torch
        from ser.pretraining.settings import Settings

        for name, block in self.study.pretraining.items():
            where = f"pretraining.{name}"
            with self.faults:
                self.known("corpora", block.corpus, f"{where}.corpus")
                self.single(block.corpus, f"{where}.corpus")
            made = self.build(Settings, {"feature": block.feature, **block.values}, where)
            if made is not None:
                self.plugin("features", block.feature, made.features, f"{where}.features")

    def words(self) -> None:
        from ser.words.config import Config

        for name, block in self.study.words.items():
            for key in ("corpus", "target"):
                with self.faults:
                    self.known("corpora", getattr(block, key), f"words.{name}.{key}")
                    self.single(getattr(block, key), f"words.{name}.{key}")
            made = self.build(Config, {"corpus": block.corpus, "target": block.target, **block.values}, f"words.{name}")
            vectors = made.word2vec.vectors if made is not None else ""
            with self.faults:
                if vectors and not Path(vectors).is_file():
                    where = f"words.{name}.word2vec.vectors"
                    raise SerError(f"no such file: {vectors}", where, "Give a path from the root of the repository")

    def models(self) -> None:
        from ser.core.recipe import Training

        for name, block in self.study.models.items():
            self.plugin("models", name, block.values, f"models.{name}")
            self.build(Training, block.training, f"models.{name}.training")
