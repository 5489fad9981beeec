from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ser.core.errors import SerError
from ser.evaluation import predictions


def test_classification_round_trip_is_sorted_rounded_and_byte_stable(emotions, tmp_path):
    a, b = tmp_path / "a.csv", tmp_path / "b.csv"
    predictions.write(emotions, a)
    predictions.write(emotions.sample(frac=1, random_state=0), b)
    assert a.read_bytes() == b.read_bytes()
    found = predictions.read(a)
    assert found.kind == "classification"
    assert found.classes == ("anger", "boredom", "neutral", "sadness")
    assert found.table["speaker"].iloc[0] == "00"  # not the number 0
    expected = emotions.sort_values(["seed", "fold", "utterance"])["score_anger"].to_numpy()
    np.testing.assert_allclose(found.table["score_anger"], expected, atol=0.5e-5)
    predictions.write(found.table, b)
    assert a.read_bytes() == b.read_bytes()


def test_the_file_is_what_the_documentation_says(tmp_path):
    row = {
        "utterance": "u1",
        "corpus": "emodb",
        "fold": "1",
        "seed": 1,
        "speaker": "03",
        "truth": "a",
        "score_a": -1e-9,
    }
    predictions.write(pd.DataFrame([{**row, "score_b": 0.1234567}]), tmp_path / "p.csv")
    assert (tmp_path / "p.csv").read_text() == (
        "utterance,corpus,fold,seed,speaker,truth,prediction,score_a,score_b\nu1,emodb,1,1,03,a,b,0.0,0.12346\n"
    )


def test_float32_scores_are_written_short(emotions, tmp_path):
    scores = [c for c in emotions if c.startswith("score_")]
    predictions.write(emotions.astype(dict.fromkeys(scores, np.float32)), tmp_path / "p.csv")
    fields = (tmp_path / "p.csv").read_text().splitlines()[1].split(",")[7:]
    assert all(len(f) <= 7 for f in fields)


def test_a_tie_made_by_rounding_goes_to_the_lowest_class(emotions, tmp_path):
    table = emotions.head(1).assign(
        score_anger=0.5000001, score_boredom=0.5000004, score_neutral=0.0, score_sadness=0.0
    )
    predictions.write(table.assign(prediction="boredom"), tmp_path / "p.csv")
    assert predictions.read(tmp_path / "p.csv").table["prediction"].item() == "anger"


def test_continuous_round_trip_keeps_missing_labels(affect, tmp_path):
    affect.loc[[3, 4], "truth_arousal"] = np.nan
    predictions.write(affect.sample(frac=1, random_state=0), tmp_path / "p.csv")
    found = predictions.read(tmp_path / "p.csv")
    assert (found.kind, found.dimensions) == ("continuous", ("arousal", "valence"))
    assert np.flatnonzero(found.table["truth_arousal"].isna()).tolist() == [3, 4]
    np.testing.assert_allclose(found.table["prediction_valence"], affect["prediction_valence"], atol=0.5e-5)


def test_a_failed_write_leaves_the_old_file(emotions, tmp_path):
    predictions.write(emotions, tmp_path / "p.csv")
    before = (tmp_path / "p.csv").read_bytes()
    with pytest.raises(SerError):
        predictions.write(emotions.assign(truth="joy"), tmp_path / "p.csv")
    assert [p.name for p in tmp_path.iterdir()] == ["p.csv"]
    assert (tmp_path / "p.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score_anger": np.nan}, "score_anger is not a finite number"),
        ({"truth": "joy"}, "truth 'joy' is none of the classes"),
        ({"prediction": "joy"}, "prediction 'joy' is none of the classes"),
        ({"prediction": "sadness", "score_sadness": -1.0}, "not the class of the highest score"),
        ({"utterance": "u00-00"}, "occurs twice"),
        ({"loudness": 1.0}, "column 'loudness'"),
    ],
)
def test_write_refuses_what_read_would(emotions, tmp_path, change, message):
    with pytest.raises(SerError, match=message):
        predictions.write(emotions.assign(**change), tmp_path / "p.csv")


GOOD = ["u1,c,f,1,s,a,a,0.7,0.3", "u2,c,f,1,s,b,b,0.2,0.8", "u3,c,f,1,s,a,a,0.5,0.5"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("u3,c,f,1,s,a,b,0.7,0.3", "line 4.*|highest score"),
        ("u3,c,f,1,s,a,b,0.5,0.5", "highest score .ties: the first class. .*line 4"),
        ("u3,c,f,1,s,a,a,x,0.3", "score_a is 'x', not a number .*line 4"),
        ("u3,c,f,1,s,a,a,,0.3", "score_a is '', not a number .*line 4"),
        ("u3,c,f,1,s,a,a,inf,0.3", "score_a is not a finite number .*line 4"),
        ("u3,c,f,1,s,a,a,0.7", "score_b.*line 4"),
        ("u3,c,f,1,s,a,a,0.7,0.3,9", "(?i)4, saw 10"),
        ("u3,c,f,1.5,s,a,a,0.7,0.3", "seed is '1.5', not a number .*line 4"),
        ("u3,c,f,1,s,d,a,0.7,0.3", "truth 'd' is none of the classes a, b .*line 4"),
        ("u1,c,f,1,s,a,a,0.7,0.3", "seed, fold, utterance occurs twice .*line 4"),
        (",c,f,1,s,a,a,0.7,0.3", "without a name .*line 4"),
    ],
)
def test_read_names_the_line(tmp_path, row, message):
    head = "utterance,corpus,fold,seed,speaker,truth,prediction,score_a,score_b"
    path = tmp_path / "p.csv"
    path.write_text("\n".join([head, *GOOD]) + "\n")
    assert len(predictions.read(path).table) == 3
    path.write_text("\n".join([head, *GOOD[:2], row]) + "\n")
    with pytest.raises(SerError, match=message) as caught:
        predictions.read(path)
    assert "p.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "neither score_ nor truth_ columns"),
        ("a,b\n1,2\n", "neither score_ nor truth_ columns"),
        ("utterance,corpus,fold,seed,truth,prediction,score_a\n", "no column 'speaker'"),
        ("utterance,corpus,fold,seed,speaker,truth,prediction,score_a\n", "without predictions"),
        (
            "utterance,corpus,fold,seed,speaker,truth,prediction,score_a\nu,c,f,1,s,a,a,1,2\n",
            "more fields than the header",
        ),
        ("utterance,corpus,fold,seed,speaker,time,truth_x\n", "no column 'prediction_x'"),
    ],
)
def test_read_refuses_foreign_files(tmp_path, text, message):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(SerError, match=message):
        predictions.read(tmp_path / "p.csv")


def test_read_refuses_binary_and_missing_files(tmp_path):
    (tmp_path / "p.csv").write_bytes(b"\xff\xfe\x00score_")
    with pytest.raises(SerError, match="not a text file"):
        predictions.read(tmp_path / "p.csv")
    with pytest.raises(SerError, match="no predictions file"):
        predictions.read(tmp_path / "q.csv")
