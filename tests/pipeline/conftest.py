"""A tiny synthetic study in a clone of its own: the whole graph through DVC, in a folder whose path is long and has
spaces.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT, made_once

TINY = """
study: demo
root: .
params: params.yaml
data: synthetic
corpora:
  emodb: {source: synthetic, synthetic: {speakers: 4, per_cell: 2}}
  sewa: {source: synthetic, synthetic: {recordings: 5, minutes: 2.5}}
  librispeech: {source: synthetic, synthetic: {minutes: 0.8, speakers: 3}}
audio:
  emodb: {rate: 16000}
  sewa: {rate: 16000}
features:
  emodb-logmel: {corpus: emodb, feature: logmel, bands: 20}
  emodb-is09: {corpus: emodb, feature: functionals, set: is09}
  sewa-is09: {corpus: sewa, feature: functionals, set: is09}
  sewa-waveform: {corpus: sewa, feature: waveform, rate: 16000, segment: 1600, normalise: none}
folds:
  emodb-loso: {corpus: emodb, protocol: leave_one_speaker_out, seed: 1}
  emodb-si: {corpus: emodb, protocol: speaker_independent, seed: 1}
  sewa-partitions: {corpus: sewa, protocol: partitions, seed: 1}
pretraining:
  libri:
    {corpus: librispeech, feature: logmel, features: {bands: 20}, steps: 12, batch: 2, evaluate_every: 4,
     checkpoint_every: 2, workers: 0, encoder: {hidden: 16, layers: 1, heads: 2, ffn: 32}}
words:
  tiny:
    {corpus: librispeech, target: sewa, texts: [target], word2vec: {vector_size: 8, negative: 3, min_count: 2},
     speech2vec: {dim: 8, epochs: 6, batch: 64, min_count: 2, checkpoint_every: 1},
     alignment: {dis_hid_dim: 8, epoch_size: 640, n_epochs: 2, n_refinement: 1}}
models:
  majority: {}
  svm: {C: [0.01, 0.1]}
  cnns: {channels: [4, 8], pools: [4, 4], dense: 8, training: {epochs: 2, batch: 16, frames: 128}}
  fusion_convbert:
    {hidden: 16, layers: 1, heads: 2, ffn: 32, channels: [4, 8], pools: [4, 4], d: 12, fusion_heads: 2, fusion_ffn: 24,
     training: {epochs: 2, batch: 16, frames: 128, checkpoint_every: 1}}
  semantic:
    {channels: [2, 3], kernels: [8, 6], pools: [20, 20], attention: 6, dense: 6, hidden: 4,
     training: {epochs: 4, batch: 4, window: blocks, frames: 100, checkpoint_every: 1}}
experiments:
  majority-sewa: {model: majority, corpus: sewa, folds: partitions, feature: is09}
  svm-emodb: {model: svm, corpus: emodb, folds: loso, feature: is09}
  cnns-emodb: {model: cnns, corpus: emodb, folds: si, feature: logmel, selection: dev}
  paralinguistic-sewa:
    {model: semantic, corpus: sewa, folds: partitions, feature: waveform, selection: dev,
     config: {stream: paralinguistic, fusion: none}}
finetuning:
  fusion-emodb: {model: fusion_convbert, corpus: emodb, folds: si, feature: logmel, pretrained: libri}
with_functionals: {}
with_words:
  aligned-sewa: {model: semantic, corpus: sewa, folds: partitions, feature: waveform, words: tiny, selection: dev}
packages:
  svm: {experiment: svm-emodb}
statistics: {draws: 100}
"""


@dataclass(frozen=True)
class Clone:
    root: Path

    @property
    def environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        source = os.pathsep.join(str(self.root / folder) for folder in ("src", "packages/ser_synth/src"))
        # one worker, because each further one imports torch, which takes longer than a tiny training
        return {**os.environ, "PATH": path, "PYTHONPATH": source, "SER_JOBS": "1"}

    def run(self, *command: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command, cwd=self.root, env={**self.environment, **environment}, capture_output=True, text=True, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        return done

    def repro(self, *arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.run("dvc", "repro", *arguments, check=check, **environment)

    def edit(self, values: dict[str, object]) -> None:
        """Sets dotted keys of params.yaml."""
        yaml = YAML()
        data = yaml.load((self.root / "params.yaml").read_text())
        for key, value in values.items():
            *path, last = key.split(".")
            block = data
            for part in path:
                block = block[part]
            block[last] = value
        yaml.dump(data, (self.root / "params.yaml").open("w"))

    def commit(self, message: str = "state") -> None:
        self.run("git", "add", "-A")
        self.run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", message)


def stages_run(output: str) -> list[str]:
    """Names of the stages a `dvc repro` ran, in order."""
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]


def new_clone(folder: Path) -> Clone:
    """A copy of the tracked (and not ignored) files as a git repository, with the tiny study as its params.yaml."""
    listing = subprocess.run(
        [
            "git",
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "packages",
            "requirements.lock",
            "src",
            "tools",
            "stages",
            "dvc.yaml",
            ".dvc",
            ".dvcignore",
            ".gitignore",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    for name in listing:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    (folder / "params.yaml").write_text(TINY)
    clone = Clone(folder)
    clone.run("git", "init", "-q")
    clone.commit("tiny study")
    return clone


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """The finished tiny study; tests that change something copy it with `copy_of`."""

    def make(folder: Path) -> None:
        clone = new_clone(folder)
        clone.repro()
        clone.commit("first run")

    return Clone(made_once(tmp_path_factory, f"a folder with spaces/{('and a long name ' * 5).strip()}", make))


@pytest.fixture
def copy_of(tmp_path: Path):
    def copy(clone: Clone) -> Clone:
        target = tmp_path / "copy of it"
        shutil.copytree(clone.root, target, symlinks=True)
        return Clone(target)

    return copy
