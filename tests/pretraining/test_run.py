from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from ser.core import plugins, weights
from ser.core.errors import SerError
from ser.corpora import manifest
from ser.models.layers import mockingjay
from ser.pretraining import data, encoder, sources
from ser.pretraining.run import pretrain
from ser.pretraining.settings import Settings
from tests.conftest import ROOT
from tests.pretraining.speech import FEATURES, SETTINGS, SMALL, corpus

CPU = {"device": "cpu", "precision": "auto", "jobs": 1}
FILES = ("out/encoder.safetensors", "out/head.safetensors", "out/card.json", "out/samples.npz", "curve.csv")


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    return corpus(tmp_path_factory.mktemp("tones"))


def _run(settings, tones, folder, **options):
    options = {"root": tones.parent, "checkpoints": folder / "checkpoints", "execution": CPU} | options
    return pretrain(settings, tones, out_folder=folder / "out", curve_path=folder / "curve.csv", **options)


def _bytes(folder):
    return [(folder / name).read_bytes() for name in FILES]


@pytest.fixture(scope="module")
def whole(tones, tmp_path_factory):
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    card = _run(SETTINGS, tones, folder)
    return folder, card


def test_it_beats_the_mean_of_the_utterance(tones, tmp_path, capsys):
    sizes = replace(SMALL, hidden=32, dropout=0.0, attention_dropout=0.0)
    settings = replace(SETTINGS, encoder=sizes, steps=400, batch=8, lr=5e-3, evaluate_every=100, longest=50, cache=True)
    card = _run(settings, tones, tmp_path)
    curve = pd.read_csv(tmp_path / "curve.csv")
    assert list(curve) == ["step", "train_l1", "dev_l1", "baseline_l1", "lr"]
    assert curve["step"].tolist() == [100, 200, 300, 400]
    assert curve["baseline_l1"].nunique() == 1
    assert curve["dev_l1"].iloc[-1] < 0.8 * curve["baseline_l1"].iloc[-1]
    assert card["improvement"] == pytest.approx(1 - card["dev_l1"] / card["baseline_l1"], abs=1e-5)
    assert "tones (SYNTHETIC): dev L1" in capsys.readouterr().out


def test_the_curve_says_what_the_dev_utterances_give(tones, whole):
    """The baseline from the features alone, and dev L1 from the saved weights."""
    folder, card = whole
    table = manifest.read(tones)
    _, dev = data.split(table, SETTINGS)
    feature = plugins.load("features", "logmel").Feature(**FEATURES)
    batches = data.Batches(sources.clips(dev), sources.FromAudio(tones.parent, feature), SETTINGS, 16)
    config, tensors = mockingjay.load_encoder(folder / "out")
    model = encoder.Pretrainer(config).eval()
    model.encoder.load_state_dict(tensors)
    model.head.load_state_dict(weights.load(folder / "out/head.safetensors", model.head.state_dict()))
    baseline, errors = [], []
    for i in range(len(dev)):
        batch = batches[data.Item(0, (i,))]
        hidden = batch.masks.loss[0].numpy()
        x = batch.x[0].numpy()
        baseline.append(np.abs(x[hidden] - x.mean(0)))
        errors.append((model.predict(batch)[0] - batch.x[0]).abs()[batch.masks.loss[0]].numpy())
    assert card["baseline_l1"] == pytest.approx(np.concatenate(baseline).mean(), rel=1e-4)
    assert card["dev_l1"] == pytest.approx(np.concatenate(errors).mean(), rel=1e-4)


def test_card_and_cost(whole):
    folder, card = whole
    read = json.loads((folder / "out/card.json").read_text())
    assert read["config"]["input"] == 16
    assert read["features"]["bands"] == 16
    assert (read["synthetic"], read["dev_speakers"], read["train_speakers"]) == (True, card["dev_speakers"], 2)
    assert read["frames_seen"] > 8 * 90
    (cost,) = folder.glob("checkpoints/pretraining/*/cost.json")
    assert 0 <= json.loads(cost.read_text())["loader_wait_share"] <= 1


