from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from ser import files
from ser.errors import SerError


def _stopped(replacing, write):
    with replacing as temporary:
        write(temporary)
        raise RuntimeError


def test_a_file_is_whole_or_the_old_one_stays(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    files.write_text(path, "old")
    with pytest.raises(RuntimeError):
        _stopped(files.replacing(path), lambda temporary: temporary.write_text("half"))
    assert path.read_text() == "old"
    assert os.listdir(path.parent) == ["a.txt"]
    files.write_text(path, "new")
    assert path.read_text() == "new"


def test_a_folder_is_whole_or_the_old_one_stays(tmp_path):
    path = tmp_path / "result"
    for text in ("old", "new"):
        with files.replacing_folder(path) as folder:
            (folder / text).write_text(text)
            (folder / "same").write_text(text)
        assert sorted(os.listdir(path)) == sorted([text, "same"])
    with pytest.raises(RuntimeError):
        _stopped(files.replacing_folder(path), lambda folder: (folder / "half").write_text("half"))
    assert (path / "same").read_text() == "new"
    assert os.listdir(tmp_path) == ["result"]


def test_processes_with_equal_ids_do_not_share_temporary_names(tmp_path, monkeypatch):
    """Process ids are equal in two containers that share a folder."""
    monkeypatch.setattr(os, "getpid", lambda: 1)

    def write(number):
        with files.replacing_folder(tmp_path / "result") as folder:
            (folder / "number").write_text(str(number))
            (folder / "again").write_text(str(number))
        files.write_text(tmp_path / "file", str(number) * 1000)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(64)))
    assert sorted(os.listdir(tmp_path)) == ["file", "result"]
    assert (tmp_path / "result" / "number").read_text() == (tmp_path / "result" / "again").read_text()
    assert len(set((tmp_path / "file").read_text())) <= 2


def test_json_that_is_missing_or_broken_is_one_line(tmp_path):
    with pytest.raises(SerError, match=r"missing file.*dvc repro"):
        files.read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(SerError, match="not valid JSON"):
        files.read_json(tmp_path / "a.json")
