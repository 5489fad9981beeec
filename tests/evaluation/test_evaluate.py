from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from joblib.externals.loky import get_reusable_executor
from sklearn import metrics as sklearn_metrics

from ser.core.errors import SerError
from ser.core.files import write_json, write_text
from ser.core.layout import Layout
from ser.evaluation import overview, predictions, results
from ser.evaluation.evaluate import across, describe, run, run_study, score, windows
from ser.evaluation.metrics import ccc

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


def evaluate(path, details, draws):
    return score(predictions.read(path), describe({"experiment": path.stem, **details}), draws)


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
        one = found.scores[name]
        assert one.value == round(np.mean(values), 4)
        assert one.low < one.value < one.high
        assert one.seed_sd == pytest.approx(np.std(values, ddof=1), abs=1e-4)
    assert found.description.utterances == 120
    assert found.headline == found.scores["ua"]


def test_numbers_by_class_are_those_of_the_pooled_matrices_with_the_headline_s_resamples(emotions, write):
    path = write(emotions)
    found = evaluate(path, DETAILS, draws=200)
    by_seed = [t for _, t in predictions.read(path).table.groupby("seed")]
    scored = [
        sklearn_metrics.precision_recall_fscore_support(t["truth"], t["prediction"], labels=["anger"]) for t in by_seed
    ]
    for name, values in zip(("precision", "recall", "F1"), np.array(scored)[:, :3, 0].T, strict=True):
        one = found.by_class[f"{name} of anger"]
        assert one.value == round(np.mean(values), 4)
        assert one.low < one.value < one.high
    for name in ("weighted", "unweighted"):
        average = "macro" if name == "unweighted" else name
        values = [
            sklearn_metrics.precision_score(t["truth"], t["prediction"], average=average, zero_division=0)
            for t in by_seed
        ]
        assert found.by_class[f"{name} precision"].value == round(np.mean(values), 4)
    shares = [found.by_class[f"share of anger as {other}"].value for other in found.description.labels]
    assert sum(shares) == pytest.approx(1, abs=1e-3)
    assert found.by_class["share of anger as anger"] == found.by_class["recall of anger"]
    assert evaluate(path, DETAILS, draws=0).by_class["recall of anger"].low is None


def test_a_cell_that_no_resample_changes_has_no_interval(emotions, write):
    scores = [c for c in emotions if c.startswith("score_")]
    right = emotions.assign(**{c: (emotions["truth"] == c.removeprefix("score_")).astype(float) for c in scores})
    found = evaluate(write(right), DETAILS, draws=100)
    assert found.by_class["recall of anger"] == results.Score(1.0)
    assert found.by_class["share of anger as sadness"] == results.Score(0.0)


def test_the_spread_over_speakers_is_that_of_their_own_headlines(emotions, write):
    path = write(emotions)
    found = evaluate(path, DETAILS, draws=0)
    table = predictions.read(path).table
    own = table.groupby(["speaker", "seed"])[["truth", "prediction"]].apply(
        lambda t: sklearn_metrics.balanced_accuracy_score(t["truth"], t["prediction"])
    )
    own = own.groupby("speaker").mean()
    expected = {"lowest": own.min(), "highest": own.max(), "sd": own.std()}
    assert found.spread == pytest.approx(expected, abs=1e-4)
    row = results.table([found]).iloc[0]
    assert (row["units_lowest"], row["units_highest"]) == (found.spread["lowest"], found.spread["highest"])


def test_details_of_version_0_1_0_are_read():
    old = {
        "description": {"experiment": "x"},
        "scores": {"ua": {"value": 0.5}},
        "recall": {"fear": 0.4},
        "weighted_f1": 0.6,
    }
    found = results.from_json(old)
    assert found.by_class == {"recall of fear": results.Score(0.4), "weighted F1": results.Score(0.6)}


def test_the_description_says_what_the_numbers_are(emotions, write):
    found = evaluate(write(emotions), DETAILS, draws=10)
    about = found.description
    assert about.labels == ("anger", "boredom", "neutral", "sadness")
    assert (about.utterances, about.speakers, about.folds, about.seeds) == (120, 6, 6, (1, 2))
    assert (about.data, about.protocol, about.speaker_independent) == ("real", "leave_one_speaker_out", True)
    assert found.interval.units == 6
    assert found.classes_per_fold == {f"0{i}": 4 for i in range(6)}
    assert any("only 6 speakers" in note for note in found.notes)


