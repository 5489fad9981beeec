"""All figures of a study as PNG files in its report folder, and what could not be drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.core.files import read_json, repro
from ser.report import figures
from ser.report.figures import COLOURS
from ser.report.study import Experiment, Study


@dataclass(frozen=True)
class Picture:
    path: Path
    title: str


@dataclass(frozen=True)
class Drawing:
    """A figure that is still to be drawn, by this or another process."""

    make: Callable[[], Any]
    path: Path
    options: Mapping[str, Any] = field(default_factory=dict)  # of `figures.save`

    def __call__(self) -> None:
        figures.save(self.make(), self.path, **self.options)


@dataclass
class Gallery:
    """Pictures for the page by experiment, pretraining or set of word vectors, and sentences on what is missing."""

    experiments: dict[str, list[Picture]] = field(default_factory=dict)
    pretraining: dict[str, list[Picture]] = field(default_factory=dict)
    words: dict[str, list[Picture]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)  # by experiment, pretraining/<name> or words/<name>
    drawings: list[Drawing] = field(default_factory=list)

    def add(self, make: Callable[..., Any], *arguments: Any, path: Path, **options: Any) -> Path:
        """Notes a figure that `make` draws from its arguments, with the options of `figures.save`; returns its path."""
        self.drawings.append(Drawing(partial(make, *arguments), path, options))
        return path


def draw(study: Study, jobs: int = 1) -> Gallery:
    """Draws everything that predictions and arrays allow. `jobs`: processes that draw.

    Files: ``ua.png``, ``ccc.png``, ``confusion-<experiment>.png``, ``traces-<experiment>.png``,
    ``latents-<experiment>.png``, ``reconstructions-<experiment>.png``, ``pretraining-<name>.png`` and
    ``words-<name>.png``.
    """
    found, folder = Gallery(), study.layout.report
    for metric in ("ua", "ccc"):
        scored = [r for r in study.results.values() if metric in r.scores and r.scores[metric].value is not None]
        if scored:
            found.add(figures.scores, study.name, scored, metric, path=folder / f"{metric}.png")
    for name, e in study.experiments.items():
        title = name + figures.mark(e.result)
        if e.predictions.kind == "classification":
            found.add(figures.confusion, e.predictions, title, path=folder / f"confusion-{name}.png")
        elif e.scored is not None:
            drawn = found.add(figures.traces, e.scored, title, path=folder / f"traces-{name}.png")
            found.experiments[name] = [Picture(drawn, f"{title}: traces")]
        if e.card.get("artefacts"):
            _artefacts(study, e, title, found)
    _pretraining(study, found)
    _words(study, found)
    _draw(found.drawings, jobs)
    return found


def _draw(drawings: Sequence[Drawing], jobs: int) -> None:
    from joblib import Parallel, delayed

    if drawings:  # the last ones take longest
        Parallel(n_jobs=min(jobs, len(drawings)), batch_size=1)(delayed(drawing)() for drawing in drawings[::-1])


def _artefacts(study: Study, e: Experiment, title: str, found: Gallery) -> None:
    """The figures of the emotion-embedding autoencoder, from the arrays of the first fold in the cache."""
    path = Path(e.card["artefacts"])
    arrays = _arrays(path)
    if not arrays:
        again = repro(study.layout.report, f"{_training(e)}@{e.name}")
        found.missing[e.name] = (
            f"Latents and reconstructions need {path}, which is not on this machine: {again} makes it."
        )
        return
    if "latents" not in arrays:
        return
    test, own = tested(study, e, arrays), found.experiments.setdefault(e.name, [])
    folder, classes = study.layout.report, e.predictions.classes
    if len(arrays["latents"]) >= 3:
        drawn = found.add(
            figures.latents, arrays["latents"], test, classes, title, path=folder / f"latents-{e.name}.png"
        )
        own.append(Picture(drawn, f"{title}: latents"))
    if reason := study.withheld(e.about.corpus, bool(e.about.synthetic)):
        found.missing[e.name] = f"No reconstructions: {reason}."
        return
    path = folder / f"reconstructions-{e.name}.png"
    drawn = found.add(figures.reconstructions, arrays, test, classes, title, path=path, dpi=90, colours=COLOURS)
    own.append(Picture(drawn, f"{title}: reconstructions"))


def _training(e: Experiment) -> str:
    """The stage of the graph that trains an experiment."""
    groups = {"pretrained": "finetune", "functionals": "train_with_functionals", "words": "train_with_words"}
    return next((stage for key, stage in groups.items() if e.card.get(key)), "train")


def tested(study: Study, e: Experiment, arrays: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Utterance, speaker and emotion of the test part of the first fold, in the order of its arrays."""
    names = [str(name) for name in arrays.get("utterances", ())] or list(_first_fold(study, e))
    table = e.predictions.table.drop_duplicates("utterance").set_index("utterance").loc[names].reset_index()
    return table[["utterance", "speaker", "truth"]].rename(columns={"truth": "emotion"})


def _first_fold(study: Study, e: Experiment) -> Sequence[str]:
    from ser.protocols import folds

    return folds.read(study.layout.folds(e.card["folds"]))[0].test


def _pretraining(study: Study, found: Gallery) -> None:
    for folder in study.pretraining:
        name = folder.name
        path = study.layout.pretrained(name) / "samples.npz"
        card = path.with_name("card.json")
        title = f"Pretraining {name}{_mark(card)}: sample reconstructions"
        if reason := _withheld(study, card):
            found.missing[f"pretraining/{name}"] = f"No sample reconstructions: {reason}."
        elif arrays := _arrays(path):
            target = study.layout.report / f"pretraining-{name}.png"
            drawn = found.add(figures.pretraining, arrays, title, path=target, dpi=80, colours=COLOURS)
            found.pretraining[name] = [Picture(drawn, title)]
        else:
            found.missing[f"pretraining/{name}"] = (
                f"Sample reconstructions need {path}: {repro(path, f'pretrain@{name}')} makes it."
            )


def _words(study: Study, found: Gallery) -> None:
    for folder in study.words:
        name = folder.name
        path = study.layout.words(name) / "spaces.npz"
        card = folder / "diagnostics.json"
        title = f"{name}{_mark(card)}: words of text and of speech before and after alignment, in one projection"
        if reason := _withheld(study, card):
            found.missing[f"words/{name}"] = f"No figure of the words: {reason}."
        elif arrays := _arrays(path):
            drawn = found.add(figures.spaces, arrays, title, path=study.layout.report / f"words-{name}.png", dpi=80)
            found.words[name] = [Picture(drawn, title)]
        else:
            found.missing[f"words/{name}"] = (
                f"The figure of the word vectors needs {path}: {repro(path, f'words@{name}')} makes it."
            )


def _mark(card: Path) -> str:
    return figures.marked(bool(_about(card).get("synthetic")))


def _about(card: Path) -> Mapping[str, Any]:
    return read_json(card) if card.exists() else {}


def _withheld(study: Study, card: Path) -> str:
    """Why what was made of the corpus of a card is not shown, if it is not."""
    about = _about(card)
    return study.withheld(about["corpus"], bool(about.get("synthetic"))) if "corpus" in about else ""


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz; none where it does not exist."""
    if not path.exists():
        return {}
    with np.load(path) as data:
        return {name: data[name] for name in data.files}
