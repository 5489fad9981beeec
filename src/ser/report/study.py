"""Everything that the report of a study is made from, read once: results, predictions, curves, cards, audits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ser.core.files import read_csv, read_json
from ser.core.layout import Layout
from ser.evaluation import pooling, results
from ser.evaluation.predictions import Predictions, read
from ser.evaluation.results import Description, Result
from ser.report import cost, ledger


@dataclass(frozen=True)
class Experiment:
    """One experiment. `scored`: the part that its headline is computed from, None where nothing has labels. `cost`:
    what its training took, {} where that was not measured."""

    name: str
    result: Result
    predictions: Predictions
    scored: Predictions | None
    card: Mapping[str, Any]
    cost: Mapping[str, Any]
    curves: pd.DataFrame

    @property
    def about(self) -> Description:
        return self.result.description

    @property
    def headline(self) -> str:
        return self.about.headline

    @property
    def rank(self) -> tuple[bool, float]:
        """For sorting from the best to the worst. Systems that use other audio of the test speakers come last: they
        answer another question."""
        return bool(self.about.transductive), -(self.result.headline.value or 0.0)


@dataclass(frozen=True)
class Study:
    """A study that has run. `corpora`: what the settings say of each (title, licence, shareable). `pretraining` and
    `words`: the folders below metrics/<study>. `audio`: whether the settings allow players in the report."""

    layout: Layout
    experiments: Mapping[str, Experiment]
    audits: Mapping[str, Mapping[str, Any]]
    corpora: Mapping[str, Mapping[str, Any]]
    audio: bool
    pretraining: tuple[Path, ...]
    words: tuple[Path, ...]

    @property
    def name(self) -> str:
        return self.layout.study

    @property
    def results(self) -> dict[str, Result]:
        return {name: e.result for name, e in self.experiments.items()}

    @property
    def scores(self) -> pd.DataFrame:
        """The table of scores, one row per experiment."""
        return results.table(self.results.values())

    @property
    def costs(self) -> dict[str, Mapping[str, Any]]:
        """What each training took, and of an ensemble what its members took together."""
        costs = {name: e.cost for name, e in self.experiments.items() if e.cost}
        return cost.with_ensembles(costs, {name: e.card for name, e in self.experiments.items()})

    @property
    def losses(self) -> dict[str, dict[str, float]]:
        return {name: ledger.final_losses(e.result, e.curves) for name, e in self.experiments.items()}

    def withheld(self, corpus: object, synthetic: bool) -> str:
        """Why sounds, pictures of sounds and words of a corpus (``a+b``: of two) may not be in the report; empty where
        they may. Everything that shows some of them asks here. Synthetic speech is nobody's voice.
        """
        if synthetic or all(self.corpora.get(name, {}).get("shareable") for name in str(corpus).split("+")):
            return ""
        return "the licence does not allow audio of this corpus to leave the machine"

    @property
    def synthetic(self) -> bool:
        return any(e.about.synthetic for e in self.experiments.values())


def load(layout: Layout) -> Study:
    """Reads a study. Raises `SerError` naming the file that is missing or faulty, and the stage that makes it."""
    settings = layout.settings("report")
    return Study(
        layout=layout,
        experiments={name: _experiment(layout, name) for name in settings["experiments"]},
        audits={
            name: read_json(layout.folds(name).with_suffix(".json"))["audit"]
            for name in sorted(set(settings["folds"].values()))
        },
        corpora=settings["corpora"],
        audio=settings["audio"],
        pretraining=tuple(sorted(p.parent for p in (layout.metrics / "pretraining").glob("*/curve.csv"))),
        words=tuple(sorted(p.parent for p in (layout.metrics / "words").glob("*/diagnostics.json"))),
    )


def _experiment(layout: Layout, name: str) -> Experiment:
    (path, card), result = layout.evidence(name), results.read(layout, name)
    predictions = read(path)
    labelled, _ = pooling.labelled(predictions)
    scored = None if labelled.table.empty else pooling.headline(labelled, result.description.protocol)[0]
    curves = read_csv(layout.curves(name)) if layout.curves(name).exists() else pd.DataFrame()
    cost = read_json(layout.cost(name)) if layout.cost(name).exists() else {}
    return Experiment(name, result, predictions, scored, read_json(card), cost, curves)
