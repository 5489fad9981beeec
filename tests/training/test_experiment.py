from __future__ import annotations

import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ser.core import plugins
from ser.core.errors import SerError, TrainingError
from ser.core.files import read_json, write_json
from ser.evaluation import notes, predictions
from ser.protocols import claims, folds, kfold
from ser.training import experiment, fold
from ser.training.result import Result
from tests import toy


@pytest.fixture
def where(tmp_path):
    return toy.files(tmp_path)


def _wa(files) -> float:
    table = predictions.read(files.predictions).table
    return float((table["truth"] == table["prediction"]).mean())


def test_the_svm_learns_and_shuffled_labels_do_not(where):
    experiment.run(toy.settings("svm"), where, {"jobs": 1})
    assert _wa(where) > 0.9
    experiment.run(toy.settings("svm", control="shuffled_labels", seeds=[1, 2, 3]), where, {"jobs": 1})
    assert _wa(where) < 0.6  # 1/3 is chance for three balanced classes


def test_a_model_of_scikit_learn_gets_a_seed_of_32_bits(where, monkeypatch):
    seeds, module = [], plugins.load("models", "svm")

    class Spy(module.Model):
        def __init__(self, config, task, seed):
            super().__init__(config, task, seed)
            seeds.append(seed)

    monkeypatch.setattr(module, "Model", Spy)
    experiment.run({**toy.settings("svm"), "seeds": [1, 2, 3]}, where, {"jobs": 1})
    assert len(set(seeds)) > 3
    assert max(seeds) < 2**32


@pytest.mark.parametrize("scaling", ["per_speaker", "per_corpus"])
def test_scaling_by_test_audio_is_marked_transductive(where, scaling):
    experiment.run(toy.settings("svm", {"scaling": scaling}), where, {"jobs": 1})
    assert read_json(where.card)["transductive"] is True
    experiment.run(toy.settings("svm"), where, {"jobs": 1})
    assert read_json(where.card)["transductive"] is False


def test_normalising_by_the_corpus_is_marked_transductive(where):
    training = {"epochs": 1, "normalise": "corpus"}
    experiment.run(toy.settings("mlp", {"hidden": 4}, training), where, {"jobs": 1})
    assert read_json(where.card)["transductive"] is True


def test_the_card_of_a_joint_corpus_says_what_each_fold_was_trained_on(where):
    experiment.run(toy.settings("svm"), where, {"jobs": 1})
    assert "trained_on" not in read_json(where.card)
    settings = {**toy.settings("svm"), "corpus": "both"}
    path = where.manifest / "utterances.csv"
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table["corpus"] = np.where(table["speaker"].isin(["03", "08"]), "one", "two")
    table.to_csv(path, index=False)
    experiment.run(settings, where, {"jobs": 1})
    corpus = dict(zip(table["utterance"], table["corpus"], strict=True))
    expected = {f.name: sorted({corpus[u] for u in f.train}) for f in folds.read(where.folds)}
    assert read_json(where.card)["trained_on"] == expected
    assert ["one", "two"] in expected.values()


def test_the_card_names_the_encoder_and_a_tested_corpus_that_it_has_heard_is_a_warning(where, capsys):
    path = where.features["vectors"] / "card.json"
    encoder = {"bundle": "WAV2VEC2_BASE", "sha256": "ab" * 32, "pretrained_on": ["librispeech", "emodb"]}
    write_json(path, read_json(path) | {"encoder": encoder})
    experiment.run(toy.settings("svm"), where, {"jobs": 1})
    assert read_json(where.card)["encoders"] == {"vectors": encoder}
    assert read_json(where.card)["pretrained_on_tested"] == {"vectors": ["emodb"]}
    assert (
        "encoder WAV2VEC2_BASE of feature vectors was pretrained on the tested corpus emodb" in capsys.readouterr().err
    )
    first, second = notes.of_encoders(read_json(where.card)["encoders"], {"emodb"})
    assert first == f"encoder WAV2VEC2_BASE (SHA-256 {'ab' * 6}), pretrained on librispeech, emodb"
    assert second == "the encoder WAV2VEC2_BASE was pretrained on the tested corpus emodb"
    assert len(notes.of_encoders({"x": encoder}, {"ravdess"})) == 1
    (random,) = notes.of_encoders({"x": {"bundle": "TINY", "sha256": "random", "pretrained_on": []}}, {"emodb"})
    assert "trained on nothing" in random


