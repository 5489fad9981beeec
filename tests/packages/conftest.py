"""A tiny synthetic study, run without DVC: one experiment per kind of model, and a package of each."""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

import pytest

from ser.core.layout import Layout
from ser.settings import check, files
from tests.conftest import ROOT, made_once

PARAMS = """
study: demo
root: .
params: params.yaml
data: synthetic
defaults: {size: demo}
corpora:
  emodb: {source: synthetic, synthetic: {speakers: 4, per_cell: 2}}
  sewa: {source: synthetic, synthetic: {recordings: 5, minutes: 2.5}}
audio:
  emodb: {rate: 16000}
  sewa: {rate: 16000}
features:
  emodb-logmel: {corpus: emodb, feature: logmel, bands: 20}
  emodb-logmag: {corpus: emodb, feature: logmag}
  emodb-is10: {corpus: emodb, feature: functionals, set: is10}
  emodb-waveform: {corpus: emodb, feature: waveform, rate: 4000, segment: 500}
  sewa-waveform: {corpus: sewa, feature: waveform, rate: 4000, segment: 400, normalise: none}
folds:
  emodb-loso: {corpus: emodb, protocol: leave_one_speaker_out, seed: 1}
  sewa-partitions: {corpus: sewa, protocol: partitions, seed: 1}
pretraining: {}
words: {}
models:
  majority: {}
  svm: {C: [0.01]}
  statistics: {}
  cnns: {channels: [4, 8], pools: [4, 4], dense: 8, training: {epochs: 1, batch: 16, frames: 128}}
  fusion_convbert:
    {hidden: 16, layers: 1, heads: 2, ffn: 32, channels: [4, 8], pools: [4, 4], d: 12, fusion_heads: 2, fusion_ffn: 24,
     allow_random: true, training: {epochs: 1, batch: 16, frames: 128}}
  emotion_autoencoder:
    {profile: text, bank_kernels: 2, bank_channels: 4, hidden: 8, encoder_gru: 4, decoder_gru: 4, dense: [16, 8],
     training: {epochs: 1, batch: 16, window: crops, frames: 128, crop_hop: 64}}
  mlp: {hidden: 8, training: {epochs: 1, batch: 16, normalise: train}}
  stem:
    {channels: [4, 8], pools: [2, 2], dense: 8, hidden: 16, heads: 2, ffn: 32, d: 12, fusion_heads: 2,
     training: {epochs: 1, batch: 16, window: random_crop, frames: 128, normalise: utterance}}
  clstm: {channels: [2, 3], hidden: 4, dense: 6, training: {epochs: 1, batch: 16, frames: 16}}
  semantic:
    {channels: [2, 3], kernels: [8, 6], pools: [10, 10], attention: 6, dense: 6, hidden: 4,
     training: {epochs: 1, batch: 4, window: blocks, frames: 100}}
experiments:
  svm: {model: svm, corpus: emodb, folds: loso, feature: is10}
  svm_rbf: {model: svm, corpus: emodb, folds: loso, feature: is10, config: {kernel: rbf, C: [10.0]}}
  majority: {model: majority, corpus: emodb, folds: loso, feature: is10}
  statistics: {model: statistics, corpus: emodb, folds: loso, feature: logmel}
  logistic: {model: statistics, corpus: emodb, folds: loso, feature: logmel, config: {classifier: logistic}}
  cnns: {model: cnns, corpus: emodb, folds: loso, feature: logmel, training: {normalise: train}}
  cnns_mean: {model: cnns, corpus: emodb, folds: loso, feature: logmel, training: {normalise: utterance_mean}}
  fusion_convbert: {model: fusion_convbert, corpus: emodb, folds: loso, feature: logmel}
  mlp: {model: mlp, corpus: emodb, folds: loso, feature: is10, seeds: [1, 2]}
  stem_cnn: {model: stem, corpus: emodb, folds: loso, feature: logmel, config: {variant: cnn}}
  stem_transformer: {model: stem, corpus: emodb, folds: loso, feature: logmel, config: {variant: transformer}}
  stem_fusion: {model: stem, corpus: emodb, folds: loso, feature: logmel, config: {variant: fusion}}
  clstm: {model: clstm, corpus: emodb, folds: loso, feature: waveform}
  semantic:
    {model: semantic, corpus: sewa, folds: partitions, feature: waveform,
     config: {stream: paralinguistic, fusion: none}}
finetuning: {}
with_functionals:
  emotion_autoencoder: {model: emotion_autoencoder, corpus: emodb, folds: loso, feature: logmag, functionals: is10}
with_words: {}
packages:
  svm: {experiment: svm}
  svm_rbf: {experiment: svm_rbf}
  majority: {experiment: majority}
  statistics: {experiment: statistics}
  logistic: {experiment: logistic}
  cnns_mean: {experiment: cnns_mean}
  cnns: {experiment: cnns}
  fusion_convbert: {experiment: fusion_convbert}
  clstm: {experiment: clstm}
  semantic: {experiment: semantic}
  emotion_autoencoder: {experiment: emotion_autoencoder}
  mlp: {experiment: mlp}
  stem_cnn: {experiment: stem_cnn, onnx: true}
  stem_transformer: {experiment: stem_transformer}
  stem_fusion: {experiment: stem_fusion}
  ensemble: {experiment: svm_with_networks}
  ensemble_all: {experiment: svm_with_networks, on: all}
  svm_all: {experiment: svm, on: all}
  cnns_all: {experiment: cnns, on: all}
ensembles:
  svm_with_networks: {members: [svm, mlp, cnns]}
statistics: {draws: 50}
"""
MODELS = (
    "svm",
    "svm_rbf",
    "majority",
    "statistics",
    "logistic",
    "cnns",
    "cnns_mean",
    "fusion_convbert",
    "emotion_autoencoder",
    "mlp",
    "stem_cnn",
    "stem_transformer",
    "stem_fusion",
    "clstm",
    "semantic",
)
CORPUS = {"semantic": "sewa"}  # of each experiment; all others: emodb


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the finished study; its paths count from there."""
    return made_once(tmp_path_factory, "packages", lambda folder: run(folder, PARAMS))


def run(folder: Path, params: str) -> Path:
    """Runs the stages of a study in a folder, and gives the folder."""
    before, arguments = Path.cwd(), sys.argv
    (folder / "stages").symlink_to(ROOT / "stages")
    (folder / "params.yaml").write_text(params)
    os.chdir(folder)
    jobs = os.environ.get("SER_JOBS")
    os.environ["SER_JOBS"] = "1"
    try:
        made = check.read("params.yaml", "demo")
        files.write(files.files(made), Layout("demo").data / "settings")
        named = [("download", made.corpora), ("corpus", made.corpora), ("features", made.features)]
        named += [
            ("folds", made.folds),
            ("train", made.all_experiments),
            ("evaluate", [""]),
            ("package", made.packages),
        ]
        for stage, names in named:
            main = runpy.run_path(str(ROOT / "stages" / f"{stage}.py"), run_name=stage)["main"]
            for name in names:
                sys.argv = [stage, "demo", *([name] if name else [])]
                main()
    finally:
        os.chdir(before)
        sys.argv = arguments
        if jobs is None:
            del os.environ["SER_JOBS"]
        else:
            os.environ["SER_JOBS"] = jobs
    return folder


@pytest.fixture
def package(study):
    """The folder of the package of a model."""
    return lambda model: study / "data/demo/packages" / model
