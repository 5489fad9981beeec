"""`model.onnx`: what onnxruntime alone computes with it is what the package predicts, for every network."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ser.core.errors import SerError
from ser.core.tasks import Batch
from ser.packages import contents, graph
from ser.packages import model as models
from ser.settings import check
from tests.conftest import ROOT
from tests.packages.conftest import PARAMS
from tests.test_docs import blocks

QUICK = ["mlp", "cnns"]  # to export; the others take half a minute and more
SLOW = ["cnns_mean", "stem_cnn", "stem_transformer", "stem_fusion", "fusion_convbert", "emotion_autoencoder"]
NETWORKS = [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
RATE = 22050


def signal(seconds: float, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    tone = np.sin(2 * np.pi * random.uniform(100, 300) * t) * (1 + np.sin(2 * np.pi * 3 * t))
    return (0.2 * tone + 0.02 * random.normal(size=len(t))).astype(np.float32)


@pytest.fixture
def copy(package, tmp_path):
    """Copies some members of a package. The temperature makes what these networks say of recordings differ."""

    def copied(name: str) -> Path:
        folder = shutil.copytree(package(name), tmp_path / name)
        about = contents.read(folder)
        contents.write(
            folder, dataclasses.replace(about, members=about.members[: 2 if name in QUICK else 1], temperature=0.1)
        )
        return folder

    return copied


@pytest.mark.parametrize("name", NETWORKS)
def test_it_gives_the_scores_of_the_package_for_any_length_and_number(name, copy):
    import onnxruntime

    folder = copy(name)
    graph.export(folder, "packages.x.onnx")
    model = models.load(folder, "cpu")
    session = onnxruntime.InferenceSession(folder / contents.GRAPH)
    assert json.loads(session.get_modelmeta().custom_metadata_map["labels"]) == list(model.contents.outputs)
    seen = []
    for seconds in (0.5, 1.5, 4.0):
        features = [model.read(signal(seconds, seed), RATE) for seed in range(3)]
        wanted = model.predict(features, [seconds] * 3)
        (found,) = session.run(None, {key: np.stack([f[key] for f in features]) for key in features[0]})
        np.testing.assert_allclose(found, wanted, atol=1e-4)
        seen.append(wanted)
    assert np.ptp(seen, axis=0).max() > 1e-3, "the scores must depend on the audio, or the comparison says nothing"


def test_the_package_says_what_the_graph_takes(package):
    about = contents.read(package("stem_cnn"))
    assert about.onnx is not None
    assert about.onnx.inputs == {"logmel": ("batch", "time", 20)}
    assert about.onnx.outputs == {"scores": ("batch", 7)}
    assert about.onnx.digest == contents.digest(package("stem_cnn") / contents.GRAPH)
    for words in ("normalisation (utterance)", "at least 128 frames", "temperature", "4 trained networks"):
        assert words in about.onnx.includes
    assert "(batch, time, 20)" in (package("stem_cnn") / contents.CARD).read_text()
    assert "onnx" not in (package("cnns") / contents.ABOUT).read_text()


def test_the_lines_of_the_docs_run_where_neither_ser_nor_torch_can_be_imported(package, tmp_path):
    (lines,) = [code for _, code in blocks((ROOT / "docs/predict.md").read_text()) if "onnxruntime" in code]
    assert len([line for line in lines.splitlines() if line]) <= 10
    shutil.copy(package("stem_cnn") / contents.GRAPH, tmp_path)
    model = models.load(package("stem_cnn"), "cpu")
    features = model.read(signal(2.0, 0), RATE)
    np.save(tmp_path / "logmel.npy", features["logmel"])
    code = f"import sys; sys.modules['torch'] = sys.modules['ser'] = None\n{lines}"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    wanted = model.predict([features], [2.0])[0]
    label, score = done.stdout.split()
    assert label == model.contents.outputs[int(wanted.argmax())]
    assert abs(float(score) - wanted.max()) < 1e-4


def test_a_graph_that_differs_is_refused(copy, monkeypatch):
    folder = copy("mlp")
    monkeypatch.setattr(graph, "FLOOR", 0.1)  # of the normalisation
    with pytest.raises(SerError, match=r"differ from those of the package by .*packages\.mlp\.onnx") as error:
        graph.export(folder, "packages.mlp.onnx")
    assert "\n" not in str(error.value)


def test_what_cannot_be_exported_is_one_line(copy, monkeypatch):
    def forward(self, batch: Batch):
        return 1 / 0

    folder = copy("mlp")
    monkeypatch.setattr("ser.models.mlp.Model.forward", forward)
    with pytest.raises(SerError, match=r"mlp cannot be exported: .*packages\.mlp\.onnx") as error:
        graph.export(folder, "packages.mlp.onnx")
    assert "\n" not in str(error.value)


def test_missing_libraries_are_one_line_with_their_cure(copy, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(SerError, match=r"not installed .*pip install --editable '\.\[onnx\]'"):
        graph.export(copy("mlp"), "packages.mlp.onnx")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("svm", "svm is not a neural network"),
        ("clstm", "loop over the segments"),
        ("semantic", "labels are continuous"),
    ],
)
def test_models_without_a_graph_are_refused_before_anything_runs(name, message, tmp_path, monkeypatch):
    text = PARAMS.replace(f"  {name}: {{experiment: {name}}}", f"  {name}: {{experiment: {name}, onnx: true}}")
    (tmp_path / "params.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SerError, match=rf"{message}.*packages\.{name}\.onnx"):
        check.read("params.yaml", "demo")
