"""Where corpora come from, and receipts of what is there."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import time
from pathlib import Path

import pytest

from ser.core import caching, plugins
from ser.core.errors import SerError
from ser.corpora import MARKER
from ser.corpora import location as _location
from ser.corpora import overview as _overview
from ser.corpora import source as _source
from ser.corpora.location import Location
from ser.corpora.location import receipt as receipt_of
from tests import corpus_trees as trees

SMALL = {"speakers": 1, "per_cell": 1}


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SER_RAW", str(tmp_path / "raw"))
    return tmp_path / "raw"


def test_synthetic_is_built_once_under_a_name_of_its_parameters(raw: Path) -> None:
    one = _source.ensure("emodb", "synthetic", None, SMALL, processes=1)
    assert one.synthetic
    assert one.root.parent == raw / "synthetic"
    built = (one.root / MARKER).stat().st_mtime_ns
    assert _source.ensure("emodb", "synthetic", {}, dict(SMALL), processes=2) == one
    assert (one.root / MARKER).stat().st_mtime_ns == built
    other = _source.ensure("emodb", "synthetic", None, {**SMALL, "within": 2}, processes=1)
    assert other.root != one.root


def test_synthetic_faults_name_the_key(raw: Path) -> None:
    with pytest.raises(SerError, match=r"corpora\.emodb\.synthetic\.speaker.*'speakers'"):
        _source.ensure("emodb", "synthetic", None, {"speaker": 1}, processes=1)
    with pytest.raises(SerError, match="speakers must be"):
        _source.ensure("emodb", "synthetic", None, {"speakers": 99}, processes=1)
    with pytest.raises(SerError, match="table"):
        _source.ensure("table", "synthetic", None, None, processes=1)


def test_faults_of_the_synthesizer_come_through_in_one_line(raw: Path) -> None:
    raw.write_text("a file where the folder belongs")
    with pytest.raises(SerError, match=r"cannot write a synthetic corpus.*Make room") as caught:
        _source.ensure("emodb", "synthetic", None, SMALL, processes=1)
    assert "\n" not in str(caught.value)


def test_without_the_synthesizer_the_package_is_named(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugins.names.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda name: None)
        with pytest.raises(SerError, match=r"need the package ser_synth.*packages/ser_synth"):
            _source.ensure("emodb", "synthetic", None, SMALL, processes=1)
        assert "Synthetic" not in _overview.table()
    assert "Synthetic look-alikes, made offline: emodb" in _overview.table()


def test_no_static_import_leads_to_the_synthesizer() -> None:
    files = caching.closure(*(f"ser.corpora.{name}" for name in ("source", "overview", "packing")))
    assert not [f for f in files if "ser_synth" in f.parts]


def test_real_or_synthetic_takes_what_is_here_and_never_downloads(raw: Path, tmp_path: Path) -> None:
    assert _source.ensure("emodb", "real_or_synthetic", None, SMALL, processes=1).synthetic
    (tmp_path / "mine" / "wav").mkdir(parents=True)
    raw.joinpath("emodb").symlink_to(tmp_path / "mine")
    found = _source.ensure("emodb", "real_or_synthetic", None, SMALL)
    assert found == Location(raw / "emodb", False)


def test_missing_licensed_corpus_names_the_steps(raw: Path) -> None:
    with pytest.raises(SerError, match="ser link iemocap PATH"):
        _source.ensure("iemocap", "real")


def test_a_download_starts_when_nothing_is_here_or_it_is_unfinished(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def download(root: Path, config: object) -> None:
        calls.append(root)
        (root / "wav").mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(plugins.load("corpora", "emodb"), "download", download)
    location = _source.ensure("emodb", "real")
    assert location == Location(raw / "emodb", False)
    assert calls == [raw / "emodb"]
    _source.ensure("emodb", "real")
    assert len(calls) == 1  # a copy that someone put there is theirs
    (raw / "emodb" / ".download.zip.part").write_text("")
    _source.ensure("emodb", "real")
    assert len(calls) == 2


def test_linked_copies(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "mine" / "Session1").mkdir(parents=True)
    raw.mkdir()
    (raw / "iemocap").symlink_to(tmp_path / "mine")
    assert _source.ensure("iemocap", "real") == Location(raw / "iemocap", False)
    (tmp_path / "mine" / MARKER).write_text("")
    assert _source.ensure("iemocap", "real").synthetic  # a look-alike is recognised anywhere


def test_a_dangling_link_names_its_target(raw: Path, tmp_path: Path) -> None:
    raw.mkdir()
    (raw / "emodb").symlink_to(tmp_path / "gone")
    with pytest.raises(SerError, match=str(tmp_path / "gone")):
        _source.ensure("emodb", "real")


def test_a_file_in_the_place_of_a_corpus(raw: Path) -> None:
    raw.mkdir()
    (raw / "emodb").write_text("an archive, say")
    with pytest.raises(SerError, match=r"EMO-DB .* must be a folder.*raw/emodb\).*ser link emodb PATH"):
        _source.ensure("emodb", "real")


def test_a_table_is_in_the_folder_of_its_csv(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    csv = tmp_path / "mine" / "all.csv"
    with pytest.raises(SerError, match=r"corpora\.table\.reader\.csv"):
        _source.ensure("table", "real", {"csv": str(csv)})
    csv.write_text("file,speaker,emotion\n")
    assert _source.ensure("table", "real", {"csv": str(csv)}) == Location(tmp_path / "mine", False)
    raw.mkdir()
    (raw / "table").symlink_to(tmp_path / "mine")
    assert _source.ensure("table", "real", {"csv": "all.csv"}).root == raw / "table"


def test_receipt_counts_visible_files_and_follows_links(raw: Path, tmp_path: Path) -> None:
    root = raw / "emodb"
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.wav").write_bytes(b"12345")
    root.mkdir(parents=True)
    (root / "wav").symlink_to(tmp_path / "elsewhere")
    (root / "b.txt").write_bytes(b"123")
    (root / "._b.txt").write_bytes(b"123456789")
    (root / ".done").write_bytes(b"1")
    (root / "loop").symlink_to(root)
    receipt = receipt_of(Location(root, False), "emodb")
    assert json.loads(json.dumps(receipt)) == receipt
    assert {k: receipt[k] for k in ("corpus", "root", "is_synthetic", "files", "bytes")} == {
        "corpus": "emodb",
        "root": "emodb",
        "is_synthetic": False,
        "files": 2,
        "bytes": 8,
    }


@pytest.fixture
def small(raw: Path) -> Path:
    """A corpus of a file of 10 and one of 4 bytes."""
    (raw / "emodb").mkdir(parents=True)
    (raw / "emodb" / "a.wav").write_bytes(b"0123456789")
    (raw / "emodb" / "b.txt").write_bytes(b"0123")
    return raw / "emodb"


def edit(path: Path, data: bytes, mtime_ns: int | None = None) -> None:
    """Other contents, with the time of change it had unless one is given."""
    mtime_ns = path.stat().st_mtime_ns if mtime_ns is None else mtime_ns
    path.write_bytes(data)
    os.utime(path, ns=(mtime_ns, mtime_ns))


def test_receipt_sees_contents_and_not_times(small: Path) -> None:
    receipt = receipt_of(Location(small, False), "emodb")
    edit(small / "a.wav", b"0123456789", mtime_ns=1)
    assert receipt_of(Location(small, False), "emodb") == receipt
    assert not _location.changed(receipt)
    edit(small / "a.wav", b"012345678X")
    assert _location.changed(receipt)
    assert _location.found(receipt).root == small  # number and bytes only: quick
    edit(small / "a.wav", b"0123456789")
    assert not _location.changed(receipt)
    (small / "a.wav").rename(small / "c.wav")
    assert _location.changed(receipt)


def test_receipt_of_a_large_corpus_sees_times_of_large_files(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_location, "WHOLE", 13)
    monkeypatch.setattr(_location, "SMALL", 4)
    receipt = receipt_of(Location(small, False), "emodb")
    before = (small / "a.wav").stat().st_mtime_ns
    edit(small / "a.wav", b"012345678X")
    assert not _location.changed(receipt)  # what the limit costs
    edit(small / "a.wav", b"0123456789", mtime_ns=before + 1)
    assert _location.changed(receipt)
    edit(small / "a.wav", b"0123456789", mtime_ns=before)
    edit(small / "b.txt", b"012X")
    assert _location.changed(receipt)


def test_a_corpus_that_changed_is_not_found(small: Path) -> None:
    receipt = receipt_of(Location(small, True), "emodb")
    assert _location.found(receipt) == Location(small, True)
    (small / "new.wav").write_bytes(b"")
    with pytest.raises(SerError, match=r"corpus emodb changed since it was checked: 3 files.*-f -s download@emodb"):
        _location.found(receipt)
    (small / "new.wav").unlink()
    edit(small / "b.txt", b"01234")
    with pytest.raises(SerError, match=r"15 bytes, then 2 files of 14 bytes"):
        _location.found(receipt)
    shutil.rmtree(small)
    assert _location.changed(receipt)
    with pytest.raises(SerError, match="no longer here"):
        _location.found(receipt)


def test_a_corpus_around_the_project_is_refused(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (small / "project").mkdir()
    monkeypatch.chdir(small / "project")
    with pytest.raises(SerError, match="contains this whole project"):
        receipt_of(Location(small, False), "emodb")


def test_link_deletes_the_receipts_of_what_was_there(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    receipts = [trees.write(tmp_path / f"data/{s}/receipts/{c}.json", "{}") for s in "ab" for c in ("emodb", "sewa")]
    with pytest.raises(SerError):
        _overview.link("emodb", tmp_path / "none")
    assert all(r.exists() for r in receipts)
    _overview.link("emodb", trees.tree("emodb", tmp_path / "mine"))
    assert [r.stem for r in receipts if r.exists()] == ["sewa", "sewa"]


def test_link_of_a_table_asks_for_its_csv(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(SerError, match=r"Write a table\.csv"):
        _overview.link("table", tmp_path / "mine")
    trees.write(tmp_path / "mine/table.csv", "file,speaker,labels\n")  # continuous: the study names its dimensions
    _overview.link("table", tmp_path / "mine")
    assert (raw / "table").resolve() == (tmp_path / "mine").resolve()


def test_receipt_has_no_key_of_the_settings_beside_it(raw: Path) -> None:
    (raw / "emodb").mkdir(parents=True)
    (raw / "emodb" / "x").write_text("")
    receipt = receipt_of(Location(raw / "emodb", True), "emodb")
    assert not {"source", "reader", "synthetic"} & receipt.keys()
    assert receipt["is_synthetic"] is True


def test_receipt_of_nothing_is_an_error(raw: Path) -> None:
    (raw / "emodb").mkdir(parents=True)
    with pytest.raises(SerError, match="empty corpus"):
        receipt_of(Location(raw / "emodb", False), "emodb")


def test_receipt_is_quick(raw: Path) -> None:
    for folder in range(20):
        (raw / "big" / f"{folder}").mkdir(parents=True)
        for file in range(250):
            (raw / "big" / f"{folder}" / f"{file}").touch()
    started = time.process_time()
    assert receipt_of(Location(raw / "big", False), "big")["files"] == 5000
    assert time.process_time() - started < 1.0  # 100 000 files in well under 20 s of CPU time
