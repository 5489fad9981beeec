"""Damaged folders of corpora, and servers that fail: a corpus is read whole, or refused in one line without leaving
anything behind.
"""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from ser.core import plugins
from ser.core.store import Store
from ser.corpora import manifest, packing
from ser.corpora.location import Location, receipt
from tests import corpus_trees as trees
from tests.chaos.conftest import INPUTS
from tests.chaos.mutation import mutated
from tests.corpora.test_download import NOISE, Handler, Server, content, fetch, offer, packed

pytestmark = pytest.mark.slow
NAMES = ["ä\u0308 é.wav", "x" * 200, "a\nb.wav", "=1+1.wav", "-rf", "con.wav", "03a01Fa.WAV", " .wav", "\u202e.wav"]


def damaged(root: Path, generator: np.random.Generator) -> None:
    """One to three things that happen to folders: damage, loss, other names, links, and folders in place of files."""
    for _ in range(int(generator.integers(1, 4))):
        files = sorted(p for p in root.rglob("*") if p.is_file() and not p.is_symlink())
        if not files:
            return
        path, kind = files[generator.integers(len(files))], int(generator.integers(8))
        if kind <= 2:
            path.write_bytes(mutated(path.read_bytes(), generator))
        elif kind == 3:
            path.unlink()
        elif kind == 4:
            path.rename(path.with_name(NAMES[generator.integers(len(NAMES))]))
        elif kind == 5:
            shutil.copyfile(path, path.with_name(f"{path.stem}b{path.suffix}"))
        else:
            path.unlink()
            targets = [path, path.parent, root.parent / "outside", Path("/dev/null")]
            path.mkdir() if kind == 6 else path.symlink_to(targets[generator.integers(len(targets))])


@pytest.mark.parametrize("name", [n for n in plugins.names("corpora") if trees.exists(n)])
def test_folders_of_corpora(tmp_path, run, name):
    module = plugins.load("corpora", name)
    whole, root, out = trees.tree(name, tmp_path / "whole"), tmp_path / name, tmp_path / "out"

    def make(generator):
        shutil.rmtree(root, ignore_errors=True)
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(whole, root)
        damaged(root, generator)
        return read

    def read():
        location = Location(root, True)  # of synthetic corpora the counts are not checked
        receipt(location, name)
        try:
            packing.pack(name, location, module.Config(), out, rate=16000)
        except Exception:
            assert not out.exists()
            assert not [p for p in tmp_path.iterdir() if p.name.startswith(".out")]
            raise
        table = manifest.read(out / "utterances.csv")
        return Store(out / "audio").verify().utterances == list(table["utterance"])

    shutil.copytree(whole, root)
    assert read(), "the undamaged corpus"
    run(f"corpus tree, {name}", make, max(10, INPUTS // 5))


class Unreliable(Handler):
    """Answers each request by the next fault of `server.faults`, and well when there is none left."""

    def do_GET(self) -> None:
        fault, data = self.server.faults.pop() if self.server.faults else "", self.server.files[self.path[1:]]
        half = data[: len(data) // 2]
        if fault in ("403", "404", "416", "500", "503"):
            self.send_error(int(fault))
        elif fault == "page":
            self._send(200, b"<html>please log in</html>")
        elif fault == "loop":
            self.send_response(302)
            self.send_header("Location", self.path)
            self.end_headers()
        elif fault in ("closed", "short"):
            self._send(200, half, len(data) if fault == "short" else None)
        elif fault == "damaged":
            self._send(200, half + bytes(len(data) - len(half)))
        elif fault == "wrong range":
            self._send(206, half)
        elif fault == "garbage":
            self.wfile.write(b"\0\xff not HTTP\r\n\r\n")
        elif fault == "reset":
            self.connection.close()
        else:
            super().do_GET()

    def _send(self, status: int, data: bytes, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length or len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()
        self.connection.close()


FAULTS = ["403", "404", "416", "500", "503", "page", "loop", "closed", "short", "damaged", "wrong range", "garbage"]
FAULTS += ["reset", "", ""]


@pytest.fixture
def server(monkeypatch):
    with Server() as running:
        running.RequestHandlerClass, running.faults = Unreliable, []
        running.handle_error = lambda *_: None  # a connection that this very server has closed
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_servers_that_fail(tmp_path, run, server):
    """Whatever the server has done, the next download from a good one ends well."""
    files = {"Actor_01/x.wav": NOISE, "Actor_02/y.wav": b"y"}
    source, root = offer(server, "a.zip", packed(files)), tmp_path / "r"

    def make(generator):
        shutil.rmtree(root, ignore_errors=True)
        server.faults = [FAULTS[k] for k in generator.integers(len(FAULTS), size=generator.integers(1, 5))]
        return lambda: download()

    def download():
        try:
            fetch(source, root, attempts=2)
        except Exception:
            assert all(name.endswith(".part") for name in os.listdir(root))
            server.faults = []
            fetch(source, root, attempts=2)
            assert holds_all()
            raise
        return holds_all()

    def holds_all():
        return {name: data for name, data in content(root).items() if not name.startswith(".")} == files

    run("downloads", make, max(10, INPUTS // 5))
