"""The whole graph through DVC on a tiny synthetic study."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from ser.training import checkpoint
from tests.pipeline.conftest import Clone, new_clone, stages_run

pytestmark = pytest.mark.slow
EXPERIMENTS = ("majority-sewa", "svm-emodb", "cnns-emodb", "paralinguistic-sewa", "fusion-emodb", "aligned-sewa")


def _results(clone: Clone) -> dict[str, str]:
    """Digest of every tracked result, without times, commit and date, which differ from run to run."""
    files = sorted(p for top in ("metrics", "reports") for p in (clone.root / top).rglob("*") if p.is_file())
    kept = [p for p in files if p.parent.name != "costs"]
    varying = re.compile(rb'<(p|td|footer) class="(cost|provenance)">.*?</\1>', re.S)
    return {str(p.relative_to(clone.root)): hashlib.sha256(varying.sub(b"", p.read_bytes())).hexdigest() for p in kept}


def test_it_runs_whole_and_a_second_run_is_a_no_op(finished):
    report = (finished.root / "reports/demo/report.md").read_text()
    for experiment in ("majority-sewa", "svm-emodb", "cnns-emodb", "fusion-emodb", "aligned-sewa"):
        assert experiment in report
    assert "SYNTHETIC" in report
    details = json.loads((finished.root / "metrics/demo/details/svm-emodb.json").read_text())
    ua = details["scores"]["ua"]
    assert ua["low"] <= ua["value"] <= ua["high"]
    assert ua["value"] > 2 / 7, "an SVM on functionals is well above chance on the look-alike"
    assert details["description"]["data"] == "synthetic"
    again = finished.repro()
    assert stages_run(again.stdout) == []
    assert not finished.run("git", "status", "--porcelain").stdout


def test_of_the_demo_git_keeps_the_headline_scores(finished):
    kept = finished.run("git", "ls-files", "metrics", "reports", "data").stdout.split()
    assert kept == [f"metrics/demo/scores/{e}.json" for e in sorted(EXPERIMENTS)]


def test_dvc_shows_metrics_and_plots(finished, tmp_path):
    shown = finished.run("dvc", "metrics", "show", "--json").stdout
    data = json.loads(shown)[""]["data"]
    assert set(data["metrics/demo/scores/svm-emodb.json"]["data"]) >= {"WA", "UA", "F1"}
    finished.run("python", "tools/offline_plots.py")
    finished.run("dvc", "plots", "show", "-o", str(tmp_path))
    page = (tmp_path / "index.html").read_text()
    for kind in ("predictions", "curves"):
        assert all(f"metrics_demo_{kind}_{e}_csv" in page for e in ("svm-emodb", "cnns-emodb"))
    assert "metrics_demo_curves_aligned-sewa_csv" in page
    assert "cdn." not in page.split("<body>")[0], "the page must draw without a network"
    assert not finished.run("git", "status", "--porcelain").stdout


def test_a_comment_reruns_nothing_and_a_statement_what_depends_on_it(finished, copy_of):
    clone = copy_of(finished)
    file = clone.root / "src/ser/models/svm.py"
    file.write_text(file.read_text() + "# a comment\n")
    assert stages_run(clone.repro().stdout) == ["settings"]
    file.write_text(file.read_text() + "EDITED = 1\n")
    ran = stages_run(clone.repro().stdout)
    assert ran == ["settings", "train@svm-emodb", "evaluate", "package@svm", "report"], "the card names the code"


def test_an_experiment_with_another_value_reruns_what_it_touches(finished, copy_of):
    clone = copy_of(finished)
    out = clone.run("dvc", "exp", "run", "-n", "wide", "-S", "models.cnns.dense=4").stdout
    ran = stages_run(out)
    assert ran == ["settings", "train@cnns-emodb", "evaluate", "report"]
    difference = json.loads(clone.run("dvc", "metrics", "diff", "HEAD", "wide", "--json").stdout)
    assert list(difference) in ([], ["metrics/demo/scores/cnns-emodb.json"])


def test_a_changed_feature_value_leaves_other_features_alone(finished, copy_of):
    clone = copy_of(finished)
    clone.edit({"features.emodb-logmel.bands": 16})
    refused = clone.repro(check=False).stderr
    assert "pretraining libri and feature emodb-logmel differ in bands" in refused
    clone.edit({"pretraining.libri.features.bands": 16})
    ran = stages_run(clone.repro().stdout)
    assert {"features@emodb-logmel", "train@cnns-emodb", "pretrain@libri", "finetune@fusion-emodb"} <= set(ran)
    assert not [s for s in ran if "svm" in s or "sewa" in s]


def test_a_changed_value_of_words_reruns_them_and_what_reads_them(finished, copy_of):
    clone = copy_of(finished)
    clone.edit({"words.tiny.alignment.n_refinement": 2})
    ran = stages_run(clone.repro().stdout)
    assert ran[:3] == ["settings", "words@tiny", "train_with_words@aligned-sewa"]
    assert set(ran[3:]) <= {"evaluate", "report"}
    lock = YAML(typ="safe").load((clone.root / "dvc.lock").read_text())["stages"]
    read = {name: [d["path"] for d in lock[name]["deps"]] for name in ("train@paralinguistic-sewa", ran[2])}
    assert "data/demo/words/tiny" in read[ran[2]]
    assert not [path for path in read["train@paralinguistic-sewa"] if "data/demo/words" in path]


def test_killed_training_continues_and_ends_with_the_same_bytes(finished, copy_of):
    clone = copy_of(finished)
    wanted = _results(clone)
    for name in ("predictions/cnns-emodb.csv", "cards/cnns-emodb/card.json"):
        (clone.root / "metrics/demo" / name).unlink()
    experiment = clone.root / "checkpoints/demo/cnns-emodb"
    folder = next(experiment.iterdir())
    for path in folder.iterdir():
        path.unlink()
    command = ["python", "stages/train.py", "demo", "cnns-emodb"]

    def written() -> list[Path]:
        return [p for p in folder.glob("*.npz") if not p.name.startswith(".")]  # not one that is being written

    _kill_when(clone, command, written)
    finished_folds = {p.name: p.stat().st_mtime_ns for p in written()}
    assert 0 < len(finished_folds) < 4
    out = clone.run("dvc", "repro", "-f", "-s", "train@cnns-emodb").stdout
    assert f"{len(finished_folds)} of 4 folds are already trained" in out
    assert {n: (folder / n).stat().st_mtime_ns for n in finished_folds} == finished_folds
    clone.repro()
    assert _results(clone) == wanted


def _kill_when(clone: Clone, command: list[str], there) -> None:
    """Runs a stage and kills it with all its processes as soon as `there()` says so."""
    process = subprocess.Popen(
        command,
        cwd=clone.root,
        env={**clone.environment, "SER_JOBS": "1"},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.time() + 120
    while not there() and process.poll() is None and time.time() < deadline:
        time.sleep(0.005)
    assert process.poll() is None, "it ended before it could be killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_killed_pretraining_continues_and_ends_with_the_same_bytes(finished, copy_of):
    clone = copy_of(finished)
    wanted, weights = _results(clone), clone.root / "data/demo/pretrained/libri"
    before = {p.name: p.read_bytes() for p in weights.iterdir()}
    subprocess.run(["rm", "-rf", "checkpoints/pretraining", str(weights)], cwd=clone.root, check=True)
    saved = clone.root / "checkpoints/pretraining"
    _kill_when(clone, ["python", "stages/pretrain.py", "demo", "libri"], lambda: [*saved.glob("*/checkpoint.pt")])
    assert not weights.exists() or not list(weights.iterdir())
    clone.run("dvc", "repro", "-f", "-s", "pretrain@libri")
    assert {p.name: p.read_bytes() for p in weights.iterdir()} == before
    clone.repro()
    assert _results(clone) == wanted


def test_killed_speech2vec_continues_and_ends_with_the_same_bytes(finished, copy_of):
    clone = copy_of(finished)
    wanted, out, saved = _results(clone), clone.root / "data/demo/words/tiny", clone.root / "checkpoints/words"
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    assert len(before) > 30
    subprocess.run(["rm", "-rf", str(saved), str(out)], check=True)
    _kill_when(clone, ["python", "stages/words.py", "demo", "tiny"], lambda: [*saved.glob("speech2vec-*.pt")])
    (path,) = saved.glob("speech2vec-*.pt")
    assert checkpoint.load(path)["progress"]["epoch"] < 6, "the network was trained before the kill"
    assert not [p for p in out.rglob("*") if p.is_file() and p.name != "target.txt"]
    clone.run("dvc", "repro", "-f", "-s", "words@tiny")
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before
    clone.repro()
    assert _results(clone) == wanted


@pytest.mark.parametrize("stage", ["finetune@fusion-emodb", "train_with_words@aligned-sewa"])
def test_killed_fine_tuning_continues_inside_a_fold(finished, copy_of, stage):
    experiment = stage.split("@")[1]
    clone = copy_of(finished)
    wanted = _results(clone)
    folds = clone.root / "checkpoints/demo" / experiment
    subprocess.run(["rm", "-rf", str(folds)], check=True)
    command = ["python", "stages/train.py", "demo", experiment]
    _kill_when(clone, command, lambda: [*folds.glob("*/*/checkpoint.pt")])
    assert len([*folds.glob("*/*.npz")]) < (4 if experiment == "fusion-emodb" else 1), "trained before the kill"
    clone.run("dvc", "repro", "-f", "-s", stage)
    clone.repro()
    assert _results(clone) == wanted


def test_one_worker_or_two_no_matter(finished, copy_of):
    clone = copy_of(finished)
    wanted = _results(clone)
    subprocess.run(["rm", "-rf", "checkpoints"], cwd=clone.root, check=True)
    clone.run("dvc", "repro", "-f", "--glob", "*@*-emodb", SER_JOBS="1")
    clone.run("dvc", "repro", "-f", "--glob", "train*@*-sewa", SER_JOBS="1")
    clone.repro()
    assert _results(clone) == wanted


def test_a_study_of_ones_own(finished, copy_of):
    clone = copy_of(finished)
    clone.run("python", "-m", "ser", "study", "new", "mine", "--corpora", "emodb", "--experiments", "svm-*")
    file = "studies/mine/dvc.yaml"
    status = clone.run("python", "-m", "ser", "study", "status", "mine").stdout
    assert "never ran" in status
    ran = clone.repro(file).stdout
    assert f"{file}:train@svm-emodb" in ran or "train@svm-emodb" in ran
    assert "sewa" not in ran.split("settings", 1)[1]
    assert (clone.root / "metrics/mine/scores/svm-emodb.json").exists()
    assert "up to date" in clone.run("python", "-m", "ser", "study", "status", "mine").stdout
    assert stages_run(clone.repro(file).stdout) == []


def test_an_unknown_key_stops_at_once_with_one_line(finished, copy_of):
    clone = copy_of(finished)
    clone.edit({"models.svm.scalling": "train"})
    failed = clone.repro(check=False)
    assert failed.returncode
    errors = [line for line in failed.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "line" in errors[0]
    assert "Did you mean 'scaling'" in errors[0]
    assert "Traceback" not in failed.stderr


class TestPlantedLeaks:
    """Each stops the pipeline with one line that names the leak."""

    def _error(self, clone: Clone, *arguments: str) -> str:
        failed = clone.repro(*arguments, check=False)
        assert failed.returncode
        assert "Traceback" not in failed.stderr
        (line,) = [line for line in failed.stderr.splitlines() if line.startswith("error:")]
        return line

    def _folds(self, clone: Clone) -> Path:
        return clone.root / "data/demo/folds/emodb-loso.csv"

    def test_a_speaker_in_two_parts(self, finished, copy_of):
        clone = copy_of(finished)
        text = self._folds(clone).read_text().splitlines()
        row = next(i for i, line in enumerate(text) if line.endswith(",test"))
        moved = text[row].replace(",test", ",train")
        text[row] = moved
        self._folds(clone).write_text("\n".join(text) + "\n")
        line = self._error(clone, "-s", "train@svm-emodb")
        assert "speaker" in line
        assert moved.split(",")[1][:2] in line

    def test_a_dropped_test_item(self, finished, copy_of):
        clone = copy_of(finished)
        text = self._folds(clone).read_text().splitlines()
        row = next(i for i, line in enumerate(text) if line.endswith(",test"))
        dropped = text.pop(row).split(",")[1]
        self._folds(clone).write_text("\n".join(text) + "\n")
        assert dropped in self._error(clone, "-s", "train@svm-emodb")

    def test_a_duplicated_wav(self, finished, copy_of):
        clone = copy_of(finished)
        wavs = next((clone.root / "data/raw/synthetic").glob("emodb-*")) / "wav"
        victim = sorted(wavs.glob("03*.wav"))[0]
        copy = sorted(wavs.glob("08*.wav"))[0]
        copy.write_bytes(victim.read_bytes())
        line = self._error(clone, "-f", "corpus@emodb", "folds@emodb-loso")
        assert victim.name in line
        assert copy.name in line


class TestBadInput:
    """One clear line, exit status not 0, nothing half-written."""

    def _own_corpus(self, tmp_path: Path, faulty: bytes | None, **reader: object) -> tuple[Clone, Path]:
        clone = new_clone(tmp_path / "clone")
        audio = tmp_path / "my corpus"
        audio.mkdir()
        import numpy as np
        import soundfile

        rows = ["file,speaker,emotion"]
        for i in range(8):
            soundfile.write(audio / f"{i}.wav", np.random.default_rng(i).normal(0, 0.1, 16000), 16000)
            rows.append(f"{i}.wav,s{i % 2},{'happy' if i % 4 < 2 else 'sad'}")
        if faulty is not None:
            (audio / "3.wav").write_bytes(faulty if faulty else b"")
        (audio / "my.csv").write_text("\n".join(rows) + "\n")
        text = f"""
