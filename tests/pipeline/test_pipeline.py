"""The whole graph through DVC on a tiny synthetic study."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from ser.training import checkpoint
from tests.pipeline.conftest import Clone, new_clone, stages_run

pytestmark = pytest.mark.slow
EXPERIMENTS = ("majority-sewa", "svm-emodb", "cnns-emodb", "paralinguistic-sewa", "fusion-emodb", "aligned-sewa")


def _results(clone: Clone, *folders: str) -> dict[str, str]:
    """Digest of every result in these folders, without times, commit and date, which differ from run to run."""
    files = sorted(p for top in folders for p in (clone.root / top).rglob("*") if p.is_file())
    kept = [p for p in files if p.parent.name != "costs"]
    varying = re.compile(rb'<(p|td|footer|section)( id="training")? class="(cost|provenance)".*?</\1>', re.S)
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
    assert kept == [*(f"metrics/demo/scores/{e}.json" for e in sorted(EXPERIMENTS)), "metrics/demo/summary.json"]


def test_dvc_shows_metrics_and_plots(finished, tmp_path):
    shown = finished.run("dvc", "metrics", "show", "--json").stdout
    data = json.loads(shown)[""]["data"]
    assert set(data["metrics/demo/scores/svm-emodb.json"]["data"]) >= {"WA", "UA", "F1"}
    finished.run("python", "tools/offline_plots.py")
    finished.run("dvc", "plots", "show", "-o", str(tmp_path))
    page = (tmp_path / "index.html").read_text()
    assert "metrics_demo_plots_sewa-partitions_csv" in page
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
    scores = ("metrics/demo/predictions", "metrics/demo/scores", "reports")
    assert _results(clone, *scores) == _results(finished, *scores)


def test_an_experiment_with_another_value_reruns_what_it_touches(finished, copy_of):
    clone = copy_of(finished)
    out = clone.run("dvc", "exp", "run", "-n", "wide", "-S", "models.cnns.dense=4", "evaluate", "package@svm").stdout
    assert stages_run(out) == ["settings", "train@cnns-emodb", "evaluate"]
    difference = json.loads(clone.run("dvc", "metrics", "diff", "HEAD", "wide", "--json").stdout)
    assert list(difference) in ([], ["metrics/demo/scores/cnns-emodb.json"])


def test_a_changed_feature_value_leaves_other_features_alone(finished, copy_of):
    clone = copy_of(finished)
    clone.edit({"features.emodb-logmel.bands": 16})
    clone.edit({"pretraining.libri.features.bands": 16})  # must be equal (tests/settings/test_check.py)
    ran = stages_run(clone.repro("evaluate", "package@svm").stdout)
    assert {"features@emodb-logmel", "train@cnns-emodb", "pretrain@libri", "finetune@fusion-emodb"} <= set(ran)
    assert not [s for s in ran if "svm" in s or "sewa" in s]


def test_a_changed_value_of_words_reruns_them_and_what_reads_them(finished, copy_of):
    clone = copy_of(finished)
    clone.edit({"words.tiny.alignment.n_refinement": 2})
    ran = stages_run(clone.repro("evaluate", "package@svm").stdout)
    assert ran[:3] == ["settings", "words@tiny", "train_with_words@aligned-sewa"]
    assert set(ran[3:]) <= {"evaluate"}
    lock = YAML(typ="safe").load((clone.root / "dvc.lock").read_text())["stages"]
    read = {name: [d["path"] for d in lock[name]["deps"]] for name in ("train@paralinguistic-sewa", ran[2])}
    assert "data/demo/words/tiny" in read[ran[2]]
    assert not [path for path in read["train@paralinguistic-sewa"] if "data/demo/words" in path]


STAGES = {  # stage -> its script; all of them are killed in one copy of the study, and continued by one command
    "finetune@fusion-emodb": "train",
    "train_with_words@aligned-sewa": "train",
    "train@cnns-emodb": "train",
    "pretrain@libri": "pretrain",
    "words@tiny": "words",
}


@dataclass(frozen=True)
class Continued:
    """A copy of the study after its stages were killed and continued."""

    killed: dict[str, dict[Path, int]]  # stage -> what it had left: files and the times of their last change
    epoch: int  # that Speech2Vec had finished when it was killed
    output: str  # of the command that continued the stages
    clone: Clone
    outputs: tuple[dict[Path, bytes], dict[Path, bytes]]  # of the pretraining and the words: before and afterwards
    results: tuple[dict[str, str], dict[str, str]]  # before and afterwards


def _kill(clone: Clone, stage: str) -> dict[Path, int]:
    """Removes what a stage has made, runs it until it has saved something, and kills it with all its processes. Returns
    what it has left.
    """
    name, saved = stage.split("@")[1], clone.root / "checkpoints"
    own, results = f"demo/{name}", f"demo/{name}/*/*.npz"
    inside = {"pretrain": "pretraining/*/checkpoint.pt", "words": "words/speech2vec-*.pt", "train": f"{own}/*/*/*.pt"}
    awaited = results if stage.startswith("train@") else inside[STAGES[stage]]

    def left(pattern: str) -> list[Path]:
        return [p for p in saved.glob(pattern) if not p.name.startswith(".")]  # not one that is being written

    made = {"pretrain": [f"data/demo/pretrained/{name}"], "words": [f"data/demo/words/{name}"]}
    outputs = [f"metrics/demo/{kind}/{name}" for kind in ("predictions", "cards")]
    for path in made.get(STAGES[stage], outputs):
        shutil.rmtree(clone.root / path, ignore_errors=True)
        (clone.root / f"{path}.csv").unlink(missing_ok=True)
    shutil.rmtree(saved / (own if STAGES[stage] == "train" else Path(awaited).parts[0]))
    process = subprocess.Popen(
        [sys.executable, f"stages/{STAGES[stage]}.py", "demo", name],
        cwd=clone.root,
        env=clone.environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.time() + 120
    while not left(awaited) and process.poll() is None and time.time() < deadline:
        time.sleep(0.005)
    assert process.poll() is None, f"{stage} ended before it could be killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return {path: path.stat().st_mtime_ns for path in left(awaited) + left(results)}


@pytest.fixture(scope="module")
def continued(finished, tmp_path_factory):
    clone = Clone(tmp_path_factory.mktemp("killed") / "copy")
    shutil.copytree(finished.root, clone.root, symlinks=True)
    folders = [clone.root / "data/demo" / f for f in ("pretrained/libri", "words/tiny")]
    before, results = _contents(folders), _results(clone, "metrics")
    killed = {stage: _kill(clone, stage) for stage in STAGES}
    (path,) = killed["words@tiny"]
    epoch = checkpoint.load(path)["progress"]["epoch"]
    assert {p.name for p in _contents(folders)} <= {"target.txt"}, "no output is half written"
    output = clone.run("dvc", "repro", "-f", "-s", *reversed(STAGES)).stdout
    return Continued(killed, epoch, output, clone, (before, _contents(folders)), (results, _results(clone, "metrics")))


def _contents(folders: list[Path]) -> dict[Path, bytes]:
    return {p: p.read_bytes() for folder in folders for p in folder.rglob("*") if p.is_file()}


def test_killed_stages_continue_and_end_with_the_same_bytes(continued):
    assert continued.results[0] == continued.results[1]
    assert continued.outputs[0] == continued.outputs[1]
    assert len(continued.outputs[0]) > 30


def test_finished_folds_of_a_killed_training_are_kept(continued):
    kept = continued.killed["train@cnns-emodb"]
    assert 0 < len(kept) < 4
    assert f"{len(kept)} of 4 folds are already trained" in continued.output
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


@pytest.mark.parametrize(("stage", "folds"), [("finetune@fusion-emodb", 4), ("train_with_words@aligned-sewa", 1)])
def test_fine_tuning_is_killed_inside_a_fold(continued, stage, folds):
    assert len([path for path in continued.killed[stage] if path.suffix == ".npz"]) < folds


def test_speech2vec_is_killed_inside_its_training(continued):
    assert continued.epoch < 6


def test_one_worker_or_two_no_matter(finished, copy_of):
    """A classifier and a fine-tuned network, each with several folds. The contract tests compare the workers of all
    models, and the unit tests those of the other stages.
    """
    clone = copy_of(finished)
    shutil.rmtree(clone.root / "checkpoints")
    clone.run("dvc", "repro", "-f", "-s", "train@svm-emodb", "finetune@fusion-emodb", SER_JOBS="2")
    assert _results(clone, "metrics") == _results(finished, "metrics")


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

    def _own_corpus(self, tmp_path: Path) -> tuple[Clone, Path]:
        clone = new_clone(tmp_path / "clone")
        audio = tmp_path / "my corpus"
        audio.mkdir()
        import numpy as np
        import soundfile

        rows = ["file,speaker,emotion"]
        for i in range(8):
            soundfile.write(audio / f"{i}.wav", np.random.default_rng(i).normal(0, 0.1, 16000), 16000)
            rows.append(f"{i}.wav,s{i % 2},{'happy' if i % 4 < 2 else 'sad'}")
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
        clone, _ = self._own_corpus(tmp_path)
        clone.repro()
        details = json.loads((clone.root / "metrics/demo/details/svm-table.json").read_text())
        assert details["description"]["utterances"] == 8
        assert details["description"]["data"] == "real"

    def test_faulty_wavs_are_named(self, tmp_path):
        """One is empty, one is text, and one is cut."""
        clone, audio = self._own_corpus(tmp_path)
        (audio / "3.wav").write_bytes(b"")
        (audio / "4.wav").write_bytes(b"this is text, not audio, whatever the name says\n" * 20)
        whole = (audio / "5.wav").read_bytes()
        (audio / "5.wav").write_bytes(whole[: len(whole) // 2])
        failed = clone.repro(check=False)
        assert failed.returncode
        (line,) = [line for line in failed.stderr.splitlines() if line.startswith("error:")]
        assert "3 audio files of table cannot be used" in line
        for fault in ("of 0 bytes (", "not a readable audio file: ", "truncated audio file: "):
            assert fault in line
        for name in ("3.wav", "4.wav", "5.wav"):
            assert line.count(name) == 1
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
