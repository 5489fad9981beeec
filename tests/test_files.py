from __future__ import annotations

import errno
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ser.core import files
from ser.core.errors import SerError


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
    with pytest.raises(SerError, match=r"damaged file: .*a\.json"):
        files.read_json(tmp_path / "a.json")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[" * 100_000, b"[1]", b"9" * 5000, b'"text"', b""])
def test_damaged_json_is_one_line(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(SerError, match=r"damaged file: .*a\.json"):
        files.read_json(tmp_path / "a.json")


def test_a_missing_key_of_a_json_file_is_one_line(tmp_path):
    files.write_json(tmp_path / "a.json", {"outer": {"here": 1}})
    value = files.read_json(tmp_path / "a.json")
    assert value == {"outer": {"here": 1}}
    with pytest.raises(SerError, match=r"damaged file: no 'inner' \(.*a\.json\)"):
        value["outer"]["inner"]


def test_names_become_different_names_of_files_in_one_folder(tmp_path):
    assert files.file_name("03-seed1") == "03-seed1"
    hostile = [
        "../../x",
        "..",
        ".",
        "",
        "a/b",
        "a_b",
        "a\\b",
        "/etc",
        "a\0b",
        "~",
        "n" * 300,
        "\u00e4",
        "a\u0308",
        "a b",
        "-x",
    ]
    made = [files.file_name(name) for name in hostile]
    assert len(set(made)) == len(made)
    for name in made:
        (tmp_path / name).write_text("")
    assert sorted(os.listdir(tmp_path)) == sorted(made)


def test_nothing_outside_its_own_folder_is_removed(tmp_path):
    own, other = tmp_path / "own", tmp_path / "other"
    own.mkdir()
    other.mkdir()
    (other / "kept").write_text("")
    (own / "link").symlink_to(other)
    for path in (other, own / ".." / "other", own, own / "link" / "kept", own / "x" / ".."):
        with pytest.raises(SerError, match="not inside"):
            files.remove(path, own)
    files.remove(own / "link", own)
    files.remove(own / "absent", own)
    assert os.listdir(other) == ["kept"]
    assert os.listdir(own) == []


TEXTS = ["=1+1", "+49", "-", "@x", "'=1", "''", "'cause", "plain", "", "\tx"]


def test_texts_that_look_like_formulas_are_quoted_and_read_back():
    table = pd.DataFrame({"text": TEXTS, "number": np.arange(-5.0, 5.0)})
    quoted = files.guarded(table)
    assert not quoted["text"].str.match(r"[=+\-@\t\r]").any()
    assert quoted["text"].tolist()[6:9] == ["'cause", "plain", ""]
    pd.testing.assert_frame_equal(quoted[["number"]], table[["number"]])
    pd.testing.assert_frame_equal(files.unguarded(quoted), table)


def test_what_a_dead_process_left_is_removed_at_the_next_write(tmp_path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    machine = files._machine()
    left = [f".a.{machine}-{dead.pid}.0123abcd.part.txt", f".r.{machine}-{dead.pid}.0123abcd.old"]
    kept = [f".a.{machine}-{os.getppid()}.0123abcd.part.txt", f".a.elsewher-{dead.pid}.0123abcd.part.txt", ".a.txt"]
    for name in [left[0], *kept]:
        (tmp_path / name).write_text("")
    (tmp_path / left[1]).mkdir()
    files.write_text(tmp_path / "a.txt", "")
    with files.replacing_folder(tmp_path / "r"):
        pass
    assert sorted(os.listdir(tmp_path)) == sorted([*kept, "a.txt", "r"])


@pytest.mark.parametrize(
    ("error", "free", "named"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 0, True),
        (ValueError("I/O error: No space left on device (os error 28)"), 10**9, True),  # as of safetensors
        (RuntimeError("file write failed"), 0, True),  # as of torch
        (RuntimeError("another error"), 10**9, False),
    ],
)
def test_a_full_disk_names_the_file(tmp_path, monkeypatch, error, free, named):
    monkeypatch.setattr(files.shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))

    def full():
        with files.replacing(tmp_path / "a.txt"):
            raise error

    with pytest.raises(OSError if named else RuntimeError, match="No space left" if named else "another") as caught:
        full()
    assert not named or caught.value.filename == str(tmp_path / "a.txt")


HOLDER = """
import sys, time
from ser.core.files import claim
with claim(sys.argv[1]) as mine:
    print(mine, flush=True)
    time.sleep(60)
"""


def test_a_claim_is_for_one_process_and_ends_with_it(tmp_path):
    path = tmp_path / "fold.claim"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "True\n"
        assert str(holder.pid) in path.read_text()
        with files.claim(path) as mine:
            assert not mine
    finally:
        holder.kill()
        holder.wait()
    with files.claim(path, wait=True) as mine:
        assert mine
    assert not path.exists()


def test_a_remedy_names_the_graph_of_the_study():
    assert files.repro("data/demo/folds/a.csv") == "dvc repro"
    assert files.repro("data/mine/receipts/x.json", "download@x") == "dvc repro -f -s studies/mine/dvc.yaml:download@x"