def test_a_killed_run_ends_with_the_same_bytes(tones, whole, tmp_path, monkeypatch):
    class KilledError(Exception):
        pass

    loss = encoder.Pretraining._loss

    def killed_at_5(self, batch):
        if self.loop.progress.step == 5:
            raise KilledError
        return loss(self, batch)

    monkeypatch.setattr(encoder.Pretraining, "_loss", killed_at_5)
    with pytest.raises(KilledError):
        _run(SETTINGS, tones, tmp_path)
    assert list(tmp_path.glob("checkpoints/pretraining/*/checkpoint.pt"))
    seen = []

    def counted(self, batch):
        seen.append(self.loop.progress.step)
        return loss(self, batch)

    monkeypatch.setattr(encoder.Pretraining, "_loss", counted)
    torch.manual_seed(999)  # whatever happened since
    _run(SETTINGS, tones, tmp_path)
    assert seen == [4, 5, 6, 7]
    assert _bytes(tmp_path) == _bytes(whole[0])
    _run(SETTINGS, tones, tmp_path)  # finished: nothing is trained again
    assert seen == [4, 5, 6, 7]
    assert _bytes(tmp_path) == _bytes(whole[0])


def test_workers_and_cache_change_no_byte(tones, whole, tmp_path):
    _run(replace(SETTINGS, workers=2), tones, tmp_path / "workers")
    assert _bytes(tmp_path / "workers") == _bytes(whole[0])
    _run(replace(SETTINGS, cache=True, workers=1), tones, tmp_path / "cache")
    assert _bytes(tmp_path / "cache") == _bytes(whole[0])
    (store,) = tmp_path.glob("cache/checkpoints/pretraining/features-*")
    _run(replace(SETTINGS, cache=True), tones, tmp_path / "store", root=None, store=store)
    assert _bytes(tmp_path / "store") == _bytes(whole[0])
    with pytest.raises(SerError, match="a store of another feature"):
        _run(replace(SETTINGS, cache=True, features={**FEATURES, "bands": 12}), tones, tmp_path, store=store)
    with pytest.raises(SerError, match="no folder of the corpus"):
        _run(SETTINGS, tones, tmp_path, root=None)


def test_samples_are_of_the_utterances_that_fill_the_picture(whole):
    assert encoder.chosen(np.array([100, 900, 310, 400, 305, 350])) == (4, 5, 1)
    assert encoder.chosen(np.array([50, 90, 20, 400])) == (0, 1, 3)
    assert encoder.chosen(np.array([50])) == (0,)
    with np.load(whole[0] / "out" / "samples.npz") as samples:
        B, T, F = samples["original"].shape
        assert (B, F, float(samples["frame_rate"])) == (3, 16, 100.0)
        assert samples["masked"].shape == samples["predicted"].shape == (B, T, F)
        assert samples["hidden"].shape == (B, T)
        assert samples["lengths"].max() == T <= encoder.SHOWN
        hidden = samples["hidden"]
        np.testing.assert_array_equal(samples["masked"][~hidden], samples["original"][~hidden])
        assert not samples["masked"][hidden].any()


def test_another_setting_starts_anew(tones, whole, tmp_path):
    folder, _ = whole
    _run(replace(SETTINGS, seed=2), tones, tmp_path, checkpoints=folder / "checkpoints")
    assert _bytes(tmp_path)[0] != _bytes(folder)[0]
    assert len(list(folder.glob("checkpoints/pretraining/*"))) == 2


def test_it_starts_from_earlier_weights(tones, whole, tmp_path):
    still = replace(SETTINGS, steps=1, lr=1e-12, weight_decay=0.0, initial=str(whole[0] / "out"))
    card = _run(still, tones, tmp_path)
    assert card["dev_l1"] == pytest.approx(whole[1]["dev_l1"], abs=1e-5)
    other = replace(still, encoder=replace(SMALL, hidden=32))
    with pytest.raises(SerError, match="the sizes ask for"):
        _run(other, tones, tmp_path)


def test_a_diverging_loss_is_an_error(tones, tmp_path):
    broken = replace(SETTINGS, lr=1e30, clip=1e30, evaluate_every=8, checkpoint_every=8)
    with pytest.raises(SerError, match="the loss is"):
        _run(broken, tones, tmp_path)
    assert not list(tmp_path.glob("checkpoints/pretraining/*/checkpoint.pt"))


