"""A package of an ensemble: one folder that predicts as the ensemble does in the evaluation."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser.core.errors import SerError
from ser.evaluation import calibration, ensembles
from ser.evaluation.predictions import SCORE, read
from ser.packages import contents, predict
from ser.packages import model as models
from ser.settings import check
from tests.packages.conftest import PARAMS
from tests.packages.test_parity import recordings

MEMBERS = ("svm", "mlp", "cnns")


def test_ser_predict_gives_the_scores_of_the_evaluation(study, package, tmp_path, monkeypatch):
    """With the models of one fold and without calibration, on the files that the fold tests."""
    monkeypatch.chdir(study)
    loaded = models.load(package("ensemble"), "cpu")
    fold = loaded.contents.members[-1]
    loaded.contents = dataclasses.replace(loaded.contents, members=(fold,), temperature=None)
    monkeypatch.setattr(predict, "Model", lambda folder: loaded)
    ids, decoded, _ = recordings("emodb", fold, "metrics/demo/predictions/svm.csv")
    for utterance, (signal, rate) in zip(ids, decoded, strict=True):
        soundfile.write(tmp_path / f"{utterance}.wav", signal, rate, subtype="FLOAT")
    predict.run("ensemble", [str(tmp_path)], tmp_path / "p.csv")
    found = pd.read_csv(tmp_path / "p.csv").filter(like=SCORE)
    evaluated = ensembles.combined({m: read(f"metrics/demo/predictions/{m}.csv") for m in MEMBERS}, "svm_with_networks")
    rows = evaluated[evaluated["fold"] == fold].set_index("utterance").loc[ids]
    np.testing.assert_allclose(found, rows[list(found)], atol=1.5e-6)  # a table has six decimals
    own = loaded.predict([loaded.read(*d) for d in decoded], [len(s) / rate for s, rate in decoded])
    np.testing.assert_allclose(own, rows[list(found)], atol=1e-6)


def test_the_folds_are_calibrated_and_averaged(package):
    loaded = models.load(package("ensemble"), "cpu")
    signal = np.random.default_rng(0).normal(size=16000).astype(np.float32) / 10
    features = loaded.read(signal, 16000)
    each = loaded.each([features], [1.0])
    assert set(each) == set(loaded.contents.members)
    assert len(each) == 4
    assert loaded.contents.temperature is not None
    wanted = np.mean([calibration.scaled(s, loaded.contents.temperature) for s in each.values()], axis=0)
    np.testing.assert_allclose(loaded.predict([features], [1.0]), wanted)


def test_each_member_is_a_package_itself(package):
    for member in MEMBERS:
        part = models.load(package("ensemble") / member, "cpu")
        assert part.contents.digest == contents.read(package(member)).digest
        assert (package("ensemble") / member / contents.CARD).is_file()
    assert sorted(p.name for p in package("ensemble").iterdir()) == sorted([*MEMBERS, "README.md", "ser.yaml"])


def test_on_all_has_one_training_per_seed_of_each_member(package):
    loaded = models.load(package("ensemble_all"), "cpu")
    assert loaded.contents.members == ("all",)
    assert [list(part.members) for part in loaded.parts] == [["all-seed1"], ["all-seed1", "all-seed2"], ["all-seed1"]]


def test_the_card_has_the_numbers_of_the_ensemble(package):
    card = (package("ensemble") / contents.CARD).read_text()
    assert "mean of the log scores of svm, mlp, cnns" in card
    assert "openSMILE" in card
    assert "name: UA (mean recall of the classes)" in card


def test_a_changed_or_missing_member_is_one_line(package, tmp_path):
    import shutil

    copy = shutil.copytree(package("ensemble"), tmp_path / "copy")
    shutil.rmtree(copy / "mlp")
    with pytest.raises(SerError, match=r"not a package: .*mlp"):
        models.load(copy)
    shutil.copytree(package("mlp"), copy / "mlp", dirs_exist_ok=True)
    models.load(copy, "cpu")
    shutil.rmtree(copy / "cnns")
    shutil.copytree(package("cnns_mean"), copy / "cnns")
    with pytest.raises(SerError, match="the weights are not those"):
        models.load(copy)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("members: [svm, mlp, cnns]", "members: [svm, majority_control]", "majority_control cannot be packaged"),
        ("{experiment: svm_with_networks}", "{experiment: svm_with_network}", "Did you mean 'svm_with_networks'"),
        ("{experiment: svm_with_networks}", "{experiment: svm_with_networks, onnx: true}", "no graph of its own"),
    ],
)
def test_what_cannot_be_packaged_is_refused_before_anything_runs(old, new, message, tmp_path, monkeypatch):
    control = "  majority_control: {model: svm, corpus: emodb, folds: loso, feature: is10, control: majority}\n"
    text = PARAMS.replace("experiments:\n", "experiments:\n" + control).replace(old, new)
    (tmp_path / "params.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SerError, match=message):
        check.read("params.yaml", "demo")
