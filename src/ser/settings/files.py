"""The settings files: what each stage needs of params.yaml, and the digest of the code that the stage runs.

DVC would parse params.yaml again for every stage that names it, and knows nothing of imports. So one quick stage,
`settings`, checks the whole file and writes one small file per stage; each stage depends on its own file alone. An edit
of a value or of a module changes the files of the stages that use it, and nothing else is run again."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ser.core import caching, plugins
from ser.core.files import digest, remove, write_json
from ser.core.layout import Layout
from ser.corpora import JOINT
from ser.corpora.joint import merged
from ser.settings import check, experiments
from ser.settings.schema import Experiment, Package, Study, Words
from ser.settings.study import check_graph
from ser.words.config import SYNTHETIC_TEXTS

STAGES = Path("stages")


def files(study: Study) -> dict[str, dict[str, Any]]:
    """All settings files of a checked study: name, such as ``train/svm-emodb-loso``, -> contents."""
    made = {"run": dataclasses.asdict(study.run)}  # how to run, which changes no result: no stage depends on it
    for name, corpus in study.corpora.items():
        readers = [f"ser.corpora.{reader}" for reader in study.formats(name)]
        members = corpus.reader["of"] if corpus.format == JOINT else [name]
        blocks = {m: _block(study, m) for m in members}
        values = {"corpus": name, **({"members": blocks} if corpus.format == JOINT else blocks[name])}
        synthesizers = dict.fromkeys(module for m in members for module in _synthesizer(study, m))
        made[f"download/{name}"] = {**values, **_code("download", *readers, *synthesizers)}
        values = {"corpus": name, "rate": study.audio[name].rate if name in study.audio else None}
        values |= {"joint": corpus.reader} if corpus.format == JOINT else {}
        made[f"corpus/{name}"] = {**values, **_code("corpus", *readers)}
    for name, feature in study.features.items():
        values = {"corpus": feature.corpus, "feature": feature.feature, "config": feature.values}
        made[f"features/{name}"] = {**values, **_code("features", f"ser.features.{feature.feature}")}
        if contents := named_files(feature.values):
            made[f"features/{name}"]["files"] = contents
    for name, folds in study.folds.items():
        values = {"folds": name, "corpus": folds.corpus, "protocol": folds.protocol, "seed": folds.seed}
        code = _code("folds", f"ser.protocols.{folds.protocol}")
        made[f"folds/{name}"] = {**values, "config": folds.values, **code}
    for name, block in study.pretraining.items():
        values = {"corpus": block.corpus, "settings": {"feature": block.feature, **block.values}}
        values |= {"device": study.run.device, "precision": study.run.precision}
        made[f"pretrain/{name}"] = {**values, **_code("pretrain", f"ser.features.{block.feature}")}
    for name, words in study.words.items():
        values = {"block": {"corpus": words.corpus, "target": words.target, **words.values}}
        made[f"words/{name}"] = {**values, "device": study.run.device, **_code("words", *_texts(study, words))}
        if contents := named_files(words.values.get("word2vec") or {}):
            made[f"words/{name}"]["files"] = contents
    for name, item in study.all_experiments.items():
        made[f"train/{name}"] = _train(study, name, item)
    for name, package in study.packages.items():
        trained = {e: digest(made[f"train/{e}"]) for e in study.trained(package.experiment)}
        made[f"package/{name}"] = _package(study, package) | {"trained": trained}
    return made | {"evaluate": _evaluate(study), "report": _report(study)}


def named_files(values: Mapping[str, Any]) -> dict[str, str]:
    """Path -> digest of the content of every file that a parameter names, such as the weights of an encoder."""
    paths = [Path(value) for value in values.values() if isinstance(value, str) and value]
    found = {}
    for path in paths:
        with suppress(OSError):  # a text too long for a path
            if path.is_file():
                with path.open("rb") as file:
                    found[path.as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def make(path: str | Path, name: str) -> str:
    """Checks the params.yaml of a study and replaces its settings files; every check comes before anything is written.
    Returns a line for the user.
    """
    made = files(check.read(path, name))
    check_graph(name)
    folder = Layout(name).data / "settings"
    remove(folder, Layout(name).data)
    write(made, folder)
    return f"settings: {len(made)} files from {path}"


def write(files: dict[str, dict[str, Any]], folder: str | Path) -> None:
    """Writes settings files below `folder`."""
    for name, value in files.items():
        write_json(Path(folder) / f"{name}.json", value)


def _code(stage: str, *modules: str) -> dict[str, Any]:
    """What a stage's results depend on besides its settings and inputs: the digest of its code, and the libraries."""
    script = STAGES / f"{stage}.py"
    return {"code": caching.code(script, *modules), "versions": caching.versions(script, *modules)}