def test_the_rate_warms_up_and_decays_to_nothing():
    settings = Settings(steps=100, warmup=0.1)
    rates = [encoder.rate(step, settings) for step in range(100)]
    np.testing.assert_allclose(rates[:10], np.arange(1, 11) / 10)
    np.testing.assert_allclose(rates[10:], (100 - np.arange(10, 100)) / 90)


def test_weight_decay_spares_biases_and_norms():
    model = encoder.Pretrainer(SMALL)
    decayed, spared = encoder.optimiser(model, Settings()).param_groups
    assert (decayed["weight_decay"], spared["weight_decay"], decayed["eps"]) == (0.01, 0.0, 1e-6)
    names = {id(p): name for name, p in model.named_parameters()}
    assert all("norm" not in names[id(p)] and names[id(p)].endswith("weight") for p in decayed["params"])
    assert all("norm" in names[id(p)] or names[id(p)].endswith("bias") for p in spared["params"])
    assert len(decayed["params"]) + len(spared["params"]) == len(names)


CHILD = """
import dataclasses, sys
from pathlib import Path
from ser.pretraining.run import pretrain
from tests.pretraining.speech import SETTINGS, SMALL
manifest, store, folder = map(Path, sys.argv[1:])
still = dataclasses.replace(SMALL, dropout=0.0, attention_dropout=0.0)
settings = dataclasses.replace(SETTINGS, encoder=still, cache=True, batch=2)
pretrain(settings, manifest, None, folder / "out", folder / "curve.csv", folder / "checkpoints",
         {"device": "cpu"}, store)
loaded = {"soundfile", "soxr", "librosa", "torchaudio", "opensmile"} & set(sys.modules)
assert not loaded, f"imported without need: {loaded}"
"""


KILLED_AT_5 = """
import os, signal
from ser.pretraining import encoder
loss = encoder.Pretraining._loss
def killed(self, batch):
    mark = Path(sys.argv[3]) / "killed"
    if os.environ["RANK"] == "1" and self.loop.progress.step == 5 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return loss(self, batch)
encoder.Pretraining._loss = killed
"""


def _torchrun(code, tones, store, folder):
    """Runs a script on two processes of torchrun, which share the machine by gloo."""
    folder.mkdir(exist_ok=True)
    script = folder / "child.py"
    script.write_text(code)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", script]
    environment = os.environ | {
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    arguments = [str(a) for a in (*command, tones, store, folder)]
    return subprocess.run(arguments, capture_output=True, text=True, env=environment, timeout=240)


@pytest.fixture(scope="module")
def two(tones, tmp_path_factory):
    """The folder of one process with batches of four, which has packed the features; the one of two processes with
    batches of two; and what these printed.
    """
    folder = tmp_path_factory.mktemp("processes")
    settings = replace(SETTINGS, batch=4, encoder=replace(SMALL, dropout=0.0, attention_dropout=0.0), cache=True)
    _run(settings, tones, folder / "one")
    done = _torchrun(CHILD, tones, _store(folder / "one"), folder / "two")
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "one", folder / "two", done.stdout


def _store(folder):
    (store,) = folder.glob("checkpoints/pretraining/features-*")
    return store


def test_two_processes_of_which_one_is_killed_end_with_the_same_bytes(tones, two, tmp_path):
    """The other process ends with it, and the same command continues at the last checkpoint."""
    code = CHILD.replace("pretrain(settings,", KILLED_AT_5 + "pretrain(settings,")
    killed = _torchrun(code, tones, _store(two[0]), tmp_path)
    assert killed.returncode != 0
    assert (tmp_path / "killed").exists()
    assert list(tmp_path.glob("checkpoints/pretraining/*/checkpoint.pt"))
    assert not (tmp_path / "out").exists()
    done = _torchrun(code, tones, _store(two[0]), tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert _bytes(tmp_path) == _bytes(two[1])


def test_two_processes_give_the_curve_of_one_with_twice_the_batch(two):
    """The real thing: torchrun and gloo. With a packed store no audio library is imported."""
    a, b = (pd.read_csv(folder / "curve.csv") for folder in two[:2])
    pd.testing.assert_frame_equal(a, b, rtol=1e-4)
    one, other = (json.loads((folder / "out/card.json").read_text()) for folder in two[:2])
    assert (other["processes"], other["frames_seen"]) == (2, one["frames_seen"])
    assert two[2].count("dev L1") == 1  # one process reports
