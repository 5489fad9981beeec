from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ser.core.errors import SerError
from ser.settings import check
from ser.settings.schema import GROUPS
from ser.settings.yamlfile import load
from tests.conftest import ROOT

WHOLE = ROOT / "tests/settings/params.yaml"  # not the demo, which is for users to edit
PARAMS = [ROOT / "params.yaml", *sorted(ROOT.glob("studies/*/params.yaml"))]


@pytest.fixture
def edited(tmp_path):
    """`WHOLE` with some pieces of text replaced, each once."""

    def edit(*pairs: tuple[str, str]) -> Path:
        text = WHOLE.read_text()
        for old, new in pairs:
            assert old in text, old
            text = text.replace(old, new, 1)
        path = tmp_path / "params.yaml"
        path.write_text(text)
        return path

    return edit


@pytest.mark.parametrize("path", PARAMS, ids=lambda p: p.parent.name)
def test_every_shipped_study_is_valid(path):
    study, data = check.read(path), load(path)
    assert list(study.all_experiments) == [name for group in GROUPS for name in data[group]]


def test_the_papers_studies_hold_every_experiment_once():
    papers = [check.read(ROOT / "studies" / name / "params.yaml") for name in PAPERS]
    names = [name for study in papers for name in study.all_experiments]
    assert len(names) == len(set(names)) == 136


PAPERS = ("fusion_convbert", "emotion_autoencoder", "clstm", "semantic")
MAJORITY = "  majority-emodb-loso:\n    model: majority\n    corpus: emodb\n    folds: loso\n    feature: is10\n"
WRONG = [
    ("scaling: train", "scalling: train", r"unknown key 'scalling' .*line \d+, key models.svm.scalling.*'scaling'"),
    ("source: synthetic", "source: found", r"'found' is not one of the allowed values .*corpora.emodb.source"),
    (
        "emodb-loso:\n    corpus: emodb",
        "emodb-loso:\n    corpus: emobd",
        r"unknown corpus .*'emobd'.*'emodb'",
    ),
    ("protocol: leave_one_speaker_out", "protocol: loso", r"unknown protocol 'loso' .*folds.emodb-loso.protocol"),
    ("model: majority", "model: majorty", r"unknown model of this study 'majorty'.*'majority'"),
    (
        MAJORITY,
        MAJORITY.replace("is10", "is11"),
        r"unknown feature .*'emodb-is11'.*majority-emodb-loso.fea",
    ),
    ("epochs: 10", "epoch: 10", r"unknown key 'epoch' .*models.cnns.training.epoch.*'epochs'"),
    (
        "frames: 128 # 2.56 s",
        "frames: 128\n      noise: [5.0, 20.0] # 2.56 s",
        r"noise is added to waveforms, and logmel is none .*experiments.cnns-emodb-speaker_independent.training.noise",
    ),
    ("device: auto", "device: gpu", r"'gpu' is not one of the allowed values"),
    ("statistics:", "statistcs:", r"unknown key 'statistcs'.*'statistics'"),
    ("bands: 40", "band: 40", r"unknown key 'band' .*features.emodb-logmel.band.*'bands'"),
    ("corpora: #", "corpora: [ #", r"not valid YAML.*line"),
    ("study: demo", "# no name", r"missing key 'study' \(\S+params.yaml\)\. Keys: study"),
    ("words: #", "wort: #", r"unknown key 'wort' .*line \d+, key wort\)"),
    ("jobs: 0", "jobs: many", r"expected a whole number, got 'many' .*key run.jobs\)"),
    ("jobs: 0", "jobs: -1", r"jobs must not be negative, got -1.*key run\)"),
    ("jobs: 0", "threads: 0", r"threads must be at least 1, got 0.*key run\)"),
    ("draws: 2000", "draws: -5", r"draws must not be negative.*key statistics\)"),
    ("draws: 2000", "draws: true", r"expected a whole number, got True .*key statistics.draws\)"),
    ("draws: 2000", "confidence: 95.0", r"confidence is a share between 0 and 1, not 95.0"),
    ("draws: 2000", "confidence: .nan", r"expected a finite number, got nan .*key statistics.confidence\)"),
    ("lr: 0.003", "lr: .inf", r"expected a finite number, got inf .*key models.cnns.training.lr\)"),
    ("rate: 16000", "rate: 16", r"rate is in Hz and at least 8000.*key audio.emodb\)"),
    (MAJORITY, MAJORITY + "    pretrained: librispeech\n", r"unknown key 'pretrained'.*Move the .* block finetuning"),
    ("pretrained: librispeech", "pretrained: libri", r"unknown pretraining of this study 'libri'.*'librispeech'"),
    (
        "    pretrained: librispeech\n",
        "",
        r"missing key 'pretrained' .*fusion_convbert-emodb-groups\)\. Keys",
    ),
    (
        "model: fusion_convbert\n    corpus: emodb\n    folds: groups\n    feature: logmel\n    pretrained",
        "model: cnns\n    corpus: emodb\n    folds: groups\n    feature: logmel\n    pretrained",
        r"cnns reads no pretrained .*fusion_convbert-emodb-groups.pretrained",
    ),
    ("functionals: is10", "functionals: is9", r"unknown feature of this study 'emodb-is9' .*\.functionals\)"),
    (
        "      bands: 40\n      hop: 320\n",
        "      bands: 30\n",
        r"librispeech and feature emodb-logmel differ in bands, hop",
    ),
    ("steps: 900", "stepps: 900", r"unknown key 'stepps'.*key pretraining.librispeech.stepps.*'steps'"),
    ("source: synthetic", "source: real_or_synthetic", r"experiments on emodb could be of real or of synthetic"),
    (MAJORITY, MAJORITY + "    seeds: [1, 2, 1]\n", r"a seed occurs twice in \[1, 2, 1\].*majority-emodb-loso\)"),
    ("seeds:\n  - 1", "seeds: []", r"an experiment needs at least one seed .*key defaults\)"),
    (MAJORITY, MAJORITY + "    paper: table_5\n", r"key experiments.majority-emodb-loso.paper"),
    (
        MAJORITY,
        MAJORITY + "    control: majorty\n",
        r"unknown control 'majorty'.*majority-emodb-loso.control.*'majority'",
    ),
    (MAJORITY, MAJORITY.replace("loso:", "@loso:"), r"name 'majority-emodb-@loso' has characters that DVC cannot use"),
    (
        MAJORITY,
        MAJORITY.replace("majority-emodb-loso", "ae-emodb-groups"),
        r"'ae-emodb-groups' is in .* and in",
    ),
    ("scaling: train", "C: fast", r"expected a list, got 'fast' .*key models.svm.C\)"),
    ("dense: 64", "dense: wide", r"expected a whole number, got 'wide' .*line \d+, key models.cnns.dense\)"),
    (
        "      variant: transformer",
        "      d: [1]",
        r"whole number, got \[1\] .*transformer-emodb-groups.config.d\)",
    ),
]


