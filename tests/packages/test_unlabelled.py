"""Rows of a table without an emotion, in partition test: they are predicted, and they are not scored."""

from __future__ import annotations

import csv

import numpy as np
import pandas as pd
import pytest
import soundfile

import ser
from ser.core.errors import SerError
from ser.core.files import read_json
from ser.corpora import table
from tests.packages.conftest import run

PARAMS = """
study: demo
root: .
params: params.yaml
data: real
defaults: {{size: demo}}
corpora:
  table: {{source: real, reader: {{csv: {csv}}}}}
audio:
  table: {{rate: 16000}}
features:
  table-is09: {{corpus: table, feature: functionals, set: is09}}
folds:
  table-partitions: {{corpus: table, protocol: partitions, seed: 1}}
pretraining: {{}}
words: {{}}
models:
  svm: {{C: [0.01]}}
experiments:
  svm: {{model: svm, corpus: table, folds: partitions, feature: is09}}
finetuning: {{}}
with_functionals: {{}}
with_words: {{}}
packages:
  svm: {{experiment: svm}}
statistics: {{draws: 20}}
"""


def write(folder, rows):
    """A table with tones as audio: low ones are sad, high ones are happy."""
    folder.mkdir()
    t, rng = np.arange(8000) / 16000, np.random.default_rng(0)
    for file, _, emotion, _ in rows:
        pitch = {"sad": 120, "happy": 300}.get(emotion, 200)
        signal = 0.3 * np.sin(2 * np.pi * pitch * rng.uniform(0.9, 1.1) * t) + 0.01 * rng.normal(size=len(t))
        soundfile.write(folder / file, signal, 16000)
    with (folder / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "speaker", "emotion", "partition"), *rows])
    return folder


def rows(test):
    made = [
        (f"{s}{k}{e}.wav", s, e, p) for p, s in (("train", "a"), ("dev", "b")) for e in ("sad", "happy") for k in "12"
    ]
    return made + [(f"c{k}.wav", "c", emotion, "test") for k, emotion in enumerate(test)]


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Runs the study on a table whose test part has these emotions, and goes into its folder."""

    def start(test):
        corpus = write(tmp_path / "corpus", rows(test))
        (tmp_path / "study").mkdir()
        monkeypatch.chdir(run(tmp_path / "study", PARAMS.format(csv=corpus / "table.csv")))

    return start


def test_they_are_predicted_and_not_scored(study):
    study(["sad", "", "happy", ""])
    found = pd.read_csv("metrics/demo/predictions/svm.csv", keep_default_na=False)
    assert found["truth"].tolist() == ["sad", "", "happy", ""]
    assert set(found["prediction"]) <= {"sad", "happy"}
    details = read_json("metrics/demo/details/svm.json")
    assert details["description"]["utterances"] == 2
    right = (found["truth"] == found["prediction"])[found["truth"] != ""]
    assert read_json("metrics/demo/scores/svm.json")["WA"] == round(right.mean(), 3)
    assert any("no labels for 2 recordings (c1, c3): not scored" in note for note in details["notes"])
    assert len(ser.load("data/demo/packages/svm").contents.outputs) == 2


def test_a_test_part_without_any_label_has_no_score(study):
    study(["", ""])
    assert len(pd.read_csv("metrics/demo/predictions/svm.csv")) == 2
    assert read_json("metrics/demo/details/svm.json")["description"]["utterances"] == 0


def test_elsewhere_an_emotion_is_needed(tmp_path):
    corpus = write(tmp_path / "corpus", [*rows(["sad"]), ("d.wav", "d", "", "train")])
    with pytest.raises(SerError, match=r"empty emotion .*table.csv:11.*Only rows of partition test"):
        list(table.utterances(corpus))
    corpus = write(tmp_path / "none", [("d.wav", "d", "", "test")])
    with pytest.raises(SerError, match="no row has a label"):
        list(table.utterances(corpus))


def test_a_protocol_that_trains_on_them_is_refused(tmp_path):
    corpus = write(tmp_path / "corpus", rows(["sad", ""]))
    (tmp_path / "study").mkdir()
    params = PARAMS.replace("protocol: partitions", "protocol: leave_one_speaker_out")
    with pytest.raises(SerError, match=r"c1 .*no labels but is in the train part.*partitions"):
        run(tmp_path / "study", params.format(csv=corpus / "table.csv"))
