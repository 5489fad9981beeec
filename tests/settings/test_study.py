"""`ser study new` and `ser study status` in a folder that has dvc.yaml and a whole params.yaml; nothing is run."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from pathlib import Path

import pytest

from ser.core import plugins
from ser.core.errors import SerError
from ser.corpora import source, table
from ser.corpora.location import Location, changed, receipt
from ser.settings import check, files, starter, status, study
from ser.settings.schema import GROUPS
from ser.settings.yamlfile import load
from tests import corpus_trees
from tests.conftest import ROOT


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SER_RAW", str(tmp_path / "raw"))
    shutil.copyfile(ROOT / "tests/settings/params.yaml", tmp_path / "params.yaml")
    shutil.copyfile(ROOT / "dvc.yaml", tmp_path / "dvc.yaml")
    (tmp_path / "stages").symlink_to(ROOT / "stages")
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    return tmp_path


def _table(place: Path, speakers: int, emotion: str = "") -> str:
    (place / "mine, it's").mkdir()
    rows = [f"{i}.wav,s{i % speakers},{emotion or ('happy', 'sad')[i // 5]}" for i in range(10)]
    (place / "mine, it's" / "my.csv").write_text("\n".join(["file,speaker,emotion", *rows]) + "\n")
    return "mine, it's/my.csv"


def _new(corpora: str, **options: str) -> dict:
    study.new("mine", corpora.split(","), ["*"], **options)
    return load("studies/mine/params.yaml")


def _experiments(data: dict) -> dict:
    return {name: e for group in GROUPS for name, e in data[group].items()}


def test_a_study_keeps_what_its_corpora_need(place):
    data = _new("emodb,ravdess")
    assert list(data["corpora"]) == ["emodb", "ravdess"]
    assert {e["corpus"] for e in _experiments(data).values()} == {"emodb", "ravdess"}
    assert (data["study"], data["root"], data["params"]) == ("mine", "../..", "studies/mine/params.yaml")
    assert (place / "studies/mine/dvc.yaml").read_bytes() == (ROOT / "dvc.yaml").read_bytes()


def test_experiments_that_need_further_corpora_are_named(place):
    lines = study.new("mine", ["sewa"], ["*"]).splitlines()
    assert "left out: aligned_concat-sewa-partitions also needs librispeech" in lines
    assert not any("emodb" in line for line in lines)
    data = load("studies/mine/params.yaml")
    assert data["experiments"]
    assert (data["with_words"], data["words"], data["finetuning"], data["pretraining"]) == ({}, {}, {}, {})


def test_a_study_is_started_before_dvc_sees_it(place):
    shutil.copytree(ROOT / "studies/leaks", place / "studies/leaks", ignore=shutil.ignore_patterns("dvc.*"))
    assert status.status("leaks") == "study leaks has not been started. Run: ser study start leaks"
    assert "dvc repro studies/leaks/dvc.yaml" in study.start("leaks")
    assert "never ran" in status.status("leaks")
    (place / "dvc.yaml").write_text((ROOT / "dvc.yaml").read_text() + "# new\n")
    with pytest.raises(SerError, match=r"older than dvc.yaml \(studies/leaks/dvc.yaml\)\. Run: ser study start leaks"):
        status.status("leaks")


@pytest.mark.parametrize(
    ("speakers", "protocol", "config"),
    [
        (1, "kfold", {"C": [0.01]}),
        (2, "kfold", {"C": [0.01]}),
        (3, "leave_one_speaker_out", {}),
    ],
)
def test_a_csv_makes_a_study_that_passes_the_checks(place, speakers, protocol, config):
    csv = _table(place, speakers)
    data = _new("table", csv=csv)
    assert data["data"] == "real"
    assert data["corpora"] == {"table": {"source": "real", "reader": {"csv": csv}}}
    assert set(data["experiments"]) == {"majority-table", "svm-table"}
    made = files.files(check.read("studies/mine/params.yaml", "mine"))
    assert {f["protocol"] for n, f in made.items() if n.startswith("folds/")} == {protocol}
    assert made["train/svm-table"]["config"] == {"scaling": "train", **config}
    assert "# one fold per speaker" in Path("studies/mine/params.yaml").read_text() or speakers < 3


def test_a_csv_beside_a_corpus_of_the_base(place):
    data = _new("emodb,table", csv=_table(place, 3))
    assert data["data"] == "mixed"
    assert {"svm-table", "svm-emodb-loso"} <= set(data["experiments"])


def test_a_linked_table_needs_no_path(place):
    csv = _table(place, 3)
    (place / "raw" / "table").mkdir(parents=True)
    shutil.copyfile(csv, place / "raw" / "table" / "table.csv")
    assert _new("table")["corpora"]["table"]["reader"] == {"csv": "table.csv"}


@pytest.mark.parametrize(
    ("corpora", "options", "message"),
    [
        ("", {}, r"no corpus is named \(--corpora\)|unknown corpus ''"),
        ("emobd", {}, r"unknown corpus 'emobd' \(--corpora\). Did you mean 'emodb'[?]$"),
        ("table", {}, r"no table is given \(--csv\)"),
        ("table", {"csv": "none.csv"}, r"no such table \(none.csv\)"),
        ("emodb", {"csv": "x.csv"}, r"Add table to --corpora"),
        ("librispeech", {}, r"study demo has no experiment on librispeech .*experiments there: emodb"),
    ],
)
def test_what_cannot_be_made_is_one_line_and_leaves_nothing(place, corpora, options, message):
    with pytest.raises(SerError, match=message):
        _new(corpora, **options)
    assert not (place / "studies").exists()


def test_tables_that_cannot_be_classified(place):
    csv = _table(place, 3, "happy")
    with pytest.raises(SerError, match="one class only, 'happy'"):
        _new("table", csv=csv)
    Path(csv).write_text("file,speaker\na.wav,s1\n")
    with pytest.raises(SerError, match="no column 'emotion'"):
        _new("table", csv=csv)
    assert not Path("studies").exists()


def test_a_corpus_the_base_lacks_gets_a_baseline(place):
    _new("emodb")
    study.new("other", ["ravdess"], ["*"], base="mine")
    data = load("studies/other/params.yaml")
    assert list(data["corpora"]) == ["ravdess"]
    assert data["corpora"]["ravdess"]["source"] == "synthetic"
    assert set(_experiments(data)) == {"majority-ravdess", "svm-ravdess"}
    assert data["folds"]["ravdess-loso"]["protocol"] == "leave_one_speaker_out"  # the card says: 24 speakers
    with pytest.raises(SerError, match=r"sewa has continuous labels.* --base that has sewa"):
        study.new("third", ["sewa"], ["*"], base="mine")


def test_a_baseline_of_what_is_here(place):
    corpus_trees.tree("ravdess", place / "raw" / "ravdess")
    _new("emodb")
    study.new("other", ["ravdess"], ["*"], base="mine")
    data = load("studies/other/params.yaml")
    assert data["corpora"]["ravdess"]["source"] == "real"
    assert (data["data"], data["defaults"]["size"]) == ("real", "reduced")


@pytest.mark.parametrize(
    ("speakers", "partitions", "protocol"),
    [
        (1, {""}, "kfold"),
        (3, {""}, "leave_one_speaker_out"),
        (24, {""}, "leave_one_speaker_out"),
        (25, {""}, "group_kfold"),
        (9, {"train", "test"}, "partitions"),
        (9, {"train", "dev"}, "partitions"),
        (2, {"train", "dev", "test"}, "partitions"),
        (9, {"train", "test", ""}, "leave_one_speaker_out"),
        (9, {"train"}, "leave_one_speaker_out"),
    ],
)
def test_the_protocol_that_speakers_and_partitions_allow(speakers, partitions, protocol):
    assert starter.choose(speakers, partitions).protocol == protocol


def test_the_partitions_of_a_csv_are_used(place):
    rows = [f"{i}.wav,s{i % 4},{('happy', 'sad')[i % 2]},{('train', 'test')[i // 6]}" for i in range(10)]
    Path("my.csv").write_text("\n".join(["file,speaker,emotion,partition", *rows]) + "\n")
    data = _new("table", csv="my.csv")
    assert data["folds"] == {"table-partitions": {"corpus": "table", "protocol": "partitions", "seed": 1}}
    assert "the partitions that the corpus itself defines" in Path("studies/mine/params.yaml").read_text()


def test_audio_outside_the_folder_of_the_csv(place):
    (place / "tables").mkdir()
    for name in ("a/1.wav", "b/2.wav", "b/3.wav"):
        corpus_trees.sound(place / "audio" / name)
    names = ["a/1.wav", "../audio/b/2.wav", str(place / "audio/b/3.wav")]
    rows = [f"{name},s{i},{('happy', 'sad')[i % 2]}" for i, name in enumerate(names)]
    Path("tables/my.csv").write_text("\n".join(["file,speaker,emotion", *rows]) + "\n")
    with pytest.raises(SerError, match=r"my.csv:3\). Name the folder that holds all audio: ser study new --audio PATH"):
        _new("table", csv="tables/my.csv")
    with pytest.raises(SerError, match=r"no such folder \(nowhere\)"):
        _new("table", csv="tables/my.csv", audio="nowhere")
    data = _new("table", csv="tables/my.csv", audio="audio")
    reader = data["corpora"]["table"]["reader"]
    assert reader == {"csv": "tables/my.csv", "audio": "audio"}
    location = source.ensure("table", "real", reader)
    config = plugins.build(table.Config, reader, "reader")
    assert [u.file for u in table.utterances(location.root, config)] == ["a/1.wav", "b/2.wav", "b/3.wav"]
    made = receipt(location, "table")
    assert not changed(made)
    Path("tables/my.csv").write_text(Path("tables/my.csv").read_text().replace("happy", "glad"))
    assert changed(made)


def test_real_speech_is_neither_of_2_khz_nor_of_size_demo(place):
    corpus_trees.tree("ravdess", place / "raw" / "ravdess")
    told = study.new("mine", ["ravdess"], ["*"])
    data = load("studies/mine/params.yaml")
    assert "for real speech: size reduced, ravdess-waveform at 16 kHz; networks are as small as in demo" in told
    assert data["features"]["ravdess-waveform"] == {
        "corpus": "ravdess",
        "feature": "waveform",
        "rate": 16000,
        "segment": 8000,
    }
    assert data["defaults"]["size"] == "reduced"
    study.new("synthetic", ["ravdess"], ["*"], source="synthetic")
    assert load("studies/synthetic/params.yaml")["features"]["ravdess-waveform"]["rate"] == 2000


def test_patterns_that_match_nothing_list_what_there_is(place):
    with pytest.raises(SerError, match=r"no experiment on ravdess matches cnns.* There are svm-ravdess-actors"):
        study.new("mine", ["ravdess"], ["cnns*"])


def test_a_study_that_never_ran_says_so_in_a_line(place):
    _new("table", csv=_table(place, 3))
    assert status.status("mine") == "study mine never ran: 9 stages would run"


def test_what_dvc_cannot_read_is_one_line(place):
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(re.sub(r"(?ms)^words:.*?(?=^models:)", "", text))
    with pytest.raises(SerError, match=r"missing key 'words' \(params.yaml\)"):  # a file of an older form
        status.status("demo")
    Path("params.yaml").write_text(text)
    Path("dvc.yaml").write_text("stages:\n  x:\n    foreach: ${nothing}\n    do: {cmd: echo}\n")
    with pytest.raises(SerError, match=r"Could not find 'nothing' \(dvc.yaml of this or of another study\)") as caught:
        status.status("demo")
    assert "\n" not in str(caught.value)


@pytest.fixture
def ran(place):
    """A demo of three stages that depend on one file; its lock file knows the file's first content."""
    stages = {n: {"cmd": f"echo {n}", "deps": ["x" if n != "c" else "y"]} for n in "abc"}
    (place / "dvc.yaml").write_text(json.dumps({"stages": stages}))
    lock = {}
    for name, stage in stages.items():
        path = place / stage["deps"][0]
        path.write_text("first")
        md5 = hashlib.md5(b"first").hexdigest()
        dep = {"path": path.name, "hash": "md5", "md5": md5, "size": 5}
        lock[name] = {"cmd": stage["cmd"], "deps": [dep]}
    (place / "dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": lock}))
    return place