@pytest.mark.parametrize(("old", "new", "message"), WRONG)
def test_a_fault_is_one_line_with_file_line_key_and_hint(edited, old, new, message):
    with pytest.raises(SerError, match=message) as caught:
        check.read(edited((old, new)))
    assert not [e for e in caught.value.errors if "\n" in str(e)]


def test_the_fusion_model_reads_an_encoder_with_as_many_frames_per_second(edited):
    feature = ("  emodb-is10:", "  emodb-tiny:\n    corpus: emodb\n    feature: ssl\n    pool: none\n  emodb-is10:")
    head = "  ae_ee_in-emodb-groups:\n    model: {}\n    corpus: emodb\n    folds: groups\n    feature: {}\n"
    new = head.format("fusion_convbert", "logmel") + "    functionals: tiny\n    config:\n      variant: fusion_ssl\n"
    read = (head.format("emotion_autoencoder", "logmag") + "    functionals: is10\n", new)
    assert check.read(edited(feature, read)).all_experiments["ae_ee_in-emodb-groups"].functionals == "tiny"
    with pytest.raises(SerError, match=r"emodb-logmel 100 and emodb-tiny 50 .*Change hop"):
        check.read(edited(feature, read, ("hop: 320 # samples", "hop: 160 # samples"), ("      hop: 320\n", "")))
    with pytest.raises(SerError, match=r"variant fusion_ssl also reads the frames of an encoder"):
        check.read(edited(feature, (read[0], new.replace("tiny", "is10"))))


def test_all_faults_are_reported_at_once(edited):
    path = edited(
        ("scaling: train", "scalling: train"),
        ("bands: 40", "bands: many"),
        ("protocol: partitions", "protocol: partition"),
        ("jobs: 0", "jobs: .nan"),
        (MAJORITY, MAJORITY.replace("is10", "is11").replace("folds: loso", "folds: los")),
        ("pretrained: librispeech", "pretrained: libri"),
    )
    with pytest.raises(SerError) as caught:
        check.read(path)
    keys = [str(error).split(", key ")[1].split(")")[0] for error in caught.value.errors]
    assert sorted(keys) == [
        "experiments.majority-emodb-loso.feature",
        "experiments.majority-emodb-loso.folds",
        "features.emodb-logmel.bands",
        "finetuning.fusion_convbert-emodb-groups.pretrained",
        "folds.sewa-partitions.protocol",
        "models.svm.scalling",
        "run.jobs",
    ]
    assert len(str(caught.value).splitlines()) == len(keys)