def _synthesizer(study: Study, corpus: str) -> list[str]:
    """The modules that make a corpus's look-alike, named here because nothing in ser imports them."""
    (reader,) = study.formats(corpus)
    return [] if study.corpora[corpus].source == "real" else ["ser_synth.__main__", f"ser_synth.{reader}"]


def _block(study: Study, corpus: str) -> dict[str, Any]:
    """The block of a corpus with its format filled in."""
    return {**dataclasses.asdict(study.corpora[corpus]), "format": study.formats(corpus)[0]}


def _texts(study: Study, words: Words) -> list[str]:
    """The module with the sentences of the look-alike corpora where word vectors read it; nothing in ser imports it."""
    read = study.corpora[words.corpus].source != "real" or "synthetic" in words.values.get("texts", ())
    return [SYNTHETIC_TEXTS] if read else []


def _experiment(study: Study, item: Experiment) -> dict[str, Any]:
    """What training and evaluation both record of an experiment."""
    return {
        "model": item.model,
        "corpus": item.corpus,
        "folds": f"{item.corpus}-{item.folds}",
        "seeds": list(item.seeds or study.defaults.seeds),
        "selection": item.selection or study.defaults.selection,
        "control": item.control,
    }


def _train(study: Study, name: str, item: Experiment) -> dict[str, Any]:
    layout, models = Layout(study.study), [f"ser.models.{item.model}"]
    if item.control == "majority":
        models.append("ser.models.majority")  # what runs in place of the model
    return {
        "study": study.study,
        "experiment": name,
        **_experiment(study, item),
        "feature": item.feature,
        "functionals": item.functionals or None,
        "features": experiments.feature_names(item),
        "pretrained": layout.pretrained(item.pretrained).as_posix() if item.pretrained else None,
        "words": experiments.word_stores(study, item),
        "config": experiments.config(study, item),
        "training": experiments.training(study, item),
        "device": study.run.device,
        "precision": study.run.precision,
        "threads": study.run.threads,
        **_code("train", *models),
    }


def _package(study: Study, package: Package) -> dict[str, Any]:
    """The package stage depends on the settings of the trainings as well, since an ensemble has no card of its own."""
    experiments = [study.all_experiments[e] for e in study.trained(package.experiment)]
    formats = study.formats(experiments[0].corpus)
    modules = [f"ser.corpora.{licensed}" for licensed in formats]
    modules += ["ser.packages.whole"] * (package.on == "all") + ["ser.packages.graph"] * package.onnx
    if package.on == "all" or package.onnx:
        modules += sorted({f"ser.models.{e.model}" for e in experiments})
    members = study.trained(package.experiment) if package.experiment in study.ensembles else []
    values = {"experiment": package.experiment, "members": members, "on": package.on, "onnx": package.onnx}
    return {**values, "formats": formats, **_code("package", *modules)}


def _evaluate(study: Study) -> dict[str, Any]:
    made = {}
    for name, item in study.all_experiments.items():
        protocol = study.folds[f"{item.corpus}-{item.folds}"].protocol
        size = item.size or study.defaults.size
        made[name] = {**_experiment(study, item), "size": size, "protocol": protocol, "paper": item.paper}
    for name, ensemble in study.ensembles.items():
        own = {"model": "ensemble", "members": ensemble.members, "control": "none", "paper": ensemble.paper}
        made[name] = {**made[ensemble.members[0]], **own, "size": ensemble.size or study.defaults.size}
    statistics = dataclasses.asdict(study.statistics)
    return {"study": study.study, "experiments": made, **statistics, **_code("evaluate")}


def _report(study: Study) -> dict[str, Any]:
    """`shareable`: whether the licence of a corpus allows its audio in a report; `audio`: whether the user wants it."""
    corpora = {}
    for name in study.corpora:
        card = merged(name, [plugins.load("corpora", reader).CARD for reader in study.formats(name)])
        corpora[name] = {"title": card.title, "licence": card.licence, "shareable": card.shareable}
    folds = {name: f"{e.corpus}-{e.folds}" for name, e in study.all_experiments.items()}
    return {
        "study": study.study,
        "experiments": [*study.all_experiments, *study.ensembles],
        "folds": folds | {name: folds[e.members[0]] for name, e in study.ensembles.items()},
        "corpora": corpora,
        "audio": study.report.audio,
        **_code("report"),
    }