def test_stages_of_one_reason_share_a_line(ran):
    assert "up to date" in status.status("demo")
    (ran / "x").write_text("second")
    assert status.status("demo").splitlines() == [
        "study demo: 2 of 3 stages would run",
        "  a, b: input x changed",
    ]


def test_stages_that_never_ran_have_not_changed(ran):
    lock = json.loads((ran / "dvc.lock").read_text())
    del lock["stages"]["b"]
    (ran / "dvc.lock").write_text(json.dumps(lock))
    assert status.status("demo").splitlines() == ["study demo: 1 of 3 stages would run", "  b: never ran"]


def test_an_edit_of_one_model_changes_the_settings_of_its_experiments_and_packages_alone(place):
    """DVC alone would name the stage `settings` and everything after it."""
    made = files.files(check.read("params.yaml", "demo"))
    files.write(made, "data/demo/settings")
    assert status._changed_settings("demo", made) == set()
    text = Path("params.yaml").read_text()
    assert text.count("    dense: 64\n") == 1, "the CNNs' width"
    Path("params.yaml").write_text(text.replace("    dense: 64\n", "    dense: 65\n"))
    edited = files.files(check.read("params.yaml", "demo"))
    trainings = {f"{group}@cnns-emodb-speaker_independent" for group in status.TRAININGS}  # one of these exists
    assert status._changed_settings("demo", edited) == {*trainings, "package@cnns-emodb"}, "a package of its weights"
    Path("params.yaml").write_text(text.replace("draws: 2000", "draws: 1999"))
    assert status._changed_settings("demo", files.files(check.read("params.yaml", "demo"))) == {"evaluate"}


