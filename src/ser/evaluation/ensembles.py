"""Ensembles: the mean of the log scores of experiments that params.yaml names, on the same folds.

Nothing is trained. An ensemble is computed from the predictions of its members and is then an experiment like others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ser.core.errors import SerError
from ser.core.files import read_json, write_json
from ser.core.layout import Layout
from ser.evaluation import predictions
from ser.evaluation.predictions import SCORE, Predictions

DECIMALS = 5  # of the scores in a predictions file, of which an ensemble is made
FLOOR = 1e-5  # least score, that of the last digit in a predictions file: one member alone cannot rule a class out
ABOUT = ["fold", "utterance", "corpus", "speaker", "truth"]
SEED = 0  # of the rows of an ensemble, which holds all seeds of its members


def write(layout: Layout, name: str, members: Sequence[str]) -> None:
    """Writes predictions and card of an ensemble. Raises `SerError` where the members do not test the same."""
    found = [predictions.read(layout.predictions(m)) for m in members]
    cards = [read_json(layout.card(m)) for m in members]
    path, card = layout.evidence(name, ensemble=True)
    predictions.write(combined(dict(zip(members, found, strict=True)), name), path)
    write_json(card, _card(members, found, cards))


def combined(members: Mapping[str, Predictions], name: str) -> pd.DataFrame:
    """The rows of the ensemble: the geometric mean of the scores, normalised, first over the seeds of each member and
    then over members, so that every member counts the same. An utterance has a row in each fold that tests it.
    """
    first, tables = next(iter(members)), {m: _log_scores(m, found, name) for m, found in members.items()}
    about = tables[first][ABOUT]
    for member, table in tables.items():
        if list(table) != list(tables[first]) or not table[ABOUT].equals(about):
            what, hint = f"{member} and {first} were not tested on the same", "Name experiments on the same folds"
            raise SerError(what, f"ensembles.{name}", hint)
    logs = [table.drop(columns=ABOUT) for table in tables.values()]
    return about.assign(seed=SEED).join(pd.DataFrame(_normalised(logs), columns=logs[0].columns))


def mean(members: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Scores (n, K) of an ensemble from those of its members, each with an array (n, K) per seed; as `combined`."""
    return _normalised([np.mean([_log(np.round(scores, DECIMALS)) for scores in seeds], axis=0) for seeds in members])


def _log(scores: Any) -> Any:
    return np.log(scores.clip(FLOOR))


def _normalised(logs: Sequence[Any]) -> np.ndarray:
    """(n, K) of each member -> the exponentials of their mean, with the sum 1."""
    scores = np.exp(np.mean(logs, axis=0))  # at least FLOOR, so the sum is not 0
    return np.asarray(scores / scores.sum(1, keepdims=True))


def _log_scores(member: str, found: Predictions, name: str) -> pd.DataFrame:
    """One row per fold and utterance: `ABOUT`, and the log score of each class, the mean over seeds."""
    if found.kind != "classification":
        raise SerError(f"{member} has continuous labels, an ensemble needs classes", f"ensembles.{name}")
    scores = _log(found.table[[SCORE + c for c in found.classes]])
    return found.table[ABOUT].join(scores).groupby(ABOUT, sort=True).mean().reset_index()


def _card(members: Sequence[str], found: Sequence[Predictions], cards: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the members have in common, as in the card of an experiment."""
    seeds = {m: sorted(map(int, set(f.table["seed"]))) for m, f in zip(members, found, strict=True)}
    same = ("corpus", "folds", "task", "outputs", "protocol", "speaker_independent", "synthetic")
    return {
        **{key: cards[0].get(key) for key in same},
        "members": seeds,
        "selection": ", ".join(sorted({str(c.get("selection")) for c in cards})),
        "transductive": any(c.get("transductive") for c in cards),
        "artefacts": None,
        "notes": {},
    }
