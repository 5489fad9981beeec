from __future__ import annotations

from pathlib import Path

import pytest

from ser import params
from ser.core.errors import SerError

ROOT = Path(__file__).resolve().parents[1]


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
        ("epochs: ", "epoch: ", r"unknown key 'epoch' .*models.cnns.training.epoch.*'epochs'"),
        ("device: auto", "device: gpu", r"'gpu' is not one of the allowed values"),
        ("statistics:", "statistcs:", r"unknown key 'statistcs'.*'statistics'"),
        ("bands: 40", "band: 40", r"unknown key of logmel 'band'.*'bands'"),
        ("corpora: #", "corpora: [ #", r"not valid YAML.*line"),
        ("study: demo", "other: demo", r"unknown key 'other'|missing key 'study'"),
    ],
)
def test_a_wrong_key_is_one_line_with_file_line_key_and_mend(edited, old, new, message):
    with pytest.raises(SerError, match=message) as caught:
        params.settings(edited(old, new))
    assert "\n" not in str(caught.value)


def test_an_experiments_own_values_win(edited):
    files = params.settings(edited("scaling: train", "scaling: train"))
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
