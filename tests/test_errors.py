"""How commands end: one line for a full disk, a termination and a killed worker; and no worker outlives its parent."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ser.core.files import is_alive
from tests.conftest import ROOT

WORK = """
import os, signal, sys, time
from joblib import Parallel, delayed
from ser.core import errors
from ser.core.errors import end_with_parent, run_command

class System:  # what the module errors takes for `sys`
    def __getattr__(self, name):
        return os.environ.get("PLATFORM", sys.platform) if name == "platform" else getattr(sys, name)

errors.sys = System()

def wait(kill=False):
    errors.sys = System()  # in a worker process, which imports the module anew
    end_with_parent()
    os.write(1, b"%d\\n" % os.getpid())  # a line at a time, whatever the others write
    if kill:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)
"""


def start(code: str, **environment: str) -> subprocess.Popen:
    """A process that runs WORK and `code`; workers write to the same output."""
    return subprocess.Popen(
        [sys.executable, "-c", WORK + code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
        # what a shell runs in the background ignores SIGINT, and so would all that it starts
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def ends(pid: int, seconds: float = 10) -> bool:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        # a process that nobody waits for stays as a zombie where there is no init
        if not is_alive(pid) or Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(("number", "line"), [(signal.SIGTERM, "terminated"), (signal.SIGINT, "stopped")])
def test_a_signal_is_one_line(number, line):
    process = start("run_command(wait)")
    process.stdout.readline()
    process.send_signal(number)
    assert process.wait(10) == 128 + number
    assert process.stderr.read() == f"{line}; finished work is kept, and the same command continues it\n"


def test_a_worker_that_is_killed_mentions_memory():
    process = start("run_command(lambda: Parallel(2)(delayed(wait)(True) for _ in range(2)))")
    assert process.wait(60) == 1
    (line,) = [text for text in process.stderr.read().splitlines() if "leaked" not in text]
    assert line.startswith("error: a worker process was killed, most likely because the memory is full. Use fewer")
    assert "SER_JOBS=1" in line


@pytest.mark.parametrize("platform", [sys.platform, "darwin"])  # which has no signal of the kernel for this
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_their_parent(number, platform):
    process = start("run_command(lambda: Parallel(2)(delayed(wait)() for _ in range(2)))", PLATFORM=platform)
    workers = [int(process.stdout.readline()) for _ in range(2)]
    process.send_signal(number)
    process.wait(20)
    assert all([ends(pid) for pid in workers])


@pytest.mark.parametrize("platform", [sys.platform, "darwin"])  # which has no signal of the kernel for this
def test_a_stage_ends_with_dvc(platform):
    """The process between this test and the stage plays DVC."""
    stage = f"{WORK}run_command(wait)"
    dvc = start(
        f"import subprocess\nsubprocess.run([sys.executable, '-c', {stage!r}])", DVC_STAGE="train", PLATFORM=platform
    )
    pid = int(dvc.stdout.readline())
    dvc.kill()
    assert ends(pid)
    assert dvc.stderr.read().startswith("terminated; ")


def test_a_full_disk_is_one_line_that_names_the_file(tmp_path):
    code = """
import resource
from ser.core.files import write_text
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
run_command(lambda: write_text(sys.argv[-1], "x" * 5000))
"""
    path = tmp_path / "a.txt"
    # `make coverage` could not write what it counts there
    own = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    process = subprocess.run([sys.executable, "-c", WORK + code, str(path)], capture_output=True, text=True, env=own)
    assert process.returncode == 1
    assert process.stderr.startswith(f"error: File too large ({path}). Make room: finished work is kept")
    assert len(process.stderr.splitlines()) == 1
    assert not os.listdir(tmp_path)


def bound_by_permissions() -> list[str]:
    """What starts a command that permissions bind, which root ignores."""
    without = "-dac_override,-dac_read_search"
    command = ["setpriv", f"--inh-caps={without}", f"--bounding-set={without}"] if os.geteuid() == 0 else []
    if command and (not shutil.which("setpriv") or subprocess.run([*command, "true"], capture_output=True).returncode):
        pytest.skip("root cannot give up its right to write everywhere here")
    return command


@pytest.mark.parametrize("name", ["new.txt", "old.txt", "a/new/folder/new.txt"])
def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, name):
    locked = tmp_path / "data"
    locked.mkdir()
    (locked / "old.txt").write_text("old")
    locked.chmod(0o555)
    code = f"{WORK}from ser.core.files import write_text\nrun_command(lambda: write_text(sys.argv[-1], 'x'))"
    command = [*bound_by_permissions(), sys.executable, "-c", code, f"data/{name}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"error: nothing can be written in this folder: Permission denied ({locked}). Let the"
    )
    assert len(done.stderr.splitlines()) == 1
    assert [(p.name, p.read_text()) for p in locked.iterdir()] == [("old.txt", "old")]


def test_a_file_that_cannot_be_read_is_not_said_to_be_in_an_unwritable_folder(tmp_path):
    path = tmp_path / "data" / "secret.txt"
    path.parent.mkdir()
    path.write_text("x")
    path.chmod(0)
    path.parent.chmod(0o555)
    code = f"{WORK}run_command(lambda: open(sys.argv[-1]).read())"
    command = [*bound_by_permissions(), sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stderr == f"error: Permission denied ({path}).\n"


def test_a_reader_that_ends_early_leaves_no_traceback():
    """As in `ser corpora | head -1`, with more output than a pipe holds."""
    code = "from ser.core.errors import run_command; run_command(lambda: print('line\\n' * 100_000))"
    done = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -c "{code}" | head -1; echo ${{PIPESTATUS[0]}}'],
        capture_output=True,
        text=True,
    )
    assert (done.stdout.split(), done.stderr) == (["line", "141"], "")


@pytest.mark.parametrize("stage", sorted(p.stem for p in (ROOT / "stages").glob("*.py")))
def test_a_stage_without_arguments_says_how_to_call_it(stage):
    done = subprocess.run([sys.executable, f"stages/{stage}.py"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.fullmatch(rf"error: .*Usage: python stages/{stage}.py [A-Z ]+\.\n", done.stderr)
