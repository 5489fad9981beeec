"""Windows of utterances: crops, blocks, the deliberate leak, and what a prediction makes of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from ser.core.errors import SerError
from ser.core.recipe import Training
from ser.core.store import Store, Writer
from ser.core.tasks import Window
from ser.corpora import manifest
from ser.evaluation import predictions
from ser.models.layers.classifier import Output
from ser.training import batches as data
from ser.training import fold, scores, windows
from ser.training.experiment import run
from ser.training.trainer import Trainer
from tests import toy

CROPS = Training(epochs=1, batch=4, frames=8, window="crops", crop_hop=4)


def _inputs(folder, lengths, labelled=False):
    """Utterances whose frames count 0, 1, 2, ..., so that a piece shows where it was cut."""
    with Writer(folder / "frames", 1, "float32", {"feature": "x", "level": "frame"}) as writer:
        for i, n in enumerate(lengths):
            writer.append(f"u{i}", np.arange(n, dtype=np.float32)[:, None])
    ids = tuple(f"u{i}" for i in range(len(lengths)))
    stores = {"frames": Store(folder / "frames")}
    if labelled:
        return data.Examples(ids, ids, stores, (), np.zeros(len(ids), np.int64))
    return data.Inputs(ids, ids, stores, ())


def test_crops_of_a_prediction_cover_every_frame_and_end_at_the_end(tmp_path):
    inputs = _inputs(tmp_path, [5, 8, 9, 16, 19])
    found = windows.fixed(inputs, CROPS)
    starts = [[w.start for w in found if w.utterance == i] for i in range(5)]
    assert starts == [[0], [0], [0, 1], [0, 4, 8], [0, 4, 8, 11]]


def test_training_draws_as_many_crops_of_which_each_lies_inside(tmp_path):
    inputs = _inputs(tmp_path, [5, 30], labelled=True)
    drawn = windows.drawn(inputs, CROPS)
    assert [w.utterance for w in drawn].count(1) == np.ceil((30 - 8) / 4) + 1
    seen = set()
    for seed in range(60):
        x = data.collate(inputs, [Window(1, None)], CROPS, "cpu", np.random.default_rng(seed)).inputs["frames"]
        first = int(x[0, 0, 0])
        np.testing.assert_array_equal(x[0, :, 0], np.arange(first, first + 8))
        seen.add(first)
    assert (min(seen), max(seen)) == (0, 22)
    assert len(seen) > 15


def test_short_utterances_are_padded_never_dropped(tmp_path):
    inputs = _inputs(tmp_path, [5, 30])
    batch = data.collate(inputs, windows.fixed(inputs, CROPS)[:1], CROPS, "cpu", None)
    np.testing.assert_array_equal(batch.inputs["frames"][0, :, 0], [0, 1, 2, 3, 4, 0, 0, 0])
    assert batch.lengths["frames"].tolist() == [5]


def test_an_utterance_gets_the_mean_of_its_windows_and_their_votes():
    inputs = data.Inputs(("a", "b"), ("s", "s"), {}, ())
    outputs = [
        ([Window(1, 0), Window(0, 0)], np.array([[0.9, 0.1], [0.2, 0.8]])),
        ([Window(1, 4)], np.array([[0.3, 0.7]])),
    ]
    found = scores.classes(inputs, outputs, True)
    np.testing.assert_allclose(found.values, [[0.2, 0.8], [0.6, 0.4]])
    assert found.votes.tolist() == [[0, 1], [1, 1]]


def test_the_batch_size_of_a_prediction_changes_no_number(tmp_path):
    rows = np.random.default_rng(0).random((9, 3))
    items = [Window(i % 2, i) for i in range(9)]
    inputs = data.Inputs(("a", "b"), ("s", "s"), {}, ())
    whole = scores.classes(inputs, [(items, rows)], True)
    parts = scores.classes(inputs, [(items[i : i + 2], rows[i : i + 2]) for i in range(0, 9, 2)], True)
    np.testing.assert_array_equal(whole.values, parts.values)


class Echo(torch.nn.Module):
    """Continuous: gives back a weight times the frames, so that a right cut is seen in the numbers."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(0.5))

    def forward(self, batch):
        class Traces:
            values = self.weight * batch.inputs["frames"].expand(-1, -1, 2)

        return Traces

    def loss(self, output, batch):
        there = ~torch.isnan(batch.targets)
        error = torch.where(there, output.values - torch.nan_to_num(batch.targets), 0.0)
        return {"squared": (error**2).mean(), "nothing": 0.0 * self.weight}


@pytest.fixture
def traces(tmp_path):
    lengths = [25, 7, 10]
    inputs = _inputs(tmp_path, lengths)
    labels = [np.stack([np.arange(n), np.arange(n)], 1).astype(np.float32) for n in lengths]
    return data.Examples(inputs.utterances, inputs.speakers, inputs.stores, tuple(lengths), labels)


BLOCKS = Training(epochs=40, batch=2, frames=10, window="blocks", lr=0.05)


def test_blocks_of_recordings_are_joined_to_one_row_a_label(traces):
    loop = Trainer(Echo(), BLOCKS, selection="last", seed=0, device="cpu", bfloat16=False)
    found = loop.predict(traces.unlabelled()).values
    for row, n in zip(found, (25, 7, 10), strict=True):
        np.testing.assert_allclose(row[:, 0], 0.5 * np.arange(n))


