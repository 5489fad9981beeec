from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ser.errors import SerError
from ser.settings import params

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def edited(tmp_path):
    """The demo's params.yaml with one piece of text replaced."""

    def edit(old: str, new: str) -> Path:
        text = (ROOT / "params.yaml").read_text()
        assert old in text
        path = tmp_path / "params.yaml"
        path.write_text(text.replace(old, new, 1))
        return path

    return edit


@pytest.mark.parametrize("path", [ROOT / "params.yaml", *sorted(ROOT.glob("studies/*/params.yaml"))], ids=str)
def test_every_shipped_study_is_valid(path):
    files = params.settings(path)
    data = params.load(path)
    assert {f"train/{e}" for e in data["experiments"]} <= files.keys()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "scaling: train",
            "scalling: train",
            r"unknown key of svm 'scalling' .*line \d+, key models.svm.scalling.*'scaling'",
        ),
        (
            "source: synthetic",
            "source: downloaded",
            r"'downloaded' is not one of the allowed values .*corpora.emodb.source",
        ),
        ("emodb-loso: {corpus: emodb", "emodb-loso: {corpus: emobd", r"unknown corpus 'emobd'.*Did you mean 'emodb'"),
        ("protocol: leave_one_speaker_out", "protocol: loso", r"unknown protocol 'loso'"),
        ("model: majority", "model: majorty", r"unknown model of this study 'majorty'.*'majority'"),
        (
            "feature: is10, feature2: is10",
            "feature: is11, feature2: is10",
            r"unknown feature of this study 'emodb-is11'",
        ),
        ("epochs: 10", "epoch: 10", r"unknown key 'epoch' .*models.cnns.training.epoch.*'epochs'"),
        ("device: auto", "device: gpu", r"'gpu' is not one of the allowed values"),
        ("statistics:", "statistcs:", r"unknown key 'statistcs'.*'statistics'"),
        ("bands: 40", "band: 40", r"unknown key of logmel 'band'.*'bands'"),
        ("corpora: #", "corpora: [ #", r"not valid YAML.*line"),
        ("study: demo", "other: demo", r"unknown key 'other' .*line 5, key other\)"),
        ("study: demo", "# no name", r"missing key 'study' \(\S+params.yaml\)\. Keys: study"),
        ("audio: #", "audio: null\nextra: #", r"unknown key 'extra' .*line \d+, key extra\)"),
        ("jobs: 0", "jobs: many", r"expected int, got 'many' .*key run.jobs\)"),
        ("jobs: 0", "jobs: -1", r"jobs must not be negative, got -1.*key run\)"),
        ("jobs: 0", "threads: 0", r"threads must be at least 1, got 0.*key run\)"),
        ("draws: 2000", "draws: -5", r"draws must not be negative.*key statistics\)"),
        ("draws: 2000", "confidence: 95.0", r"confidence is a share between 0 and 1, not 95.0"),
        ("emodb: {rate: 16000}", "emodb: {rate: 16}", r"rate is in Hz and at least 8000.*key audio.emodb\)"),
        (", plot: scatter", "", r"missing key 'plot'.*key experiments.majority-sewa-partitions\)\. Write plot: conf"),
        (", feature2: is10", "", r"missing key 'feature2'.*the same name as feature"),
        (", extra: none", "", r"missing key 'extra'.*Write extra: none"),
        ("extra: none", "extra: nothing", r"nothing is known by the name 'nothing'.*Write extra: none"),
        ("extra: none", "extra: pretrained/libri", r"unknown pretraining of this study 'libri'.*'librispeech'"),
        ("extra: none", "extra: pretrained/librispeech", r"majority takes no pretrained weights .*emodb-loso.extra"),
        ("extra: none", "extra: features/ravdess-is10", r"'ravdess-is10' is of another corpus than 'emodb'"),
        ("features: {bands: 40", "features: {bands: 30", r"pretraining librispeech and feature emodb-logmel differ in"),
        ("steps: 900", "stepps: 900", r"unknown key 'stepps'.*key pretraining.librispeech.stepps.*'steps'"),
        ("source: synthetic", "source: real_or_synthetic", r"experiments on emodb may be of real or of synthetic"),
        (
            "plot: scatter",
            "plot: scatter, training: {window: crops, frames: 8}",
            r"sewa has continuous .*Set window: blocks",
        ),
        ("size: demo}", "seeds: [1, 2, 1]}", r"a seed stands twice in \[1, 2, 1\].*emodb-loso.seeds"),
        ("size: demo}", "paper: fusion_convbert.tables.table_5}", r"key experiments.majority-emodb-loso.paper"),
        ("scaling: train", "C: fast", r"expected a list, got 'fast' .*key models.svm.C\)"),
        ("dense: 64", "dense: wide", r"expected int, got 'wide' .*line \d+, key models.cnns.dense\)"),
        ("selection: dev}", "selection: dev, config: {dense: [1]}}", r"expected int, got \[1\] .*config.dense"),
    ],
)
def test_a_wrong_key_is_one_line_with_file_line_key_and_hint(edited, old, new, message):
    with pytest.raises(SerError, match=message) as caught:
        params.settings(edited(old, new))
    assert "\n" not in str(caught.value)


