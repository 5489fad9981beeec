"""Trains an experiment on the whole corpus, for packages with ``on: all``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ser.core.layout import Layout
from ser.corpora import manifest
from ser.protocols.folds import Fold
from ser.training import experiment
from ser.training.fold import Data, Job


def train(layout: Layout, card: Mapping[str, Any]) -> list[str]:
    """Trains an experiment once per seed on all labelled utterances, beside its folds, where that has not been done;
    returns the names of the trainings.
    """
    settings = layout.settings(f"train/{card['experiment']}")
    folder = layout.manifest(settings["corpus"])
    table = manifest.read(folder / "utterances.csv")
    known = table[(table["emotion"] != "") | (table["labels"] != "")]
    stores = {name: layout.feature(settings["corpus"], name) for name in settings["features"]}
    data, ids = Data.read(table, folder, stores, card["speaker_independent"]), tuple(known["utterance"])
    everything = Fold("all", ids, (), ids[:1])  # a training predicts a test part; nobody reads this one's scores
    jobs = [Job(settings, data, everything, s, Path(card["results"]), card["device"]) for s in settings["seeds"]]
    for job in jobs:
        experiment.train(job, wait=True)
    return [job.name for job in jobs]
