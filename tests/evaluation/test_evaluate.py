from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sklearn_metrics

from ser.evaluation import predictions
from ser.evaluation.evaluate import evaluate, run, windows
from ser.evaluation.metrics import ccc
from ser.evaluation.parts import plot_rows

DETAILS = {
    "study": "demo",
    "experiment": "svm-emodb-loso",
    "model": "svm",
    "size": "demo",
    "corpus": "emodb",
    "protocol": "leave_one_speaker_out",
    "speaker_independent": True,
    "selection": "dev",
    "transductive": False,
    "synthetic": False,
}


@pytest.fixture
def write(tmp_path):
    def write(table):
        predictions.write(table, tmp_path / "p.csv")
        return tmp_path / "p.csv"

    return write


def test_headline_is_the_mean_over_seeds_of_pooled_metrics(emotions, write):
    path = write(emotions)
    found = evaluate(path, DETAILS, draws=200)
    table = predictions.read(path).table
    by_seed = [t for _, t in table.groupby("seed")]
    expected = {
        "wa": [sklearn_metrics.accuracy_score(t["truth"], t["prediction"]) for t in by_seed],
        "ua": [sklearn_metrics.recall_score(t["truth"], t["prediction"], average="macro") for t in by_seed],
        "f1": [sklearn_metrics.f1_score(t["truth"], t["prediction"], average="macro") for t in by_seed],
    }
    for name, values in expected.items():
        assert found[name] == round(np.mean(values), 4)
        assert found[f"{name}_low"] < found[name] < found[f"{name}_high"]
        assert found["about"][0]["seed_sd"][name] == pytest.approx(np.std(values, ddof=1), abs=1e-4)
    assert found["n"] == 120


def test_about_says_what_the_numbers_are(emotions, write):
    (about,) = evaluate(write(emotions), DETAILS, draws=10)["about"]
    assert about["classes"] == ["anger", "boredom", "neutral", "sadness"]
    assert (about["utterances"], about["speakers"], about["folds"], about["seeds"]) == (120, 6, 6, [1, 2])
    assert (about["data"], about["protocol"], about["speaker_independent"]) == ("real", "leave_one_speaker_out", True)
    assert about["interval"]["units"] == 6
    assert about["by_fold"]["classes_averaged"] == {f"0{i}": 4 for i in range(6)}
    assert any("only 6 speakers" in note for note in about["notes"])


def test_only_headline_numbers_are_scalars(emotions, write):
    """`dvc metrics show` makes a column of every scalar it finds in mappings."""
    found = evaluate(write(emotions), DETAILS, draws=10)
    assert [k for k, v in found.items() if not isinstance(v, list)] == [
        *("wa", "wa_low", "wa_high", "ua", "ua_low", "ua_high", "f1", "f1_low", "f1_high", "n", "data")
    ]
    assert len(found["about"]) == 1


def test_folds_that_lack_a_class(emotions, write):
    short = emotions[~((emotions["fold"] == "03") & (emotions["truth"] == "sadness"))]
    (about,) = evaluate(write(short), DETAILS, draws=0)["about"]
    assert about["by_fold"]["classes_averaged"]["03"] == 3
    assert "1 of 6 folds lack a class: their UA and F1 average the others" in about["notes"]
    folds = [
        sklearn_metrics.recall_score(t["truth"], t["prediction"], labels=sorted(set(t["truth"])), average="macro")
        for _, t in predictions.read(write(short)).table.groupby(["seed", "fold"])
    ]
    assert about["by_fold"]["ua"] == {
        "mean": pytest.approx(np.mean(folds), abs=1e-4),
        "sd": pytest.approx(np.std(folds, ddof=1), abs=1e-4),
    }


def test_one_speaker_has_no_interval_and_the_file_is_valid_json(make_emotions, write):
    found = evaluate(write(make_emotions(speakers=1, seeds=(1,))), {}, draws=100)
    assert found["wa_low"] is None
    about = found["about"][0]
    assert (about["experiment"], about["data"], about["model"]) == ("p", "unknown", None)
    assert {"fewer than two speakers: no interval", "one seed: no spread over seeds"} <= set(about["notes"])
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    ("details", "note"),
    [
        ({"synthetic": True}, "SYNTHETIC data"),
        ({"speaker_independent": False}, "speaker-dependent"),
        ({"transductive": True}, "transductive"),
        ({"selection": "test_oracle"}, "selected on test"),
        ({"control": "shuffled_labels"}, "control"),
    ],
)
def test_notes_flag_what_a_reader_must_know(emotions, write, details, note):
    path = write(emotions)

    def flagged(details):
        return any(n.startswith(note) for n in evaluate(path, details, draws=0)["about"][0]["notes"])

    assert flagged({**DETAILS, **details})
    assert not flagged(DETAILS)


def test_an_utterance_tested_twice_in_a_seed_is_noted(emotions, write):
    again = emotions.assign(fold=emotions["fold"].where(emotions["seed"] == 1, "x"), seed=1)
    notes = evaluate(write(again), DETAILS, draws=0)["about"][0]["notes"]
    assert "120 times an utterance is tested, and counted, in a second fold of its seed" in notes