def _cost(experiment: str, folds: int, seconds: float) -> None:
    """What a past run left: the seconds of all its folds."""
    path = Path("metrics/demo/costs") / f"{experiment}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"seconds": seconds, "folds": folds, "device": "cpu", "threads": 1}))


@pytest.fixture
def trained(ran):
    """As `ran`, with two trainings on x and a pretraining of 5 steps on y."""
    groups = {"train": ("x", ["one", "two"]), "pretrain": ("y", ["libri"])}
    stages = {k: {"foreach": names, "do": {"cmd": "echo ${item}", "deps": [dep]}} for k, (dep, names) in groups.items()}
    (ran / "dvc.yaml").write_text(json.dumps({"stages": stages}))
    old = json.loads((ran / "dvc.lock").read_text())["stages"]
    lock = {
        f"{k}@{n}": {"cmd": f"echo {n}", "deps": old["c" if dep == "y" else "a"]["deps"]}
        for k, (dep, names) in groups.items()
        for n in names
    }
    (ran / "dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": lock}))
    settings = ran / "data/demo/settings"
    (settings / "pretrain").mkdir(parents=True)
    (settings / "pretrain/libri.json").write_text(json.dumps({"settings": {"steps": 5}}))
    (settings / "run.json").write_text(json.dumps({"jobs": 2}))
    return ran