ALIGNED = (  # aligned_disentangled
    "feature2: waveform, extra: semantics/sewa, plot: scatter, size: demo, seeds: [1, 2], selection: dev}"
)
EXPERIMENT = r"key experiments.aligned_disentangled-sewa-partitions"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            ALIGNED,
            ALIGNED.replace("/sewa", "/sew"),
            rf"unknown semantics of this study 'sew' .*{EXPERIMENT}.extra.*'sewa'",
        ),
        (
            ALIGNED,
            ALIGNED.replace("semantics/sewa", "none"),
            rf"it reads words, .*{EXPERIMENT}.extra\)\. Write extra: sem",
        ),
        (
            ALIGNED,
            ALIGNED[:-1] + ", config: {stream: paralinguistic, fusion: none}}",
            rf"it reads no word streams .*{EXPERIMENT}.extra\)\. Write extra: none",
        ),
        (ALIGNED, ALIGNED[:-1] + ", config: {stream: word2vec}}", rf"needs to know the word .*{EXPERIMENT}.config"),
        (
            "feature: waveform, " + ALIGNED,
            "feature: is09, " + ALIGNED.replace("waveform", "is09"),
            rf"semantic hears a waveform, and there is none in is09 .*{EXPERIMENT}.feature\)",
        ),
        (ALIGNED, ALIGNED[:-1] + ", control: length_only}", rf"length_only needs classes; sewa .*{EXPERIMENT}.control"),
        ("target: sewa\n", "target: sewa\n    streams: false\n", rf"'sewa' make no streams .*{EXPERIMENT}.extra"),
        ("target: sewa\n", "target: ravdess\n", rf"semantics 'sewa' are of 'ravdess', not 'sewa' .*{EXPERIMENT}.extra"),
        (
            "corpus: librispeech\n    target",
            "corpus: libri\n    target",
            r"'libri' .*key semantics.sewa.corpus.*'librispeech'",
        ),
        ("corpus: librispeech\n    target", "corpus: table\n    target", r"unknown corpus of this study 'table'"),
        (
            "corpus: librispeech\n    target",
            "corpus: sewa\n    target",
            r"set partitions: \[train\] .*key semantics.sewa\)",
        ),
        ("word2vec: {dim: 50", "word2vec: {dimm: 50", r"unknown key 'dimm' .*key semantics.sewa.word2vec.dimm.*'dim'"),
        ("word2vec: {dim: 50", "word2vec: {dim: 40", r"dim of word2vec 40 and of speech2vec 50 must be one"),
        (
            "corpus: sewa, protocol: partitions",
            "corpus: sewa, protocol: kfold",
            r"learn from the train part of sewa, which",
        ),
        (
            "rate: 2000, segment: 200",
            "rate: 2000, segment: 250",
            r"10 labels a second, this feature 8 rows .*features.sewa-w",
        ),
        (
            "segment: 200, norm",
            "segment: 200, segments: 90, norm",
            r"90 rows a recording.*key features.sewa-waveform.segments",
        ),
        ("window: blocks\n      frames: 100", "frames: 100", r"sewa has continuous labels.*Set window: blocks"),
    ],
)
def test_word_streams_that_do_not_fit_are_refused_before_anything_runs(edited, old, new, message):
    with pytest.raises(SerError, match=message) as caught:
        params.settings(edited(old, new))
    assert "\n" not in str(caught.value)


