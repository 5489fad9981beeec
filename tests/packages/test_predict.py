"""`ser predict` and `ser.load`: what they accept, what they write, how they fail, and that they continue."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import soundfile

import ser
from ser.core.errors import SerError
from ser.packages import contents, predict, recordings
from ser.packages.recordings import Window
from tests.conftest import ROOT

RATE = 22050
RNG = np.random.default_rng(0)


def tone(seconds: float, rate: int = RATE, channels: int = 1) -> np.ndarray:
    t = np.arange(round(seconds * rate)) / rate
    signal = 0.3 * np.sin(2 * np.pi * 180 * t) * (1 + np.sin(2 * np.pi * 3 * t)) + 0.01 * RNG.normal(size=len(t))
    return signal if channels == 1 else np.stack([signal] * channels, 1)


@pytest.fixture
def audio(tmp_path):
    """A folder with mono and stereo recordings of different rates and formats."""
    folder = tmp_path / "audio"
    (folder / "inner").mkdir(parents=True)
    soundfile.write(folder / "a.wav", tone(1.0), RATE)
    soundfile.write(folder / "b.flac", tone(1.5, 48000, 2), 48000)
    soundfile.write(folder / "inner" / "c.wav", tone(2.0, 8000), 8000)
    (folder / "notes.txt").write_text("no audio")
    return folder


def table(path) -> pd.DataFrame:
    return pd.read_csv(path)


@pytest.mark.parametrize("model", ["svm", "cnns"])
def test_a_folder_gives_one_row_per_recording(model, package, audio, tmp_path):
    out = tmp_path / "p.csv"
    predict.run(str(package(model)), [str(audio)], out)
    rows = table(out)
    assert [f.rsplit("/", 1)[1] for f in rows["file"]] == ["a.wav", "b.flac", "c.wav"]
    scores = rows[[c for c in rows if c.startswith("score_")]]
    assert scores.shape == (3, 7)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(rows["confidence"], scores.max(axis=1))
    assert (rows["class"] == scores.idxmax(axis=1).str.removeprefix("score_")).all()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["audio", "p.csv"]


def test_in_python_as_in_a_table(package, audio, tmp_path):
    model = ser.load(package("svm"))
    signal, rate = soundfile.read(audio / "b.flac")
    found = model(signal, rate)
    assert [f["score"] for f in found] == sorted((f["score"] for f in found), reverse=True)
    predict.run(str(package("svm")), [str(audio / "b.flac")], tmp_path / "p.csv")
    row = table(tmp_path / "p.csv").iloc[0]
    assert found[0]["label"] == row["class"]
    assert abs(found[0]["score"] - row["confidence"]) < 1e-6
    assert model([signal, signal[:RATE]], rate)[0] == found


def test_the_columns_of_a_table_are_kept(package, audio, tmp_path):
    (audio / "t.csv").write_text("id,file,start,end\nx,a.wav,,\ny,b.flac,0.5,1.25\n")
    predict.run(str(package("svm")), [str(audio / "t.csv")], tmp_path / "p.csv")
    rows = table(tmp_path / "p.csv")
    assert list(rows.columns[:6]) == ["file", "start", "end", "id", "class", "confidence"]
    assert rows[["file", "start", "end", "id"]].to_numpy().tolist() == [
        ["a.wav", 0, 1, "x"],
        ["b.flac", 0.5, 1.25, "y"],
    ]
    (audio / "t.csv").write_text("file,class\na.wav,1\n")
    with pytest.raises(SerError, match="column 'class'"):
        predict.run(str(package("svm")), [str(audio / "t.csv")], tmp_path / "p.csv")


def test_a_table_never_replaces_an_input_or_a_folder(package, audio, tmp_path):
    (audio / "t.csv").write_text("file\na.wav\n")
    with pytest.raises(SerError, match="would replace this input"):
        predict.run(str(package("svm")), [str(audio / "t.csv")], audio / "inner" / ".." / "t.csv")
    assert (audio / "t.csv").read_text() == "file\na.wav\n"
    with pytest.raises(SerError, match="a folder cannot be the table"):
        predict.run(str(package("svm")), [str(audio / "t.csv")], audio)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["audio"]


def test_a_list_on_stdin_goes_to_stdout(package, audio, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{audio}/a.wav\n\n{audio}/b.flac\n"))
    predict.run(str(package("svm")), ["-"])
    assert len(pd.read_csv(io.StringIO(capsys.readouterr().out))) == 2


def test_windows_cover_a_long_recording(package, tmp_path, monkeypatch):
    soundfile.write(tmp_path / "long.wav", tone(5.3), RATE)
    predict.run(str(package("svm")), [str(tmp_path / "long.wav")], tmp_path / "p.csv", Window(2.0, 1.0))
    rows = table(tmp_path / "p.csv")
    assert rows["start"].tolist() == [0, 1, 2, 3, 3.3]
    assert (rows["end"] - rows["start"]).round(6).tolist() == [2] * 5
    monkeypatch.setattr(recordings, "LONGEST", 3.0)
    with pytest.raises(SerError, match="1 of 1 recordings could not be predicted"):
        predict.run(str(package("svm")), [str(tmp_path / "long.wav")], tmp_path / "p.csv")
    assert "--window" in table(tmp_path / "p.errors.csv")["error"][0]


def test_continuous_labels_have_a_row_every_tenth_of_a_second(package, tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(2.0), RATE)
    predict.run(str(package("semantic")), [str(tmp_path / "a.wav")], tmp_path / "p.csv")
    rows = table(tmp_path / "p.csv")
    assert list(rows.columns) == ["file", "start", "end", "arousal", "valence", "liking"]
    assert rows["start"].tolist() == [round(k / 10, 1) for k in range(20)]
    assert len(ser.load(package("semantic"))(tone(2.0), RATE)) == 20


def test_bad_files_are_one_line_each_and_the_others_are_predicted(package, audio, tmp_path, capsys):
    (audio / "empty.wav").touch()
    (audio / "text.wav").write_text("this is no audio")
    soundfile.write(audio / "nan.wav", np.array([0.1, np.nan] * 8000), 16000, subtype="FLOAT")
    soundfile.write(audio / "short.wav", tone(0.05), RATE)
    soundfile.write(audio / "none.wav", np.zeros(0), RATE)
    out = tmp_path / "p.csv"
    with pytest.raises(SerError, match=r"6 of 9 recordings could not be predicted \(.*p.errors.csv\)"):
        predict.run(str(package("svm")), [str(audio), str(audio / "missing.wav")], out)
    assert len(table(out)) == 3
    errors = table(tmp_path / "p.errors.csv").set_index("file")["error"]
    wanted = {
        "empty": "0 bytes",
        "text": "not a readable audio",
        "nan": "NaN",
        "short": "too short",
        "none": "without samples",
    }
    for name, text in {**wanted, "missing": "missing audio file"}.items():
        message = errors[str(audio / f"{name}.wav")]
        assert text in message
        assert f"{name}.wav" in message
    assert sum(line.startswith("error: ") for line in capsys.readouterr().err.splitlines()) == 6
    for path in audio.glob("*.wav"):
        if path.stem != "a":
            path.unlink()
    predict.run(str(package("svm")), [str(audio)], out)
    assert not (tmp_path / "p.errors.csv").exists()


def test_a_killed_call_continues(package, audio, tmp_path, monkeypatch):
    out, read = tmp_path / "p.csv", []
    monkeypatch.setattr(predict, "PIECES", 1)
    original = predict._read

    def watched(model, recording, piece):
        if len(read) == 2:
            raise KeyboardInterrupt
        read.append(recording.file)
        return original(model, recording, piece)

    monkeypatch.setattr(predict, "_read", watched)
    with pytest.raises(KeyboardInterrupt):
        predict.run(str(package("svm")), [str(audio)], out)
    assert not out.exists()
    (journal,) = tmp_path.glob(".p.csv.*.part")
    with journal.open("a") as file:
        file.write('{"number": 2, "st')  # a line that a kill has cut
    monkeypatch.setattr(predict, "_read", original)
    predict.run(str(package("svm")), [str(audio)], out)
    continued = out.read_bytes()
    predict.run(str(package("svm")), [str(audio)], out)
    assert continued == out.read_bytes()
    assert len(table(out)) == 3
    assert not list(tmp_path.glob(".p.csv.*"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("version", r"package format 99 is unknown.*Install the version of ser that made it"),
        ("changed", r"not those that the package was made with \(.*weights.safetensors\)"),
        ("missing", r"the package has no weights"),
        ("nothing", r"not a package: it has no ser.yaml"),
        ("key", r"unknown key 'colour'"),
    ],
)
def test_a_package_that_is_not_sound_is_refused(change, message, package, audio, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(package("svm"), copy)
    about, weights = copy / contents.ABOUT, copy / contents.WEIGHTS
    if change == "version":
        about.write_text(about.read_text().replace("format: 1", "format: 99"))
    elif change == "changed":
        weights.write_bytes(weights.read_bytes()[:-1] + b"\0\0")
    elif change == "missing":
        weights.unlink()
    elif change == "nothing":
        about.unlink()
    else:
        about.write_text(about.read_text() + "colour: red\n")
    with pytest.raises(SerError, match=message):
        predict.run(str(copy), [str(audio)], tmp_path / "p.csv")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["audio", "copy"]


def test_a_package_is_used_in_another_folder_without_study_dvc_or_network(package, audio, tmp_path):
    """A new process in an empty folder, in which DVC and the network cannot be used."""
    shutil.copytree(package("cnns"), tmp_path / "model")
    code = (
        "import socket, sys\n"
        "socket.socket.connect = None\n"
        "sys.modules['dvc'] = None\n"
        "from ser.cli import main\n"
        "main(['predict', 'model', 'audio', '--out', 'p.csv'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PATH": "", "PYTHONPATH": str(ROOT / "src"), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(table(tmp_path / "p.csv")) == 3


def test_the_model_card_says_what_matters(package):
    from ruamel.yaml import YAML

    text = (package("svm") / contents.CARD).read_text()
    _, head, body = text.split("---\n", 2)
    about = YAML(typ="safe").load(head)
    assert about["pipeline_tag"] == "audio-classification"
    assert {m["type"] for m in about["model-index"][0]["results"][0]["metrics"]} == {"accuracy", "recall", "f1"}
    for words in (
        "SYNTHETIC",
        "leave_one_speaker_out",
        "none",
        "Interval",
        "Selection",
        "temperature",
        "Spread",
        "openSMILE",
    ):
        assert words in body
    for article in ("Art. 5(1)(f)", "Art. 50(3)"):
        assert article in body


def test_what_cannot_be_packaged_is_refused_before_anything_runs():
    from ser.packages.make import refusal

    sound = {"control": "none", "words": {}, "selection": "last", "config": {}, "training": {}}
    assert not refusal(sound)
    for change in ({"control": "majority"}, {"words": {"words": "x"}}, {"selection": "test_oracle"}):
        assert refusal({**sound, **change})
    assert refusal({**sound, "config": {"scaling": "per_speaker"}})
    assert refusal({**sound, "training": {"normalise": "speaker"}})