def test_folds_that_lack_a_class(emotions, write):
    short = emotions[~((emotions["fold"] == "03") & (emotions["truth"] == "sadness"))]
    found = evaluate(write(short), DETAILS, draws=0)
    assert found.classes_per_fold["03"] == 3
    assert "1 of 6 folds lack a class: their UA and F1 average the others" in found.notes
    folds = [
        sklearn_metrics.recall_score(t["truth"], t["prediction"], labels=sorted(set(t["truth"])), average="macro")
        for _, t in predictions.read(write(short)).table.groupby(["seed", "fold"])
    ]
    ua = found.scores["ua"]
    assert (ua.fold_mean, ua.fold_sd) == (
        pytest.approx(np.mean(folds), abs=1e-4),
        pytest.approx(np.std(folds, ddof=1), abs=1e-4),
    )


def test_one_speaker_has_no_interval_and_the_files_are_valid_json(make_emotions, write, tmp_path, monkeypatch):
    found = evaluate(write(make_emotions(speakers=1, seeds=(1,))), {}, draws=100)
    assert found.scores["wa"].low is None
    about = found.description
    assert (about.experiment, about.data, about.model) == ("p", "unknown", None)
    assert {"fewer than two speakers: no interval", "one seed: no spread over seeds"} <= set(found.notes)
    monkeypatch.chdir(tmp_path)
    results.write(Layout("s"), found)
    for path in (Layout("s").scores("p"), Layout("s").details("p")):
        json.loads(path.read_text(), parse_constant=pytest.fail)


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
        return any(n.startswith(note) for n in evaluate(path, details, draws=0).notes)

    assert flagged({**DETAILS, **details})
    assert not flagged(DETAILS)


def test_an_utterance_tested_twice_in_a_seed_is_noted(emotions, write):
    again = emotions.assign(fold=emotions["fold"].where(emotions["seed"] == 1, "x"), seed=1)
    notes = evaluate(write(again), DETAILS, draws=0).notes
    assert "120 times an utterance is tested, and counted, in a second fold of its seed" in notes


def test_continuous_pools_the_recordings(affect, write):
    affect.loc[:9, "truth_arousal"] = np.nan
    path = write(affect)
    found = evaluate(path, {**DETAILS, "protocol": "partitions"}, draws=200)
    table = predictions.read(path).table
    labelled = table["truth_arousal"].notna()
    arousal = ccc(table["prediction_arousal"], table["truth_arousal"], labelled)
    valence = ccc(table["prediction_valence"], table["truth_valence"])
    assert found.scores["ccc_arousal"].value == pytest.approx(arousal, abs=6e-5)
    assert found.headline.value == pytest.approx((arousal + valence) / 2, abs=6e-5)
    assert found.headline.low < found.headline.value < found.headline.high
    recordings = [ccc(t["prediction_valence"], t["truth_valence"]) for _, t in table.groupby("utterance")]
    assert found.mean_of_recordings["valence"] == pytest.approx(np.mean(recordings), abs=6e-5)
    assert (found.description.utterances, found.description.frames, found.interval.unit) == (5, 200, "recording")


def test_several_recordings_of_a_speaker_are_resampled_together(affect, write):
    affect["speaker"] = affect["utterance"].str[-1].map(lambda r: "ab"[int(r) % 2])
    interval = evaluate(write(affect), DETAILS, draws=10).interval
    assert (interval.unit, interval.units) == ("speaker", 2)


def test_test_part_without_labels_leaves_devel_only(affect, make_affect, write):
    test = make_affect().assign(fold="partition-test", truth_arousal=np.nan, truth_valence=np.nan)
    test["utterance"] = test["utterance"].str.replace("Devel", "Test")
    details = {**DETAILS, "protocol": "partitions"}
    alone = evaluate(write(affect), details, draws=50)
    both = evaluate(write(pd.concat([affect, test])), details, draws=50)
    assert both.scores == alone.scores
    notes = both.notes
    assert "no labels for 5 recordings (Test_00, Test_01, Test_02 ...): not scored" in notes
    assert "selected on the development part that it is scored on: biased upwards" in notes
    nothing = evaluate(write(test), details, draws=50)
    assert (nothing.description.utterances, nothing.headline.value, nothing.scores["ccc_valence"].high) == (
        0,
        None,
        None,
    )