def test_a_fault_is_not_repeated_wherever_the_faulty_block_is_named(edited):
    """Eight experiments are on emodb."""
    with pytest.raises(SerError) as caught:
        check.read(edited(("source: synthetic", "source: found")))
    assert len(caught.value.errors) == 1


ALIGNED = (
    "  aligned_disentangled-sewa-partitions:\n    model: semantic\n    corpus: sewa\n    folds: partitions\n"
    "    feature: waveform\n    words: sewa\n"
)
WITH_WORDS = r"key with_words.aligned_disentangled-sewa-partitions"
WORDS = [
    (ALIGNED, ALIGNED.replace("words: sewa", "words: sew"), rf"unknown words of this study 'sew' .*{WITH_WORDS}.words"),
    (ALIGNED, ALIGNED + "    control: length_only\n", rf"length_only needs classes; sewa .*{WITH_WORDS}.control"),
    (ALIGNED, ALIGNED + "    config:\n      stream: paralinguistic\n      fusion: none\n", WITH_WORDS),
    (ALIGNED, ALIGNED + "    config:\n      stream: word2vec\n", WITH_WORDS),
    (ALIGNED, ALIGNED.replace("feature: waveform", "feature: is09"), WITH_WORDS),
    ("      stream: paralinguistic", "      stream: aligned", r"key experiments.paralinguistic-sewa-partitions"),
    ("target: sewa\n", "target: sewa\n    streams: false\n", rf"'sewa' make no streams .*{WITH_WORDS}.words"),
    ("target: sewa\n", "target: ravdess\n", rf"words 'sewa' are of 'ravdess', not of 'sewa' .*{WITH_WORDS}.words"),
    ("corpus: librispeech\n    target", "corpus: table\n    target", r"unknown corpus of this study 'table'"),
    ("corpus: librispeech\n    target", "corpus: sewa\n    target", r"partitions: .train.*key words.sewa"),
    (
        "    word2vec:\n      vector_size: 50",
        "    word2vec:\n      vectorsize: 50",
        r"unknown key .*sewa.word2vec.vectorsize",
    ),
    ("    word2vec:\n      vector_size: 50", "    word2vec:\n      vector_size: 40", r"not 40 and 50"),
    (
        "    word2vec:\n      vector_size: 50",
        "    word2vec:\n      vectors: nowhere.txt\n      vector_size: 50",
        r"no such file: nowhere.txt \(.*words.sewa.word2vec.vectors\)\. Give a path from the root",
    ),
    (
        "corpus: sewa\n    protocol: partitions",
        "corpus: sewa\n    protocol: kfold",
        r"from the train part of sewa",
    ),
    ("segment: 200", "segment: 250", r"10 labels per second, this feature 8 rows .*features.sewa-w"),
    ("segment: 200", "segments: 90\n    segment: 200", r"90 rows per recording.*key features.sewa-waveform.segments"),
    ("window: blocks", "window: crops", r"sewa has continuous labels.*Set window: blocks"),
]


@pytest.mark.parametrize(("old", "new", "message"), WORDS)
def test_inputs_that_do_not_fit_are_refused_before_anything_runs(edited, old, new, message):
    with pytest.raises(SerError) as caught:
        check.read(edited((old, new)))
    import re

    assert any(re.search(message, str(error)) for error in caught.value.errors), str(caught.value)


def test_folds_of_another_corpus_do_not_exist(edited):
    with pytest.raises(SerError, match="unknown folds of this study 'emodb-actors'"):
        check.read(edited((MAJORITY, MAJORITY.replace("loso\n", "actors\n"))))


@pytest.mark.parametrize("block", ["corpora", "experiments"])
def test_a_study_without_corpora_or_experiments(tmp_path, block):
    empty = {group: {} for group in GROUPS} if block == "experiments" else {block: {}}
    (tmp_path / "params.yaml").write_text(json.dumps({**load(WHOLE), **empty}))
    with pytest.raises(SerError) as caught:
        check.read(tmp_path / "params.yaml")
    assert f"a study needs at least one {block.replace('corpora', 'corpus').removesuffix('s')}" in str(caught.value)


