"""Building: interrupted, repeated, refused, and in other surroundings."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ser_synth import build, emodb, librispeech, sewa
from ser_synth.errors import SynthError

ONE = emodb.Config(speakers=1, per_cell=1)
BUILD = """
import sys
from pathlib import Path
from ser_synth import build, emodb
speakers, per_cell, processes = map(int, sys.argv[2:])
build.build("emodb", emodb.Config(speakers=speakers, per_cell=per_cell), Path(sys.argv[1]), processes)
"""


def start(root: Path, speakers: int, per_cell: int, processes: int = 1, **environment: str) -> subprocess.Popen:
    command = [sys.executable, "-c", BUILD, str(root), str(speakers), str(per_cell), str(processes)]
    return subprocess.Popen(command, env={**os.environ, **environment}, start_new_session=True)


def contents(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("built") / "emodb"
    build.build("emodb", ONE, root, processes=1)
    return root


def test_marker_says_what_it_is(built: Path) -> None:
    text = (built / build.MARKER).read_text()
    assert "not emodb" in text
    fields = dict(line.split(": ", 1) for line in text.splitlines() if line.split(":")[0] in ("config", "engine"))
    assert json.loads(fields["config"])["per_cell"] == 1
    assert fields["engine"].startswith("espeak-ng 1.52.0")
    assert [p.name for p in built.parent.iterdir()] == ["emodb"]  # no partial folder left
    assert sorted(p.name for p in built.iterdir()) == [build.MARKER, "wav"]


def test_a_built_corpus_is_left_alone(built: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in built.rglob("*")}
    build.build("emodb", ONE, built, processes=1)
    assert {p: p.stat().st_mtime_ns for p in built.rglob("*")} == before


def test_bytes_do_not_depend_on_hash_seed_or_network(built: Path, tmp_path: Path) -> None:
    process = start(tmp_path / "again", 1, 1, PYTHONHASHSEED="77")
    assert process.wait() == 0
    assert contents(tmp_path / "again") == contents(built)
    unshare = shutil.which("unshare")
    if unshare and subprocess.run([unshare, "-rn", "true"], capture_output=True).returncode == 0:
        command = [unshare, "-rn", sys.executable, "-c", BUILD, str(tmp_path / "offline"), "1", "1", "2"]
        assert subprocess.run(command).returncode == 0
        assert contents(tmp_path / "offline") == contents(built)


def test_killed_build_leaves_nothing_that_looks_complete(tmp_path: Path) -> None:
    root = tmp_path / "emodb"
    (tmp_path / "temporary").mkdir()
    process = start(root, 10, 10, TMPDIR=str(tmp_path / "temporary"))  # 700 utterances: seconds
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob(".emodb.*/wav/*.wav")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not root.exists()
    assert list(tmp_path.glob(".emodb.*.partial"))
    build.build("emodb", ONE, root, processes=1)
    assert len(list(root.glob("wav/*.wav"))) == 7
    assert {p.name for p in tmp_path.iterdir()} == {"emodb", "temporary"}  # what the killed build left is gone


def test_a_running_build_of_another_process_is_not_disturbed(tmp_path: Path) -> None:
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        import socket

        folder = tmp_path / f".emodb.{socket.gethostname()}-{sleeper.pid}.partial"
        folder.mkdir()
        build.build("emodb", ONE, tmp_path / "emodb", processes=1)
        assert folder.exists()
    finally:
        sleeper.kill()
        sleeper.wait()


def test_a_failing_job_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise SynthError("no luck")

    monkeypatch.setattr(emodb, "write_audio", fail)
    with pytest.raises(SynthError, match="no luck"):
        build.build("emodb", ONE, tmp_path / "emodb", processes=1)
    assert list(tmp_path.iterdir()) == []


def test_other_things_are_not_overwritten(built: Path, tmp_path: Path) -> None:
    (tmp_path / "emodb" / "wav").mkdir(parents=True)
    with pytest.raises(SynthError, match="not synthetic is here"):
        build.build("emodb", ONE, tmp_path / "emodb", processes=1)
    with pytest.raises(SynthError, match="another synthetic corpus"):
        build.build("emodb", emodb.Config(speakers=1, per_cell=2), built, processes=1)


def test_unwritable_place_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SynthError, match="cannot write a synthetic corpus"):
        build.build("emodb", ONE, tmp_path / "file" / "emodb", processes=1)


def test_sizes_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError):
        emodb.Config(speakers=11)
    with pytest.raises(ValueError):
        librispeech.Config(minutes=0)
    with pytest.raises(ValueError):
        sewa.Config(recordings=2)


def test_sewa_partitions_are_never_empty() -> None:
    for recordings in (3, 4, 5, 10, 20, 64):
        names = [j.name for j in sewa.jobs(sewa.Config(minutes=64, recordings=recordings))]
        assert len(names) == recordings
        assert {n.split("_")[0] for n in names} == {"Train", "Devel", "Test"}


def test_librispeech_has_about_the_asked_length() -> None:
    config = librispeech.Config()
    words = sum(len(u) for j in librispeech.jobs(config) if j.chapter for u in librispeech.plan(j, config))
    # the look-alike of 60 minutes has about 11 000 words, LibriSpeech itself about 10 000 an hour
    assert 10_500 < words < 11_500
