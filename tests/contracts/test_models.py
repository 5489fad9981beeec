"""The contract every model keeps, run over every file of src/ser/models."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ser.core import plugins
from ser.evaluation import predictions
from ser.training.experiment import run
from tests import toy


@pytest.fixture(scope="module")
def where(tmp_path_factory):
    return toy.files(tmp_path_factory.mktemp("toy"))


# a model for continuous labels only declares it, and runs this contract on its own toy (tests/models)
CLASSIFIERS = [
    m
    for m in plugins.names("models")
    if getattr(plugins.load("models", m), "TASK", "classification") == "classification"
]


@pytest.mark.parametrize("model", CLASSIFIERS)
class TestEveryModel:
    def test_predicts_every_utterance_once_with_valid_scores(self, model, where, tmp_path):
        settings, files = toy.for_model(where, model)
        files = _into(files, tmp_path)
        run(settings, files, {"jobs": 1})
        read = predictions.read(files.predictions)
        assert sorted(read.table["utterance"]) == sorted(toy.table()["utterance"])
        assert read.classes == toy.CLASSES
        scores = read.table[[f"score_{c}" for c in toy.CLASSES]].to_numpy()
        np.testing.assert_allclose(scores.sum(1), 1, atol=1e-4)

    def test_one_worker_or_two_give_the_same_bytes(self, model, where, tmp_path):
        settings, files = toy.for_model(where, model)
        out = []
        for jobs in (1, 2):
            mine = _into(files, tmp_path / str(jobs))
            run(settings, mine, {"jobs": jobs})
            out.append([p.read_bytes() for p in (mine.predictions, mine.curves, mine.card)])
        assert out[0] == out[1]

    def test_test_labels_change_no_prediction(self, model, where, tmp_path):
        """Permuting one speaker's labels may change folds that train on it, never the fold that tests on it."""
        settings, files = toy.for_model(where, model)
        mine = _into(files, tmp_path / "a")
        run(settings, mine, {"jobs": 1})
        table = pd.read_csv(files.manifest / "utterances.csv", dtype=str, keep_default_na=False)
        own = (table["speaker"] == "03").to_numpy()
        table.loc[own, "emotion"] = np.roll(table.loc[own, "emotion"].to_numpy(), 5)
        other = tmp_path / "manifest"
        other.mkdir()
        table.to_csv(other / "utterances.csv", index=False)
        (other / "card.json").write_bytes((files.manifest / "card.json").read_bytes())
        theirs = _into(files, tmp_path / "b", manifest=other)
        run(settings, theirs, {"jobs": 1})
        a, b = (predictions.read(f.predictions).table for f in (mine, theirs))
        scores = ["utterance", *[f"score_{c}" for c in toy.CLASSES]]
        pd.testing.assert_frame_equal(
            a.loc[a["speaker"] == "03", scores].reset_index(drop=True),
            b.loc[b["speaker"] == "03", scores].reset_index(drop=True),
        )


def _into(files, folder, **changes):
    from dataclasses import replace

    out = {name: folder / f"{name}.file" for name in ("predictions", "curves", "card")}
    return replace(files, **out, checkpoints=folder / "checkpoints", **changes)