def test_bytes_that_are_not_utf8_are_one_line(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes(b"study: demo\nroot: .\n# M\xfcnchen\n")
    with pytest.raises(SerError, match=r"not UTF-8: byte 0xfc \(.*, line 3\)"):
        check.read(path)


class TestPlace:
    """The graph passes PARAMS and STUDY of the params.yaml beside it: a copy that was not adapted must not run."""

    @pytest.fixture
    def write(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)

        def write(path: str, **values: str) -> str:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text(json.dumps({**load(WHOLE), **values}))
            return path

        return write

    def test_the_demo_and_a_whole_study_pass(self, write):
        assert check.read(write("params.yaml"), "demo")
        mine = "studies/mine/params.yaml"
        assert check.read(write(mine, study="mine", params=mine, root="../.."), "mine")

    def test_a_copy_that_forgets_params_is_told_what_to_set(self, write):
        with pytest.raises(SerError, match=r"key study\)\. In .* set params: studies/mine/params.yaml"):
            check.read(write("params.yaml"), "mine")

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"study": "demo"}, r"study is 'demo' in the folder of 'mine' .*Set study: mine"),
            ({"params": "params.yaml"}, r"params is 'params.yaml', but .*Set params: studies/mine/params.yaml"),
            ({"root": "."}, r"root is '.', but .*Set root: \W[.]{2}/[.]{2}\W"),
        ],
    )
    def test_a_study_with_the_keys_of_another(self, write, wrong, message):
        mine = "studies/mine/params.yaml"
        values = {"study": "mine", "params": mine, "root": "../..", **wrong}
        with pytest.raises(SerError, match=message):
            check.read(write(mine, **values), values["study"])

    def test_the_demos_root_is_here(self, write):
        with pytest.raises(SerError, match=r'Set root: "[.]"'):
            check.read(write("params.yaml", root="../.."), "demo")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("corpora:", "corpora: !!omap\n- a: 1\nrest:"),
        ("corpora:", "corpora: &loop\n  self: *loop\n"),
        ("  emodb:\n", "  ? [1, 2]\n  :\n    source: real\n  emodb:\n"),
        ("  emodb:\n    source: synthetic", "  emodb:\n    <<: 3"),
        ("  emodb:\n    source: synthetic", "  emodb:\n    <<: {source: real, other: 1}"),
        ("  - 1\n", f"  - {'9' * 5000}\n"),
        ("study: demo", "study: " + "[" * 5000 + "]" * 5000),
        ("study: demo", "study: " + "{a: " * 250 + "1" + "}" * 250),
        ("study: demo", 'study: "a\\0b"'),
        ("study: demo", "study: a\0b"),
    ],
)
def test_yaml_that_is_no_plain_settings_is_refused_by_name(edited, old, new):
    path = edited((old, new))
    with pytest.raises(SerError, match=re.escape(str(path))):
        check.read(path)


ENSEMBLE = "ensembles:\n  both:\n    members:\n    - majority-emodb-loso\n    - {other}\n"


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ("svm-emodb-los", r"unknown experiment .*'svm-emodb-los' .*ensembles.both.members.*'svm-emodb-loso'"),
        ("svm-ravdess-actors", r"different folds: majority-emodb-loso on emodb-loso, svm-ravdess-actors on ravdess-"),
        ("majority-emodb-loso", r"at least two members, each once"),
    ],
)
def test_members_of_an_ensemble_are_experiments_on_the_same_folds(edited, other, message):
    path = edited()
    path.write_text(path.read_text() + ENSEMBLE.format(other="svm-emodb-loso"))
    assert check.read(path).ensembles["both"].members == ("majority-emodb-loso", "svm-emodb-loso")
    path = edited()
    path.write_text(path.read_text() + ENSEMBLE.format(other=other))
    with pytest.raises(SerError, match=message):
        check.read(path)


def test_an_ensemble_is_evaluated_as_an_experiment_and_not_trained(edited):
    from ser.settings import files

    path = edited()
    path.write_text(path.read_text() + ENSEMBLE.format(other="svm-emodb-loso"))
    made = files.files(check.read(path))
    about = made["evaluate"]["experiments"]["both"]
    assert (about["model"], about["members"]) == ("ensemble", ("majority-emodb-loso", "svm-emodb-loso"))
    assert about["protocol"] == "leave_one_speaker_out"
    assert "both" in made["report"]["experiments"]
    assert "train/both" not in made
