"""Damaged files of every kind: each is refused in one line, set aside with one line, or read as what it now says; where
a hash protects a file, it is never read as something else.
"""

from __future__ import annotations

import io
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from ser.core.files import read_json
from ser.core.store import Store
from ser.corpora import audio, download, location, manifest, table
from ser.corpora.location import Location
from ser.evaluation import predictions
from ser.protocols import audit, folds
from ser.settings import check
from ser.training import checkpoint, costs, experiment
from ser.training.result import Result
from tests import toy
from tests.chaos.conftest import INPUTS
from tests.chaos.mutation import mutated
from tests.conftest import ROOT

pytestmark = pytest.mark.slow


def reader(path: Path, read):
    """Trials that write a mutation of `path` and read it."""
    data = path.read_bytes()

    def make(generator):
        path.write_bytes(mutated(data, generator))
        return read

    return make


@pytest.fixture
def trained(tmp_path):
    """A finished toy experiment."""
    where = toy.files(tmp_path)
    experiment.run(toy.settings("svm"), where, {"jobs": 1})
    return where


def test_tables_of_users(tmp_path, run):
    path = tmp_path / "table.csv"
    rows = [f"a/x{i}.wav,s{i % 3},joy,{i}.5,{i + 1},train,f,text {i}" for i in range(8)]
    path.write_text("\n".join(["file,speaker,emotion,start,end,split,sex,text", *rows]))
    run("table.csv", reader(path, lambda: list(table.utterances(tmp_path, table.Config()))))


def test_params(tmp_path, run):
    path = tmp_path / "params.yaml"
    path.write_bytes((ROOT / "params.yaml").read_bytes())
    run("params.yaml", reader(path, lambda: check.read(path)), max(5, INPUTS // 5))


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_folds(trained, run, suffix):
    rows = manifest.read(trained.manifest / "utterances.csv")

    def read():
        claims = folds.read_claims(trained.folds)
        audit.audit(folds.read(trained.folds), rows, **claims["claims"], where="folds")

    run(f"folds{suffix}", reader(trained.folds.with_suffix(suffix), read))


def test_manifests(trained, run):
    path = trained.manifest / "utterances.csv"
    run("manifest", reader(path, lambda: manifest.read(path)))


def test_predictions(trained, run):
    run("predictions", reader(trained.predictions, lambda: predictions.read(trained.predictions)))


@pytest.mark.parametrize("name", ["array.npy", "index.csv", "card.json"])
def test_stores(trained, run, name):
    folder = trained.features["vectors"]
    wanted = {u: Store(folder).read(u).tolist() for u in Store(folder).utterances}

    def read():
        store = Store(folder).verify()
        return {u: store.read(u).tolist() for u in store.utterances} == wanted

    run(f"store, {name}", reader(folder / name, read))


def test_results(trained, run):
    path = next(p for p in sorted(trained.checkpoints.rglob("*.npz")))
    wanted = Result.read(path, path.stem).scores

    def read():
        return np.array_equal(Result.read(path, path.stem).scores, wanted)

    run("results of folds", reader(path, read))


def test_costs(trained, run):
    path = next(p for p in sorted(trained.checkpoints.rglob("*.cost.json")))
    run("costs", reader(path, lambda: costs.total([path])))


def test_checkpoints(tmp_path, run):
    path, weights = tmp_path / "checkpoint.pt", torch.arange(300.0)
    checkpoint.save(path, {"weights": weights, "step": 3})

    def read():
        state = checkpoint.load(path)
        return state is None or (state["weights"].equal(weights) and state["step"] == 3)

    run("checkpoints", reader(path, read))


def test_cards(trained, run):
    from ser.training.fold import Data

    rows = manifest.read(trained.manifest / "utterances.csv")
    path = trained.manifest / "card.json"
    run("card.json", reader(path, lambda: Data.read(rows, trained.manifest, trained.features)))


def test_receipts(tmp_path, run, monkeypatch):
    monkeypatch.setenv("SER_RAW", str(tmp_path / "raw"))
    root = tmp_path / "raw" / "emodb"
    root.mkdir(parents=True)
    (root / "a.wav").write_bytes(b"x" * 100)
    path = tmp_path / "receipt.json"
    from ser.core.files import write_json

    write_json(path, location.receipt(Location(root, False), "emodb"))
    run("receipts", reader(path, lambda: location.found(read_json(path))))


FORMATS = {"wav": "WAV", "flac": "FLAC", "aiff": "AIFF", "au": "AU", "caf": "CAF", "w64": "W64", "rf64": "RF64"}


@pytest.mark.parametrize("suffix", [*FORMATS, "ogg", "mp3"])
def test_audio(tmp_path, run, suffix):
    path = tmp_path / f"a.{suffix}"
    signal = np.random.default_rng(0).normal(0, 0.1, (4000, 2))
    soundfile.write(path, signal, 16000, format=FORMATS.get(suffix, suffix.upper()))
    run(f"audio, {suffix}", reader(path, lambda: audio.decode(path)))


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in ("wav/a.wav", "wav/b.wav", "text.txt"):
            packed.writestr(name, name.encode() * 20)
    return out.getvalue()


def _tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as packed:
        for name in ("wav/a.wav", "wav/b.wav", "text.txt"):
            member = tarfile.TarInfo(name)
            member.size = 200
            packed.addfile(member, io.BytesIO(b"x" * 200))
    return out.getvalue()


@pytest.mark.parametrize("make", [_zip, _tar])
def test_archives(tmp_path, run, make):
    path, inside = tmp_path / "archive", tmp_path / "a" / "b" / "c"
    path.write_bytes(make())

    def read():
        shutil.rmtree(tmp_path / "a", ignore_errors=True)
        inside.parent.mkdir(parents=True)
        try:
            download._unpack(path, inside)
        finally:
            outside = [p for p in tmp_path.rglob("*") if p not in (path, *inside.parents) and inside not in p.parents]
            assert outside in ([], [inside])

    run(f"archives, {make.__name__[1:]}", reader(path, read))