def test_the_minutes_of_what_would_rerun(trained, monkeypatch):
    monkeypatch.delenv("SER_JOBS", raising=False)
    _cost("one", folds=3, seconds=180.0)  # 3 folds of 60 s, 2 workers, 2 rounds
    (trained / "x").write_text("second")
    assert status.status("demo").splitlines()[2:] == [
        "training, by past runs: 2 min (train@one 2 min); no past run to time: train@two"
    ]
    _cost("two", folds=1, seconds=10.5)
    assert status.status("demo").splitlines()[2:] == ["training, by past runs: 2 min (train@one 2 min, train@two 11 s)"]
    monkeypatch.setenv("SER_JOBS", "3")  # one round of 60 s
    assert "1 min (train@one 1 min, train@two 11 s)" in status.status("demo")


def test_the_minutes_of_a_pretraining_are_those_of_one_as_long(trained):
    for run, steps, seconds, age in (("a", 5, 300.0, 50), ("b", 5, 240.0, 20), ("c", 6, 9000.0, 0)):
        path = Path("checkpoints/pretraining") / run / "cost.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"seconds": seconds, "steps": steps}))
        os.utime(path, (time.time() - age,) * 2)
    (trained / "y").write_text("second")
    assert status.status("demo").splitlines()[-1] == "training, by past runs: 4 min (pretrain@libri 4 min)"


def test_original_files_that_changed_are_named(ran):
    (ran / "raw" / "emodb").mkdir(parents=True)
    (ran / "raw" / "emodb" / "a.wav").write_text("one")
    found = receipt(Location(ran / "raw" / "emodb", False), "emodb")
    Path("data/demo/receipts").mkdir(parents=True)
    Path("data/demo/receipts/emodb.json").write_text(json.dumps(found))
    assert "emodb" not in status.status("demo")
    (ran / "raw" / "emodb" / "b.wav").write_text("two")
    assert "dvc repro -f -s download@emodb" in status.status("demo")


def test_weights_that_changed_are_named(ran):
    weights = ran / "encoder.pt"
    weights.write_bytes(b"one")
    settings = ran / "data/demo/settings/features"
    settings.mkdir(parents=True)
    found = {"feature": "encoder", "files": files.named_files({"weights": str(weights)})}
    (settings / "emodb-encoder.json").write_text(json.dumps(found))
    assert "encoder.pt" not in status.status("demo")
    weights.write_bytes(b"two")
    assert "encoder.pt changed since it was read" in status.status("demo")
    assert "dvc repro -f -s settings" in status.status("demo")