def test_continuous_pools_the_recordings(affect, write):
    affect.loc[:9, "truth_arousal"] = np.nan
    path = write(affect)
    found = evaluate(path, {**DETAILS, "protocol": "partitions"}, draws=200)
    table = predictions.read(path).table
    labelled = table["truth_arousal"].notna()
    arousal = ccc(table["prediction_arousal"], table["truth_arousal"], labelled)
    valence = ccc(table["prediction_valence"], table["truth_valence"])
    assert found["ccc_arousal"] == pytest.approx(arousal, abs=6e-5)
    assert found["ccc"] == pytest.approx((arousal + valence) / 2, abs=6e-5)
    assert found["ccc_low"] < found["ccc"] < found["ccc_high"]
    about = found["about"][0]
    recordings = [ccc(t["prediction_valence"], t["truth_valence"]) for _, t in table.groupby("utterance")]
    assert about["mean_of_recordings"]["valence"] == pytest.approx(np.mean(recordings), abs=6e-5)
    assert (found["n"], about["frames"], about["interval"]["unit"]) == (5, 200, "recording")


def test_several_recordings_of_a_speaker_are_resampled_together(affect, write):
    affect["speaker"] = affect["utterance"].str[-1].map(lambda r: "ab"[int(r) % 2])
    interval = evaluate(write(affect), DETAILS, draws=10)["about"][0]["interval"]
    assert (interval["unit"], interval["units"]) == ("speaker", 2)


def test_test_part_without_labels_leaves_devel_only(affect, make_affect, write):
    import pandas as pd

    test = make_affect().assign(fold="partition-test", truth_arousal=np.nan, truth_valence=np.nan)
    test["utterance"] = test["utterance"].str.replace("Devel", "Test")
    details = {**DETAILS, "protocol": "partitions"}
    alone = evaluate(write(affect), details, draws=50)
    both = evaluate(write(pd.concat([affect, test])), details, draws=50)
    assert {k: v for k, v in both.items() if k != "about"} == {k: v for k, v in alone.items() if k != "about"}
    notes = both["about"][0]["notes"]
    assert "no labels for 5 recordings (Test_00, Test_01, Test_02 ...): not scored" in notes
    assert "selected on the development part it is scored on: biased upwards" in notes
    nothing = evaluate(write(test), details, draws=50)
    assert (nothing["n"], nothing["ccc"], nothing["ccc_valence_high"]) == (0, None, None)


def test_partitions_are_never_pooled(affect, make_affect, write):
    import pandas as pd

    test = make_affect().assign(fold="partition-test")
    test["utterance"] = test["utterance"].str.replace("Devel", "Test")
    test["prediction_valence"] = -test["truth_valence"]
    details = {**DETAILS, "protocol": "partitions"}
    found = evaluate(write(pd.concat([affect, test])), details, draws=0)
    assert found["ccc"] == evaluate(write(affect), details, draws=0)["ccc"]
    parts = found["about"][0]["partitions"]
    assert parts["partition-dev"]["ccc"] == found["ccc"]
    assert parts["partition-test"]["ccc_valence"] < 0


def test_run_writes_the_same_bytes_twice(emotions, write, tmp_path):
    path = write(emotions)
    for name in ("a", "b"):
        run(path, DETAILS, 100, tmp_path / f"{name}.json", tmp_path / f"{name}.csv")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert lines[0] == "truth,prediction"
    assert len(lines) == 241


def test_plot_rows_of_continuous_labels_are_thinned_evenly(make_affect, write):
    found = plot_rows(predictions.read(write(make_affect(recordings=10, frames=500))))
    assert found.columns.tolist() == ["truth", "prediction", "dimension"]
    assert found["dimension"].value_counts().to_dict() == {"arousal": 1000, "valence": 1000}
    assert found.notna().all(axis=None)


def test_imports_stay_light():
    code = (
        "import sys, ser.evaluation.evaluate, ser.report.summary\n"
        "import ser.report.html.page, ser.evaluation.wording\n"
        "heavy = {'torch', 'librosa', 'sklearn', 'matplotlib', 'scipy', 'opensmile', 'gensim'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_windows_are_judged_one_by_one():
    table = pd.DataFrame(
        {"utterance": ["u", "v", "w"], "truth": ["a", "a", "b"], "windows_a": [3, 0, 1], "windows_b": [1, 1, 3]}
    )
    assert windows(table, ("a", "b")) == {"n": 9, "wa": round(6 / 9, 4), "ua": round((3 / 5 + 3 / 4) / 2, 4)}


def test_pretraining_stands_in_the_metrics_file(emotions, write, tmp_path):
    weights = {"corpus": "librispeech", "synthetic": True, "train_hours": 0.9, "train_speakers": 11, "steps": 900}
    details = {**DETAILS, "notes": {"03-seed1": {"pretrained": {**weights, "settings": {}}}}}
    found = run(write(emotions), details, 10, tmp_path / "m.json", tmp_path / "p2.csv")
    (about,) = found["about"]
    assert about["pretraining"]["steps"] == 900
    assert "encoder pretrained on 0.90 h of SYNTHETIC speech (librispeech), 900 steps" in about["notes"]
