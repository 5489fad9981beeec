"""Everything the report of a study is made from, read once: metrics, predictions, curves, cards, audits, figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ser.evaluation import pooling, results
from ser.evaluation.predictions import Predictions, read
from ser.files import read_json
from ser.layout import Layout


@dataclass(frozen=True)
class Experiment:
    """One experiment. `scored`: the part its headline is computed on, None where nothing has labels. `cost`: what its
    training took, {} where it was trained before that was measured."""

    name: str
    metrics: Mapping[str, Any]
    predictions: Predictions
    scored: Predictions | None
    card: Mapping[str, Any]
    cost: Mapping[str, Any]
    curves: pd.DataFrame
    figures: tuple[Path, ...]

    @property
    def about(self) -> Mapping[str, Any]:
        return self.metrics["about"][0]

    @property
    def synthetic(self) -> bool:
        return self.about["data"] == "synthetic"

    @property
    def headline(self) -> str:
        return "ua" if self.predictions.kind == "classification" else "ccc"


@dataclass(frozen=True)
class Study:
    """A study that ran. `corpora`: what the settings say of each (title, licence, shareable), {} where nothing."""

    layout: Layout
    experiments: Mapping[str, Experiment]
    audits: Mapping[str, Mapping[str, Any]]
    folds: Mapping[str, str]
    corpora: Mapping[str, Mapping[str, Any]]
    pretraining: tuple[Path, ...]
    semantics: tuple[Path, ...]

    @property
    def name(self) -> str:
        return self.layout.study

    @property
    def metrics(self) -> dict[str, Mapping[str, Any]]:
        return {name: e.metrics for name, e in self.experiments.items()}

    @property
    def synthetic(self) -> bool:
        return any(e.synthetic for e in self.experiments.values())


def load(layout: Layout) -> Study:
    """Reads a study. Raises `SerError` naming the file that is missing or faulty, and the stage that makes it."""
    settings = layout.settings("report")
    folds = settings["folds"]
    return Study(
        layout=layout,
        experiments={name: _experiment(layout, name) for name in settings["experiments"]},
        audits={n: read_json(layout.folds(n).with_suffix(".json"))["audit"] for n in sorted(set(folds.values()))},
        folds=folds,
        corpora=settings.get("corpora", {}),
        pretraining=tuple(sorted((layout.metrics / "pretraining").glob("*/*.png"))),
        semantics=tuple(sorted(p.parent for p in (layout.metrics / "semantics").glob("*/diagnostics.json"))),
    )


def _experiment(layout: Layout, name: str) -> Experiment:
    metrics, predictions, card = mapping(results.read(layout, name)), read(layout.predictions(name)), layout.card(name)
    labelled, _ = pooling.labelled(predictions)
    scored = None if labelled.table.empty else pooling.headline(labelled, metrics["about"][0]["protocol"])[0]
    curves = pd.read_csv(layout.curves(name)) if layout.curves(name).exists() else pd.DataFrame()
    own = card.parent.name == name  # a folder of the experiment's own: every picture in it is the experiment's
    figures = tuple(sorted(card.parent.glob("*.png"))) if own else ()
    if predictions.kind == "continuous" and scored is not None:
        figures += (layout.report / f"traces-{name}.png",)  # drawn before the page is written (report.write)
    cost = read_json(layout.cost(name)) if layout.cost(name).exists() else {}
    return Experiment(name, metrics, predictions, scored, read_json(card), cost, curves, figures)


def mapping(found: results.Result) -> dict[str, Any]:
    """A result as the mapping that this page still reads; it goes when the page reads results."""
    about = dataclasses.asdict(found.description) | {k: getattr(found, k) for k in ("notes", "weighted_f1", "recall")}
    about["seed_sd"] = {name: score.seed_sd for name, score in found.scores.items()}
    about["interval"] = dataclasses.asdict(found.interval) if found.interval else None
    about["classes" if found.description.kind == "classification" else "dimensions"] = found.description.labels
    about["partitions"] = found.partitions
    about["postprocessing"] = {n: _flat(o.scores) | {"chosen": o.chosen} for n, o in found.postprocessing.items()}
    return {**_flat(found.scores), "n": found.description.utterances, "about": [about]}


def _flat(scores: Mapping[str, results.Score]) -> dict[str, Any]:
    return {
        n + end: value for n, s in scores.items() for end, value in (("", s.value), ("_low", s.low), ("_high", s.high))
    }