def test_partitions_are_never_pooled(affect, make_affect, write):
    test = make_affect().assign(fold="partition-test")
    test["utterance"] = test["utterance"].str.replace("Devel", "Test")
    test["prediction_valence"] = -test["truth_valence"]
    details = {**DETAILS, "protocol": "partitions"}
    found = evaluate(write(pd.concat([affect, test])), details, draws=0)
    assert found.scores == evaluate(write(affect), details, draws=0).scores
    assert found.partitions["partition-dev"]["ccc"] == found.headline.value
    assert found.partitions["partition-test"]["ccc_valence"] < 0


@pytest.fixture
def study(emotions, affect, tmp_path, monkeypatch):
    """A study of two experiments whose training has finished, and the settings of its evaluate stage."""
    monkeypatch.chdir(tmp_path)
    layout = Layout("s")
    for name, table in (("emotions", emotions), ("affect", affect)):
        predictions.write(table, layout.predictions(name))
        write_json(layout.card(name), {"synthetic": False, "speaker_independent": True})
    own = {"model": "svm", "corpus": "emodb", "protocol": "leave_one_speaker_out"}
    experiments = {"emotions": own, "affect": {**own, "corpus": "sewa", "protocol": "partitions"}}
    return layout, {"study": "s", "experiments": experiments, "draws": 50, "confidence": 0.95}


def test_a_study_gives_the_same_bytes_with_one_worker_and_two(study):
    layout, settings = study
    get_reusable_executor().shutdown()  # workers of tests before are in another folder, and the paths are relative
    written = []
    for jobs in (1, 2):
        run_study(layout, settings, jobs)
        written.append([p.read_bytes() for p in sorted(layout.metrics.rglob("*.json"))])
    assert written[0] == written[1]
    assert len(written[0]) == 7  # scores, details and card of each, and the summary


def test_files_for_dvc_are_flat_and_short(study):
    layout, settings = study
    run_study(layout, settings)
    assert list(json.loads(layout.scores("emotions").read_text())) == ["UA", "WA", "F1"]
    affect = json.loads(layout.scores("affect").read_text())
    assert list(affect) == ["CCC"]
    assert all(len(str(v)) <= 6 for v in affect.values())


def test_the_summary_is_the_mean_over_the_systems(study):
    layout, settings = study
    predictions.write(predictions.read(layout.predictions("emotions")).table, layout.predictions("dummy"))
    write_json(layout.card("dummy"), {"synthetic": False, "speaker_independent": True})
    settings["experiments"]["dummy"] = {**settings["experiments"]["emotions"], "model": "majority"}
    settings["experiments"]["twin"] = settings["experiments"]["emotions"]
    predictions.write(predictions.read(layout.predictions("emotions")).table, layout.predictions("twin"))
    write_json(layout.card("twin"), {"synthetic": False, "speaker_independent": True})
    table = run_study(layout, settings)
    summary = json.loads((layout.metrics / "summary.json").read_text())
    assert list(summary) == ["mean UA", "mean CCC"]
    assert summary["mean UA"] == pytest.approx(table.loc["emotions", "ua"], abs=5e-4)  # of two equal systems
    assert summary["mean CCC"] == pytest.approx(table.loc["affect", "ccc"], abs=5e-4)


def test_curves_of_experiments_on_the_same_folds_are_in_one_table(study):
    layout, settings = study
    for name, own in settings["experiments"].items():
        own_curve = pd.DataFrame({"evaluation": [1, 2, 3], "train_loss": [3.0, 2.0, 1.0], "dev_score": None})
        write_text(layout.curves(name), own_curve.to_csv(index=False))
        settings["experiments"][name] = {**own, "folds": "emodb-loso"}
    write_text(layout.curves("svm"), own_curve.head(2).to_csv(index=False))
    settings["experiments"]["svm"] = settings["experiments"]["affect"]
    (found,) = overview.curves(layout, settings["experiments"]).items()
    assert found[0] == "emodb-loso"
    assert found[1]["experiment"].tolist() == ["emotions"] * 3 + ["affect"] * 3


