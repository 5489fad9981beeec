from __future__ import annotations

import dataclasses
import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from ser.core.errors import SerError
from ser.corpora import Source, emodb, librispeech, ravdess
from ser.corpora import download as _download

NOISE = np.random.default_rng(3).bytes(300_000)  # does not compress: the archive can be cut in the middle


class Server(ThreadingHTTPServer):
    """Serves `files`, breaks the connection after `cut` bytes as often as `breaks` says, and notes the requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.ranges, self.breaks, self.cut = True, 0, 2 * _download._CHUNK

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        data = self.server.files.get(self.path[1:])
        wanted = self.headers.get("Range", "") if self.server.ranges else ""
        self.server.requests.append(wanted)
        if data is None:
            return self.send_error(404)
        start = int(wanted.removeprefix("bytes=").removesuffix("-") or 0) if wanted else 0
        if start >= len(data):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(data)}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if self.server.breaks:
            self.server.breaks -= 1
            self.wfile.write(data[start : start + self.server.cut])
            self.wfile.flush()
            return self.connection.close()
        return self.wfile.write(data[start:]) and None

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def packed(files: dict[str, bytes], kind: str = "zip") -> bytes:
    out = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(out, "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
    else:
        with tarfile.open(fileobj=out, mode="w:gz") as tar:
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def offer(server: Server, name: str, data: bytes, checksum: str = "sha256") -> Source:
    server.files[name] = data
    return Source(server.url(name), f"{checksum}:{hashlib.new(checksum, data).hexdigest()}")


def content(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def fetch(source: Source, root: Path, **options: object) -> None:
    _download.fetch(ravdess.CARD, source, root, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "checksum"), [("a.zip", "md5"), ("a.tar.gz", "sha256")])
def test_fetch_once(server: Server, tmp_path: Path, name: str, checksum: str) -> None:
    files = {"Actor_01/x.wav": NOISE, "Actor_02/y.wav": b"y"}
    source = offer(server, name, packed(files, name.split(".")[1]), checksum)
    fetch(source, tmp_path / "r")
    assert content(tmp_path / "r") == {**files, f".{name}.done": f"{source.url}\n{source.checksum}\n".encode()}
    fetch(source, tmp_path / "r")
    assert len(server.requests) == 1


def test_broken_connections_are_resumed(server: Server, tmp_path: Path) -> None:
    source = offer(server, "a.zip", packed({"x": NOISE}))
    server.breaks = 2
    fetch(source, tmp_path)
    assert server.requests == ["", f"bytes={server.cut}-", f"bytes={2 * server.cut}-"]
    assert (tmp_path / "x").read_bytes() == NOISE


def test_a_stopped_download_continues(server: Server, tmp_path: Path) -> None:
    source = offer(server, "a.zip", packed({"x": NOISE}))
    server.breaks = 1
    with pytest.raises(SerError, match=r"download failed.*what has arrived is kept.*ser link ravdess PATH"):
        fetch(source, tmp_path, attempts=1)
    assert [p.name for p in tmp_path.iterdir()] == [".a.zip.partial.part"]
    with pytest.raises(SerError, match="unfinished download"):
        list(ravdess.utterances(tmp_path))
    fetch(source, tmp_path)
    assert server.requests == ["", f"bytes={server.cut}-"]
    assert (tmp_path / "x").read_bytes() == NOISE


def test_resuming_when_all_is_there_or_the_server_cannot(server: Server, tmp_path: Path) -> None:
    data = packed({"x": NOISE})
    source = offer(server, "a.zip", data)
    for case, start in (("whole", data), ("half", data[:500])):
        root = tmp_path / case
        root.mkdir()
        (root / ".a.zip.partial.part").write_bytes(start)
        server.ranges = case == "whole"
        fetch(source, root)
        assert (root / "x").read_bytes() == NOISE


def test_leftovers_of_another_file_are_removed(server: Server, tmp_path: Path) -> None:
    source = offer(server, "a.zip", packed({"x": NOISE}))
    (tmp_path / ".a.zip.partial.part").write_bytes(NOISE * 2)  # longer than the file there is
    fetch(source, tmp_path)
    assert (tmp_path / "x").read_bytes() == NOISE


def test_wrong_checksum(server: Server, tmp_path: Path) -> None:
    source = offer(server, "a.zip", packed({"x": NOISE}))
    wrong = dataclasses.replace(source, checksum="md5:" + "0" * 32)
    with pytest.raises(SerError, match=r"wrong checksum.*md5:0000.*a\.zip.*ser link ravdess PATH") as caught:
        fetch(wrong, tmp_path)
    assert "\n" not in str(caught.value)
    assert content(tmp_path) == {}


def test_no_such_file_and_no_server(server: Server, tmp_path: Path) -> None:
    with pytest.raises(SerError, match=r"the server answers 404.*/none\.zip.*ser link ravdess PATH"):
        fetch(Source(server.url("none.zip")), tmp_path)
    server.server_close()
    with pytest.raises(SerError, match=r"download failed: ConnectionError.*Check the network"):
        fetch(Source(server.url("none.zip")), tmp_path, attempts=2)
    assert content(tmp_path) == {}


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_broken_archive(server: Server, tmp_path: Path, name: str) -> None:
    data = packed({"x": NOISE, "y": NOISE}, name.split(".")[1])
    source = offer(server, name, data[:200_000] + b"?" * 1000 + data[201_000:] if name == "a.zip" else data[:200_000])
    with pytest.raises(SerError, match="broken archive"):
        fetch(source, tmp_path)
    assert content(tmp_path) == {}


def test_interrupted_unpacking_is_done_again(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = offer(server, "a.zip", packed({"Actor_01/x": b"x", "Actor_02/y": b"y"}))
    with monkeypatch.context() as patch:
        patch.setattr(_download.os, "replace", stop_at(tmp_path / "Actor_02"))
        with pytest.raises(KeyboardInterrupt):
            fetch(source, tmp_path)
    assert (tmp_path / "Actor_01").exists()
    with pytest.raises(SerError, match="unfinished download"):  # though some of it is in place
        list(ravdess.utterances(tmp_path))
    fetch(source, tmp_path)
    assert set(content(tmp_path)) == {"Actor_01/x", "Actor_02/y", ".a.zip.done"}
    assert len(server.requests) == 1


def stop_at(target: Path):  # type: ignore[no-untyped-def]
    replace = _download.os.replace

    def stopping(source: object, to: object) -> None:
        if to == target:
            raise KeyboardInterrupt
        replace(source, to)  # type: ignore[type-var]

    return stopping


def test_emodb_is_recognised_by_its_files(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = sorted(emodb.published())
    server.files["download.zip"] = packed({f"wav/{name}.wav": b"" for name in names[1:]})
    card = dataclasses.replace(emodb.CARD, sources=(Source(server.url("download.zip")),))
    monkeypatch.setattr(emodb, "CARD", card)
    with pytest.raises(SerError, match=rf"not EMO-DB: wav/{names[0]}\.wav is not in it"):
        emodb.download(tmp_path)
    assert content(tmp_path) == {}
    server.files["download.zip"] = packed({f"wav/{name}.wav": b"" for name in names})
    with pytest.raises(SerError, match=rf"not EMO-DB: wav/{names[0]}\.wav is another file"):
        emodb.download(tmp_path)
    assert content(tmp_path) == {}


def test_librispeech_subsets_share_a_folder(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = tuple(
        offer(
            server, f"{subset}.tar.gz", packed({f"LibriSpeech/{subset}/x": b"", "LibriSpeech/README.TXT": b""}, "tar")
        )
        for subset in ("dev-clean", "test-clean", "train-clean-360")
    )
    monkeypatch.setattr(librispeech, "CARD", dataclasses.replace(librispeech.CARD, sources=sources))
    librispeech.download(tmp_path, librispeech.Config(subsets=("dev-clean", "test-clean")))
    assert sorted(p.name for p in (tmp_path / "LibriSpeech").iterdir()) == ["README.TXT", "dev-clean", "test-clean"]
    librispeech.download(tmp_path)
    assert (tmp_path / "LibriSpeech/train-clean-360/x").exists()
    with pytest.raises(SerError, match="no subset 'dev'"):
        librispeech.download(tmp_path, librispeech.Config(subsets=("dev",)))


def encrypted() -> bytes:
    """A zip whose only member says that it is encrypted."""
    data = bytearray(packed({"x": b"secret"}))
    for signature, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(signature) + place] |= 1
    return bytes(data)


def unknown() -> bytes:
    """A zip whose only member is packed by a method that nobody knows."""
    data = bytearray(packed({"x": b"secret"}))
    for signature, place in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        data[data.index(signature) + place] = 77
    return bytes(data)


def bomb() -> bytes:
    """A zip of a few bytes whose member says that it has 4 GB."""
    data = bytearray(packed({"x": b"small"}))
    for signature, place in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        at = data.index(signature) + place
        data[at : at + 4] = b"\xf0\xff\xff\xff"
    return bytes(data)


@pytest.mark.parametrize(
    ("make", "fault"), [(encrypted, "encrypted"), (unknown, "broken archive"), (bomb, r"unpacks to more than 1\.0 GB")]
)
def test_archives_that_cannot_be_unpacked_leave_nothing(server: Server, tmp_path: Path, make, fault: str) -> None:
    with pytest.raises(SerError, match=fault):
        fetch(offer(server, "a.zip", make()), tmp_path / "r")
    assert content(tmp_path / "r") == {}


def test_every_recording_of_emodb_is_compared(real_emodb: Path, tmp_path: Path) -> None:
    emodb._check_files(real_emodb)
    (tmp_path / "wav").mkdir()
    for path in (real_emodb / "wav").glob("*.wav"):
        (tmp_path / "wav" / path.name).symlink_to(path)
    changed = tmp_path / "wav" / "16b10Wb.wav"
    data = changed.read_bytes()
    changed.unlink()
    changed.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(SerError, match=r"not EMO-DB: wav/16b10Wb\.wav is another file"):
        emodb._check_files(tmp_path)
