"""One fold's weights on its test files give the scores of the training, from raw audio and with nothing cached."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ser.core.files import read_json
from ser.corpora import audio, manifest
from ser.corpora.location import found
from ser.evaluation.predictions import PREDICTION, SCORE, read
from ser.packages import model as models
from ser.training.result import Result
from tests.packages.conftest import CORPUS, MODELS


@pytest.mark.parametrize("name", MODELS)
def test_a_fold_predicts_its_test_files_as_in_training(name, study, package, monkeypatch):
    monkeypatch.chdir(study)
    corpus, loaded = CORPUS.get(name, "emodb"), models.load(package(name), "cpu")
    member = loaded.contents.members[-1]
    fold, _, seed = member.rpartition("-seed")
    loaded.members = {member: loaded.members[member]}
    loaded.contents = dataclasses.replace(loaded.contents, temperature=None)
    files, signals, seconds = recordings(corpus, fold, f"metrics/demo/predictions/{name}.csv")
    scores = loaded.predict([loaded.read(s, rate) for s, rate in signals], seconds)
    card = read_json(f"metrics/demo/cards/{name}/card.json")
    wanted = Result.read(Path(card["results"]) / f"{member}.npz", member).scores
    order = test_order(corpus, fold)
    written = read(f"metrics/demo/predictions/{name}.csv")
    for utterance, own in zip(files, scores, strict=True):
        theirs = wanted[order.index(utterance)]
        np.testing.assert_allclose(own, theirs, atol=1e-6)
        mine = (written.table["fold"] == fold) & (written.table["seed"] == int(seed))
        row = written.table[mine & (written.table["utterance"] == utterance)]
        mark = [SCORE + c for c in written.classes] or [PREDICTION + d for d in written.dimensions]
        np.testing.assert_allclose(row[mark].to_numpy(), np.atleast_2d(own), atol=0.5e-5 + 1e-6)


def recordings(corpus: str, fold: str, predictions: str) -> tuple[list[str], list, list[float]]:
    """Ids, decoded files and seconds of the utterances that a fold tests."""
    table = manifest.read(f"data/demo/corpora/{corpus}/utterances.csv").set_index("utterance")
    root = found(read_json(f"data/demo/receipts/{corpus}.json")).root
    rows = read(predictions).table
    ids = sorted(set(rows.loc[rows["fold"] == fold, "utterance"]))
    span = [
        (None if np.isnan(r.start) else r.start, None if np.isnan(r.end) else r.end)
        for r in table.loc[ids].itertuples()
    ]
    decoded = [audio.decode(root / table.loc[u, "file"], *s)[:2] for u, s in zip(ids, span, strict=True)]
    return ids, decoded, [len(s) / rate for s, rate in decoded]


def test_order(corpus: str, fold: str) -> list[str]:
    """The utterances of the test part in the order of the results."""
    name = {"sewa": "sewa-partitions"}.get(corpus, "emodb-loso")
    table = pd.read_csv(f"data/demo/folds/{name}.csv", dtype=str)
    return list(table.loc[(table["fold"] == fold) & (table["role"] == "test"), "utterance"])


test_order.__test__ = False  # type: ignore[attr-defined]