study: demo
root: .
params: params.yaml
data: real
corpora:
  table: {{source: real, reader: {{csv: "{audio / "my.csv"}"}}}}
audio: {{table: {{rate: 16000}}}}
features:
  table-is09: {{corpus: table, feature: functionals, set: is09}}
folds:
  table-loso: {{corpus: table, protocol: leave_one_speaker_out, seed: 1}}
pretraining: {{}}
words: {{}}
models: {{svm: {{C: [0.01]}}}}
experiments:
  svm-table: {{model: svm, corpus: table, folds: loso, feature: is09}}
finetuning: {{}}
with_functionals: {{}}
with_words: {{}}
packages: {{}}
statistics: {{draws: 50}}
"""
        (clone.root / "params.yaml").write_text(text)
        return clone, audio

    def test_a_users_own_table_runs_whole(self, tmp_path):
        clone, _ = self._own_corpus(tmp_path, None)
        clone.repro()
        details = json.loads((clone.root / "metrics/demo/details/svm-table.json").read_text())
        assert details["description"]["utterances"] == 8
        assert details["description"]["data"] == "real"

    @pytest.mark.parametrize(
        ("faulty", "message"),
        [
            (b"", "3.wav"),
            (b"this is text, not audio, whatever the name says\n" * 20, "3.wav"),
            ("truncated", "3.wav"),
        ],
        ids=["empty", "text", "truncated"],
    )
    def test_a_faulty_wav_is_named(self, tmp_path, faulty, message):
        clone, audio = self._own_corpus(tmp_path, None)
        whole = (audio / "3.wav").read_bytes()
        (audio / "3.wav").write_bytes(whole[: len(whole) // 2] if faulty == "truncated" else faulty)
        failed = clone.repro(check=False)
        assert failed.returncode
        (line,) = [line for line in failed.stderr.splitlines() if line.startswith("error:")]
        assert message in line
        assert "Traceback" not in failed.stderr
        assert not (clone.root / "data/demo/corpora/table").exists()

    def test_a_missing_licensed_corpus_says_how_to_get_it(self, tmp_path):
        clone = new_clone(tmp_path / "clone")
        text = (clone.root / "params.yaml").read_text()
        text = text.replace(
            "sewa: {source: synthetic, synthetic: {recordings: 5, minutes: 2.5}}", "sewa: {source: real}"
        )
        (clone.root / "params.yaml").write_text(text.replace("data: synthetic", "data: mixed"))
        failed = clone.repro("download@sewa", check=False)
        assert failed.returncode
        (line,) = [line for line in failed.stderr.splitlines() if line.startswith("error:")]
        assert "ser link sewa" in line