def test_finished_folds_are_not_trained_again(where, monkeypatch):
    settings = toy.settings("svm")
    experiment.run(settings, where, {"jobs": 1})
    wanted = where.predictions.read_bytes()
    folder = next((where.checkpoints / "toy" / "svm-toy").iterdir())
    results = sorted(folder.glob("*.npz"))
    assert len(results) == len(toy.SPEAKERS)
    results[1].unlink()
    trained = []
    original = fold.train
    monkeypatch.setattr(fold, "train", lambda job: trained.append(job.name) or original(job))
    experiment.run(settings, where, {"jobs": 1})
    assert trained == [results[1].stem]
    assert where.predictions.read_bytes() == wanted


def test_another_seed_trains_only_its_own_folds(where, monkeypatch):
    experiment.run(toy.settings("svm"), where, {"jobs": 1})
    trained = []
    original = fold.train
    monkeypatch.setattr(fold, "train", lambda job: trained.append(job.seed) or original(job))
    experiment.run(toy.settings("svm", seeds=[1, 2]), where, {"jobs": 1})
    assert set(trained) == {2}
    assert len(trained) == len(toy.SPEAKERS)


def test_the_card_names_the_arrays_that_a_model_leaves_for_figures(where):
    settings, files = toy.for_model(where, "emotion_autoencoder")
    experiment.run(settings, files, {"jobs": 1})
    path = where.checkpoints.parent / read_json(files.card)["artefacts"]
    with np.load(path) as arrays:
        assert {"latents", "reconstructions", "utterances"} <= set(arrays)
    experiment.run(toy.settings("svm"), where, {"jobs": 1})
    assert read_json(where.card)["artefacts"] is None


@pytest.mark.parametrize("change", ["settings", "labels", "features", "folds"])
def test_a_change_never_reuses_an_old_fold(where, tmp_path, change):
    settings = toy.settings("svm")

    def key():
        return experiment.fingerprint(settings, where, "cpu")

    first = key()
    if change == "settings":
        settings = toy.settings("svm", {"C": [0.5]})
    elif change == "labels":
        path = where.manifest / "utterances.csv"
        path.write_text(path.read_text().replace("anger", "neutral", 1))
    elif change == "features":
        where = replace(where, features={"vectors": tmp_path / "frames"})
    else:
        where.folds.write_text("\n".join(where.folds.read_text().split("\n")[:-2]) + "\n")
    assert key() != first


def test_a_fold_file_changed_by_hand_is_audited_again(where):
    table = pd.read_csv(where.folds, dtype=str)
    test = table[(table["fold"] == table["fold"].iloc[0]) & (table["role"] == "test")].assign(role="train")
    pd.concat([table, test.head(1)]).to_csv(where.folds, index=False)
    with pytest.raises(SerError, match=f"{test['utterance'].iloc[0]}"):
        experiment.run(toy.settings("svm"), where, {"jobs": 1})


def test_selection_on_dev_without_dev_says_what_to_do(tmp_path):
    where = toy.files(tmp_path, dev=False)
    settings, files = toy.for_model(where, "cnns")
    with pytest.raises(SerError, match=r"no dev part.*Set selection: last"):
        experiment.run({**settings, "selection": "dev"}, files, {"jobs": 1})


def test_the_oracle_is_never_worse_on_test_than_the_last_epoch(where):
    settings, files = toy.for_model(where, "cnns")
    settings["training"]["lr"] = 0.03
    experiment.run({**settings, "selection": "last"}, files, {"jobs": 1})
    last = _wa(files)
    experiment.run({**settings, "selection": "test_oracle"}, files, {"jobs": 1})
    assert _wa(files) >= last


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_diverged_fold_does_not_stop_the_others(where, monkeypatch, jobs):
    """The first fold has labels that no network can learn at this rate; a worker that fails must not end the others."""
    settings, files = toy.for_model(where, "cnns")
    settings["training"] |= {"lr": 1e18}
    with pytest.raises(SerError, match=r"4 of 4 folds could not be trained.*the loss is .*The others are kept"):
        experiment.run(settings, files, {"jobs": jobs})
    assert len(list(files.checkpoints.rglob("*.failed.json"))) == 4

    network, tried = fold._network, []

    def first_fails(job, module):
        tried.append(job.name)
        if job.place[0] == 0:
            raise TrainingError("the loss is nan at step 3", "here", "Lower it")
        return network(job, module)

    monkeypatch.setattr(fold, "_network", first_fails)
    settings["training"] |= {"lr": 0.01}
    with pytest.raises(SerError, match=r"1 of 4 folds could not be trained.*nan at step 3.*Lower it"):
        experiment.run(settings, files, {"jobs": 1})
    assert len(tried) == 4
    monkeypatch.setattr(fold, "_network", network)
    found = experiment.run(settings, files, {"jobs": 1})  # the one that failed, alone
    assert found["utterance"].nunique() == len(toy.table())