def test_continuous_labels_are_learnt_and_judged_by_the_ccc(traces):
    loop = Trainer(Echo(), BLOCKS, selection="dev", seed=0, device="cpu", bfloat16=False)
    history = loop.fit(traces, traces)
    assert history[0]["dev_score"] < history[-1]["dev_score"] == pytest.approx(1, abs=1e-3)
    assert history[-1]["dev_loss"] == pytest.approx(1 - history[-1]["dev_score"])
    assert history[-1]["train_squared"] == pytest.approx(history[-1]["train_loss"])
    assert history[-1]["train_nothing"] == 0


def test_the_oracle_chooses_the_traces_that_are_best_on_test(traces):
    """The weight passes 1, where the CCC is 1, and goes on with momentum: the best evaluation is not the last."""
    loop = Trainer(Echo(), replace(BLOCKS, epochs=12, lr=0.2), selection="test_oracle", seed=0)
    loop.fit(traces, None, traces.unlabelled())
    found = fold._best_on_test(loop.snapshots, traces, "here")
    assert [x.shape for x in found] == [(n, 2) for n in (25, 7, 10)]
    reached = [scores.judge(scores.Scores(s), traces)["dev_score"] for s in loop.snapshots]
    assert scores.judge(scores.Scores(found), traces)["dev_score"] == max(reached) > reached[-1]
    half = replace(traces, labels=[np.full_like(traces.labels[0], np.nan), *traces.labels[1:]])
    assert len(fold._best_on_test(loop.snapshots, half, "here")) == 3
    none = replace(traces, labels=[np.full_like(y, np.nan) for y in traces.labels])
    with pytest.raises(SerError, match="labels of the test part, and there are none"):
        fold._best_on_test(loop.snapshots, none, "here")


class Noted(torch.nn.Module):
    """Records what the loop calls."""

    def __init__(self):
        super().__init__()
        self.linear, self.calls = torch.nn.Linear(1, 2), []

    def prepare(self, train):
        self.calls.append(("prepare", len(train)))

    def at_step(self, step, total):
        self.calls.append((step, total))

    def forward(self, batch):
        return Output(self.linear(batch.inputs["frames"].mean(1)))

    def loss(self, output, batch):
        return torch.nn.functional.cross_entropy(output.logits, batch.targets)


def test_a_model_may_prepare_and_have_a_schedule_of_its_own(tmp_path):
    inputs = _inputs(tmp_path, [9, 9, 9], labelled=True)
    loop = Trainer(Noted(), CROPS, selection="last", seed=0, device="cpu", bfloat16=False)
    loop.fit(inputs, None)
    assert loop.model.calls == [("prepare", 3), (0, 2), (1, 2)]  # 3 utterances of 2 crops in batches of 4


# --- the deliberate leak, and controls that replace a model ------------------------------------------


def _identity_files(folder):
    """Every utterance has its own pattern and no class signal: only a leak can score."""
    where = toy.files(folder)
    generator = np.random.default_rng(1)
    with Writer(folder / "own", 12, "float32", {"feature": "logmel", "level": "frame"}) as writer:
        for u in toy.table()["utterance"]:
            writer.append(u, generator.normal(0, 3, 12) + generator.normal(size=(24, 12)))
    return replace(where, features={"frames": folder / "own"})


TRAINING = {"epochs": 20, "batch": 8, "lr": 0.01, "frames": 8, "window": "crops", "crop_hop": 8}
SIZES = {"channels": [16, 16], "pools": [2, 2], "dense": 64}


def _accuracy(table):
    return (table["truth"] == table["prediction"]).mean()


def test_the_leak_is_seen_and_said(tmp_path):
    files = _identity_files(tmp_path)
    honest = toy.settings("cnns", SIZES, TRAINING, features=["frames"])
    found = {}
    for control in ("none", "leaky_windows"):
        own = replace(files, predictions=tmp_path / f"{control}.csv", card=tmp_path / control / "card.json")
        run({**honest, "control": control}, own, {"jobs": 1})
        found[control] = predictions.read(own.predictions).table
    assert _accuracy(found["none"]) < 0.5
    assert _accuracy(found["leaky_windows"]) > 0.8
    assert sorted(found["leaky_windows"]["utterance"]) == sorted(toy.table()["utterance"])
    counts = pd.read_csv(tmp_path / "leaky_windows" / "windows.csv")
    assert counts.filter(like="windows_").sum(axis=1).groupby(counts["utterance"]).sum().eq(3).all()


@pytest.mark.parametrize(
    ("model", "changes", "part"),
    [("svm", {}, "training.window"), ("cnns", {"selection": "dev"}, "dev part")],
)
def test_a_leak_that_cannot_be_dealt_is_refused(tmp_path, model, changes, part):
    files = _identity_files(tmp_path)
    training = TRAINING if model == "cnns" else {}
    files = files if model == "cnns" else replace(files, features={"vectors": tmp_path / "vectors"})
    settings = toy.settings(model, {}, training, features=list(files.features), control="leaky_windows", **changes)
    with pytest.raises(SerError, match=part):
        run(settings, files, {"jobs": 1})


def test_length_only_sees_the_length_and_speaker_only_the_speaker(tmp_path):
    files = toy.files(tmp_path, dev=False)
    table = manifest.read(files.manifest / "utterances.csv")
    order = table["emotion"].map({c: i for i, c in enumerate(toy.CLASSES)})
    table["duration"] = 1.0 + order + np.linspace(0, 0.1, len(table))
    table.to_csv(files.manifest / "utterances.csv", index=False)
    scored = {}
    for control in ("majority", "length_only", "speaker_only"):
        run(toy.settings("cnns", SIZES, TRAINING, features=["vectors"], control=control), files, {"jobs": 1})
        scored[control] = _accuracy(predictions.read(files.predictions).table)
    assert scored["length_only"] > 0.9
    assert scored["speaker_only"] == pytest.approx(scored["majority"])  # every test speaker is new