def test_a_study_returns_the_table_of_scores_and_prints_it(study, capsys):
    layout, settings = study
    table = run_study(layout, settings)
    assert table.index.tolist() == ["emotions", "affect"]
    assert table.loc["emotions", "ua_low"] < table.loc["emotions", "ua"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("emotions  UA 0.")
    assert lines[1].startswith("affect    CCC 0.")
    assert all(len(line) <= 140 for line in lines)


def test_details_are_read_as_they_were_written(study):
    layout, settings = study
    run_study(layout, settings)
    for name in settings["experiments"]:
        own = {"study": "s", **settings["experiments"][name]}
        assert results.read(layout, name) == run(layout, name, own, 50)


def test_files_of_experiments_that_the_study_no_longer_has_are_removed(study):
    layout, settings = study
    run_study(layout, settings)
    del settings["experiments"]["affect"]
    run_study(layout, settings)
    assert [p.stem for p in layout.metrics.glob("scores/*")] == ["emotions"]
    assert [p.stem for p in layout.metrics.glob("details/*")] == ["emotions"]


def test_details_of_another_version_are_refused_in_one_line(study):
    layout, settings = study
    run_study(layout, settings)
    write_json(layout.details("affect"), {"wa": 0.5})
    with pytest.raises(
        SerError, match=r"not the details of an experiment.*affect.json.*dvc repro -f -s studies/s/dvc.yaml:evaluate"
    ):
        results.read(layout, "affect")


def test_imports_stay_light():
    code = (
        "import sys, ser.evaluation.evaluate, ser.evaluation.wording, ser.report.write\n"
        "heavy = {'torch', 'librosa', 'sklearn', 'matplotlib', 'scipy', 'opensmile', 'gensim'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_windows_are_judged_one_by_one():
    table = pd.DataFrame(
        {"utterance": ["u", "v", "w"], "truth": ["a", "a", "b"], "windows_a": [3, 0, 1], "windows_b": [1, 1, 3]}
    )
    assert windows(table, ("a", "b")) == {"n": 9, "wa": round(6 / 9, 4), "ua": round((3 / 5 + 3 / 4) / 2, 4)}


def test_the_pretraining_of_an_encoder_is_part_of_the_details(study):
    layout, settings = study
    weights = {"corpus": "librispeech", "synthetic": True, "train_hours": 0.9, "train_speakers": 11, "steps": 900}
    write_json(layout.card("emotions"), {"notes": {"03-seed1": {"pretrained": {**weights, "settings": {}}}}})
    found = run(layout, "emotions", settings["experiments"]["emotions"], 10)
    assert found.pretraining["steps"] == 900
    assert "encoder pretrained on 0.90 h of SYNTHETIC speech (librispeech), 900 steps" in found.notes


def test_each_test_corpus_apart_for_each_training(emotions, write):
    """The cells of the matrix are the metric of scikit-learn on the rows of the folds and of the corpus."""
    table = emotions.copy()
    table["corpus"] = np.where(table["speaker"].isin(sorted(set(table["speaker"]))[:2]), "a", "b")
    table["fold"] = np.where(table["corpus"] == "a", "b-to-a", "a-to-b")
    read = predictions.read(write(table))
    about = describe({"experiment": "x", **DETAILS})
    found = across(read, {"b-to-a": ["b"], "a-to-b": ["a"]}, about, draws=200)
    assert [(cell.train, cell.test) for cell in found] == [(("a",), "b"), (("b",), "a")]
    for cell in found:
        own = read.table[read.table["corpus"] == cell.test]
        by_seed = [
            sklearn_metrics.recall_score(t["truth"], t["prediction"], average="macro") for _, t in own.groupby("seed")
        ]
        assert cell.score.value == round(np.mean(by_seed), 4)
        assert cell.score.low < cell.score.value < cell.score.high
        assert (cell.utterances, cell.speakers) == (own["utterance"].nunique(), own["speaker"].nunique())
    kept = results.from_json(json.loads(json.dumps(dataclasses.asdict(results.Result(about, {}, across=found)))))
    assert kept.across == found