def test_an_experiments_own_values_win():
    files = params.settings(ROOT / "studies/emodb/params.yaml")
    assert files["train/svm-emodb-loso"]["config"]["scaling"] == "train"
    assert files["train/svm_speaker_scaled-emodb-loso"]["config"]["scaling"] == "per_speaker"


def test_a_models_value_reaches_its_experiments_and_no_other(edited):
    before = params.settings(ROOT / "params.yaml")
    after = params.settings(edited("lr: 0.003", "lr: 0.005"))
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {n for n in before if n.startswith("train/cnns")}


def test_folds_of_another_corpus_are_refused(edited):
    with pytest.raises(SerError, match="are of corpus 'ravdess', not 'emodb'"):
        params.settings(edited("folds: emodb-loso, feature", "folds: ravdess-actors, feature"))


@pytest.mark.parametrize("block", ["corpora", "experiments"])
def test_an_empty_block_is_named(tmp_path, block):
    data = {**params.load(ROOT / "params.yaml"), block: {}}
    (tmp_path / "params.yaml").write_text(json.dumps(data))
    with pytest.raises(SerError, match=rf"at least one entry in {block} .*line 1, key {block}\)"):
        params.settings(tmp_path / "params.yaml")


def test_bytes_that_are_not_utf8_are_one_line(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes(b"study: demo\nroot: .\n# M\xfcnchen\n")
    with pytest.raises(SerError, match=r"not UTF-8: byte 0xfc \(.*, line 3\)"):
        params.settings(path)


class TestPlace:
    """The graph passes PARAMS and STUDY of the params.yaml beside it: a copy that was not adapted must not run."""

    @pytest.fixture
    def write(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)

        def write(path: str, **values: str) -> str:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text(json.dumps({**params.load(ROOT / "params.yaml"), **values}))
            return path

        return write

    def test_the_demo_and_a_whole_study_pass(self, write):
        assert params.settings(write("params.yaml"), "demo")
        mine = "studies/mine/params.yaml"
        assert params.settings(write(mine, study="mine", params=mine, root="../.."), "mine")

    def test_a_copy_that_forgets_params_is_told_what_to_set(self, write):
        with pytest.raises(SerError, match=r"key study\)\. In .* set params: studies/mine/params.yaml"):
            params.settings(write("params.yaml"), "mine")

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"study": "demo"}, r"study is 'demo' in the folder of 'mine' .*Set study: mine"),
            ({"params": "params.yaml"}, r"params is 'params.yaml', but .*Set params: studies/mine/params.yaml"),
            ({"root": "."}, r"root is '.', but .*Set root: \W[.]{2}/[.]{2}\W"),
        ],
    )
    def test_a_study_whose_keys_are_another_ones(self, write, wrong, message):
        mine = "studies/mine/params.yaml"
        values = {"study": "mine", "params": mine, "root": "../..", **wrong}
        with pytest.raises(SerError, match=message):
            params.settings(write(mine, **values), values["study"])

    def test_the_demos_root_is_here(self, write):
        with pytest.raises(SerError, match=r'Set root: "[.]"'):
            params.settings(write("params.yaml", root="../.."), "demo")


def test_size_is_a_label_of_results_only_and_threads_can_change_sums():
    files = params.settings(ROOT / "params.yaml")
    assert "size" not in files["train/svm-emodb-loso"]
    assert files["evaluate/svm-emodb-loso"]["size"] == "demo"
    assert files["train/svm-emodb-loso"]["threads"] == 1


def test_checking_values_of_models_imports_no_torch():
    code = f"import sys; from ser import params; params.settings({str(ROOT / 'params.yaml')!r}); print(sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "'ser.settings.params'" in out
    assert "'torch'" not in out
