"""Kills at random moments, full disks and shared folders: the outputs are those of an undisturbed run, byte for byte,
and no worker lives on.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from ser.core.seeds import seed_of
from tests import toy
from tests.chaos.conftest import INPUTS
from tests.conftest import ROOT

pytestmark = pytest.mark.slow
many = pytest.mark.skipif(INPUTS < 100, reason="only in make chaos; the unit tests have a case of it")
KILLS = min(40, max(1, INPUTS // 15))
OUTPUTS = ("predictions.csv", "curves.csv", "card.json")


OWN_PROCESS_IDS = ("unshare", "--pid", "--fork", "--kill-child")  # as in a container


def start(folder: Path, out: Path, *arguments: object, within: tuple[str, ...] = ()) -> subprocess.Popen:
    command = [*within, sys.executable, "-m", "tests.chaos.toy_run", folder, out, *arguments]
    return subprocess.Popen(
        [str(word) for word in command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(folder: Path, out: Path, *arguments: object) -> dict[str, bytes]:
    """Runs to the end; the bytes of the outputs."""
    process = start(folder, out, *arguments)
    assert process.wait(120) == 0, process.stderr.read()
    return contents(out)


def contents(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in OUTPUTS}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A folder of inputs, the outputs of an undisturbed run, and its seconds."""
    folder = tmp_path_factory.mktemp("undisturbed")
    toy.files(folder, dev=False)
    begin = time.monotonic()
    found = finish(folder, folder / "out", 2)
    shutil.rmtree(folder / "checkpoints")
    return folder, found, time.monotonic() - begin


@pytest.fixture
def wanted(undisturbed, tmp_path):
    """The outputs of an undisturbed run and its seconds; `tmp_path` holds the inputs."""
    shutil.copytree(undisturbed[0], tmp_path, dirs_exist_ok=True)
    return undisturbed[1:]


def test_random_kills_change_nothing(tmp_path, wanted, record_property):
    """Half of the kills hit the whole group of processes with SIGKILL, the others only the main process, which takes
    its workers with it; of these, every second is SIGTERM.
    """
    outputs, seconds = wanted
    generator, kept, orphans = np.random.default_rng(seed_of(0, "chaos", "kills")), 0, 0
    for kill in range(KILLS):
        process = start(tmp_path, tmp_path / "out", 2)
        time.sleep(float(generator.uniform(0.4, 1.0)) * seconds)
        workers = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        if kill % 2 == 0:
            with_group = os.killpg if process.poll() is None else lambda *_: None
            with_group(process.pid, signal.SIGKILL)
        else:
            process.send_signal(signal.SIGTERM if kill % 4 == 1 else signal.SIGKILL)
        errors = process.communicate(timeout=60)[1]
        assert "Traceback" not in errors, errors
        alive = psutil.wait_procs(workers, timeout=10)[1]
        orphans += len([p for p in alive if p.is_running() and p.status() != psutil.STATUS_ZOMBIE])
        kept += len(list((tmp_path / "checkpoints").rglob("*.npz"))) if (tmp_path / "checkpoints").exists() else 0
        if kill % 3 == 2:  # from the start again, so that later kills also hit the beginning
            assert finish(tmp_path, tmp_path / "out", 2) == outputs
            shutil.rmtree(tmp_path / "checkpoints")
    assert finish(tmp_path, tmp_path / "out", 2) == outputs
    assert orphans == 0
    left = [p for p in tmp_path.rglob(".*.part*") if p.is_file()]
    record_property("chaos", f"kills: {KILLS}, {kept} finished folds kept, {orphans} orphans, {len(left)} leftovers")


@many
def test_full_disks_are_one_line_and_change_nothing(tmp_path, wanted, record_property):
    outputs, _ = wanted
    generator, lines = np.random.default_rng(seed_of(0, "chaos", "disks")), 0
    for _ in range(KILLS):
        limit = int(generator.integers(100, 12_000))
        process = start(tmp_path, tmp_path / "out", 2, limit)
        errors = process.communicate(timeout=120)[1]
        if process.returncode:
            (line,) = [text for text in errors.splitlines() if text.startswith("error: ")]
            assert "File too large (" in line, errors
            assert "Traceback" not in errors, errors
            lines += 1
    assert finish(tmp_path, tmp_path / "out", 2) == outputs
    record_property("chaos", f"full disks: {KILLS} trials, {lines} ended in one line, the others fitted")


def mount(folder: Path, kilobytes: int, *options: str) -> bool:
    size = ",".join([*options, f"size={kilobytes}k"])
    command = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True).returncode == 0


@many
def test_a_disk_that_is_full_continues_when_there_is_room(tmp_path, wanted, record_property):
    outputs, _ = wanted
    generator, lines = np.random.default_rng(seed_of(0, "chaos", "tmpfs")), 0
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    if not mount(folder, 4):
        pytest.skip("only root may mount a small disk")
    try:
        sizes = sorted(int(size) for size in generator.integers(4, 200, max(3, KILLS // 4)))
        for size in sizes:
            assert mount(folder, size, "remount")
            process = start(tmp_path, tmp_path / "out", 2)
            errors = process.communicate(timeout=120)[1]
            assert "Traceback" not in errors, errors
            if process.returncode:
                (line,) = [text for text in errors.splitlines() if text.startswith("error: ")]
                assert "No space left on device (" in line, errors
                lines += 1
        assert mount(folder, 100_000, "remount")
        assert finish(tmp_path, tmp_path / "out", 2) == outputs
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
    record_property("chaos", f"full tmpfs: {len(sizes)} trials, {lines} ended in one line, the others fitted")


@many
@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("within", [(), OWN_PROCESS_IDS], ids=["one machine", "equal process ids"])
def test_processes_that_share_a_folder_agree(tmp_path, wanted, count, within, record_property):
    if within and subprocess.run([*within, "true"], capture_output=True).returncode:
        pytest.skip("only root may make a namespace of process ids")
    outputs, _ = wanted
    running = [start(tmp_path, tmp_path / f"out{k}", 1, within=within) for k in range(count)]
    for process in running:
        errors = process.communicate(timeout=120)[1]
        assert process.returncode == 0, errors
    assert all(contents(tmp_path / f"out{k}") == outputs for k in range(count))
    assert not list((tmp_path / "checkpoints").rglob("*.claim"))
    ids = "equal process ids" if within else "one machine"
    record_property("chaos", f"shared folder: {count} processes, {ids}, equal outputs")