def test_a_training_at_chance_starts_again_with_its_fallback_and_the_card_says_so(where, capsys):
    settings, files = toy.for_model(where, "fusion_convbert")
    # a rate of nearly nothing stays at chance; the profile of the fallback has another one
    training = {**settings["training"], "lr": 1e-12, "chance_after": 10, "chance_margin": 0.3, "evaluate_every": 5}
    settings = {**settings, "training": training | {"epochs": 8}, "selection": "dev"}
    with pytest.raises(
        SerError, match=r"dev is at chance after 1\d steps: the best macro recall is 0\.\d+ with 3 classes"
    ):
        experiment.run(settings, files, {"jobs": 1})
    fallback = {**settings, "config": {**settings["config"], "fallback": "safe"}}
    fallback["training"] = training | {"epochs": 8, "chance_margin": 0.0}
    found = experiment.run(fallback, files, {"jobs": 1})
    notes = read_json(files.card)["notes"]
    again = [name for name, own in notes.items() if "fallback" in own]
    assert again
    assert all("dev is at chance" in notes[name]["fallback"] for name in again)
    assert "the training starts again with its fallback" in capsys.readouterr().err
    safe = {**fallback, "config": {**settings["config"], "profile": "safe"}}
    safe["training"] = {k: v for k, v in fallback["training"].items() if not k.startswith("chance")}
    twin = experiment.run(safe, files, {"jobs": 1})
    rows = found["fold"].isin([name.rsplit("-", 1)[0] for name in again])
    pd.testing.assert_frame_equal(found[rows], twin[rows])


def test_chance_needs_classes_of_a_dev_part(tmp_path):
    settings, files = toy.for_model(toy.files(tmp_path, dev=False), "cnns")
    settings["training"]["chance_after"] = 3
    with pytest.raises(SerError, match="chance_after looks at classes of a dev part"):
        experiment.run(settings, files, {"jobs": 1})


def test_an_svm_on_frames_is_refused(where):
    frames = {"frames": where.predictions.parents[1] / "frames"}
    with pytest.raises(SerError, match="svm needs utterance-level features"):
        experiment.run(toy.settings("svm", features=["frames"]), replace(where, features=frames), {"jobs": 1})


def test_results_survive_a_round_trip(tmp_path):
    arrays = [np.arange(6.0).reshape(3, 2), np.ones((2, 2))]
    Result(arrays, [{"train_loss": 1.0}], {"C": 0.1}).write(tmp_path / "r.npz", "r")
    read = Result.read(tmp_path / "r.npz", "r")
    assert [a.tolist() for a in read.scores] == [a.tolist() for a in arrays]
    assert read.history == [{"train_loss": 1.0}]
    assert read.notes == {"C": 0.1}


def test_values_that_cannot_work_stop_before_any_fold(where):
    settings, files = toy.for_model(where, "cnns")
    for change, message in (
        ({"training": {"epochs": 1}}, r"needs inputs of one length \(models.cnns.training.frames\)"),
        ({"config": {"dense": -3}}, r"dense (is|must be) at least 1"),
        ({"config": {"pools": [0, 4], "channels": [4, 4]}}, r"pool"),
        ({"training": {"epochs": 1, "frames": 8, "time_share": 7.0}}, r"time_share is a share"),
    ):
        with pytest.raises(SerError, match=message):
            experiment.run({**settings, **change}, files, {"jobs": 1})
    with pytest.raises(SerError, match="chooses its hyper-parameters itself"):
        experiment.run(toy.settings("svm", selection="test_oracle"), where, {"jobs": 1})
    with pytest.raises(SerError, match="is not trained by the loop"):
        experiment.run(toy.settings("svm", training={"epochs": 3}), where, {"jobs": 1})
    assert not files.checkpoints.exists()


def test_an_svm_with_one_training_class_is_one_line(where):
    table = pd.read_csv(where.manifest / "utterances.csv", dtype=str, keep_default_na=False)
    table["emotion"] = "anger"
    table.to_csv(where.manifest / "utterances.csv", index=False)
    with pytest.raises(SerError, match="one class only, 'anger'"):
        experiment.run(toy.settings("svm"), where, {"jobs": 1})


def test_inner_folds_of_one_class_do_not_stop_the_svm():
    from ser.models import svm

    x = np.random.default_rng(0).normal(size=(12, 2))
    y = np.repeat([0, 1], 6)
    assert (svm.inner_predictions(0.01, x @ x.T, y, part=y) != y).all(), "each part's class is never seen in training"


def test_a_speaker_whose_name_is_a_path_stays_in_the_folder_of_its_experiment(where, tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "p-seed1").mkdir()
    for path in (where.manifest / "utterances.csv", where.folds):
        path.write_text(
            path.read_text().replace(",03,", ",../../../../precious/p,").replace("\n03,", "\n../../../../precious/p,")
        )
    experiment.run(toy.settings("svm"), where, {"jobs": 1})
    assert (precious / "p-seed1").exists()
    assert os.listdir(precious) == ["p-seed1"]


