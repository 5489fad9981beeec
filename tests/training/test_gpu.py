"""Every network learns on a GPU what it learns on a CPU: the loss of each of 50 steps, in float32 and without dropout,
whose draws differ between devices. Without a GPU only the comparison itself is tested, on the CPU.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from ser.core import plugins
from ser.core.seeds import seed_everything
from ser.corpora import manifest
from ser.protocols import folds as fold_files
from ser.training import controls, fold, trainer
from ser.training.fold import Data, Job
from tests import toy
from tests.models import test_semantic as continuous

STEPS = 50
MODELS = [m for m in plugins.names("models") if not hasattr(plugins.load("models", m).Model, "fit")]


def _job(model, folder, device):
    """The first fold of a toy experiment. An evaluation after every step gives the loss of every step."""
    if getattr(plugins.load("models", model), "TASK", "") == "continuous":
        files = continuous.corpus(folder)
        settings = continuous.TestRunner().settings()
    else:
        settings, files = toy.for_model(toy.files(folder), model)
    kept = {k: v for k, v in settings["training"].items() if k not in ("epochs", "patience")}
    masks = {"frequency_masks": 1, "frequency_width": 3, "time_masks": 1, "time_width": 3} if "frames" in kept else {}
    training = {**kept, **masks, "steps": STEPS, "evaluate_every": 1, "lr": 1e-3}
    settings = {**settings, "training": training, "selection": "last"}
    module = controls.module_of(settings)
    off = {f.name: 0.0 for f in dataclasses.fields(module.Config) if "dropout" in f.name}
    settings["config"] = {**settings["config"], **off}
    data = Data.read(manifest.read(files.manifest / "utterances.csv"), files.manifest, files.features)
    return Job(settings, data, fold_files.read(files.folds)[0], 1, folder / "results", device)


def _curve(job):
    return np.array([row["train_loss"] for row in fold.train(job).history])


@pytest.mark.parametrize("model", MODELS)
def test_the_comparison_sees_no_draw_of_the_training(model, tmp_path, monkeypatch):
    """Dropout is off: torch's generator, which differs between devices, changes no loss."""
    first = _curve(_job(model, tmp_path / "a", "cpu"))
    monkeypatch.setattr(trainer, "seed_everything", lambda seed: seed_everything(seed + 1))
    second = _curve(_job(model, tmp_path / "b", "cpu"))
    assert len(first) == STEPS
    np.testing.assert_array_equal(first, second)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
@pytest.mark.parametrize("model", MODELS)
def test_the_losses_of_a_gpu_are_those_of_a_cpu(model, tmp_path):
    cpu, gpu = (_curve(_job(model, tmp_path / device, device)) for device in ("cpu", "cuda"))
    np.testing.assert_allclose(gpu, cpu, rtol=1e-3)