def test_speakers_with_one_class_are_named_where_they_are_scaled_by_themselves(where, capsys):
    table = pd.read_csv(where.manifest / "utterances.csv", dtype=str, keep_default_na=False)
    table.loc[table["speaker"] == "03", "emotion"] = "anger"
    table.to_csv(where.manifest / "utterances.csv", index=False)
    experiment.run(toy.settings("svm"), where, {"jobs": 1})
    assert "one class only" not in capsys.readouterr().err
    experiment.run(toy.settings("svm", {"scaling": "per_speaker"}), where, {"jobs": 1})
    line = capsys.readouterr().err
    assert "1 of 4 speakers have one class only" in line
    assert ": 03 (svm-toy)" in line
    assert read_json(where.card)["one_class_speakers"] == ["03"]


def test_a_speaker_dependent_experiment_comes_with_what_the_speaker_alone_scores(where):
    experiment.run(toy.settings("svm"), where, {"jobs": 1})
    assert "beside" not in read_json(where.card)
    table = pd.read_csv(where.manifest / "utterances.csv", dtype=str, keep_default_na=False)
    table["emotion"] = table["speaker"].map(dict(zip(toy.SPEAKERS, (*toy.CLASSES, "anger"), strict=True)))
    table.to_csv(where.manifest / "utterances.csv", index=False)
    about = {"protocol": "kfold", "claims": claims(kfold, kfold.Config())}
    folds.write(kfold.folds(table, kfold.Config(3), 1), where.folds, about)
    experiment.run(toy.settings("svm"), where, {"jobs": 1})
    assert read_json(where.card)["beside"] == {"length_only": pytest.approx(1 / 3, abs=1e-4), "speaker_only": 1.0}
    assert read_json(where.card)["selection"] == "train (inner random folds)"


@pytest.fixture
def trained(where):
    """A finished experiment, its results, and its predictions as bytes."""
    experiment.run(toy.settings("svm"), where, {"jobs": 1})
    folder = next((where.checkpoints / "toy" / "svm-toy").iterdir())
    return sorted(folder.glob("*.npz")), where.predictions.read_bytes()


def test_a_result_under_the_name_of_another_fold_is_trained_again(where, trained, capsys):
    results, wanted = trained
    shutil.copyfile(results[0], results[1])
    experiment.run(toy.settings("svm"), where, {"jobs": 1})
    assert where.predictions.read_bytes() == wanted
    assert f"this is the result of {results[0].stem}, not of {results[1].stem}" in capsys.readouterr().err
    assert results[1].with_name(f"{results[1].name}.damaged").exists()


@pytest.mark.parametrize("damage", [lambda d: d[: len(d) // 2], lambda d: b"", lambda d: d[:600] + b"?" + d[601:]])
def test_a_damaged_result_is_set_aside_and_made_again(where, trained, capsys, damage):
    results, wanted = trained
    results[2].write_bytes(damage(results[2].read_bytes()))
    results[1].with_suffix(".cost.json").write_text("{")
    experiment.run(toy.settings("svm"), where, {"jobs": 1})
    assert where.predictions.read_bytes() == wanted
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 2
    assert all(line.startswith("warning: damaged file: ") for line in lines)


def test_a_store_that_changed_with_its_time_kept_is_refused(where):
    array = where.features["vectors"] / "array.npy"
    data = bytearray(array.read_bytes())
    data[-3] ^= 1
    array.write_bytes(data)
    with pytest.raises(SerError, match=r"array and index are not those of the card \(.*vectors"):
        experiment.run(toy.settings("svm"), where, {"jobs": 1})


def test_two_runs_that_share_a_folder_share_the_folds(where, monkeypatch):
    """The second run starts while the first trains its first fold; no fold is trained twice."""
    trained, started = [], threading.Event()
    original = fold.train

    def slow(job):
        trained.append(job.name)
        started.set()
        time.sleep(0.3)
        return original(job)

    monkeypatch.setattr(fold, "train", slow)
    others = replace(
        where, predictions=where.predictions.with_name("b.csv"), card=where.card.parent / "b" / "card.json"
    )
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(experiment.run, toy.settings("svm"), where, {"jobs": 1})
        started.wait()
        second = pool.submit(experiment.run, toy.settings("svm"), others, {"jobs": 1})
        first.result(), second.result()
    assert sorted(trained) == sorted(set(trained))
    assert len(trained) == len(toy.SPEAKERS)
    assert where.predictions.read_bytes() == others.predictions.read_bytes()
    assert not list(where.checkpoints.rglob("*.claim"))
