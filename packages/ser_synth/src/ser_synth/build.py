"""Builds a look-alike: processes write into a partial folder, which is renamed when it is whole."""

from __future__ import annotations

import ctypes
import dataclasses
import importlib
import importlib.metadata
import json
import os
import re
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ser_synth.errors import SynthError
from ser_synth.espeak import engine, locate, short_path

MARKER = "SYNTHETIC"  # name of the file that marks a finished look-alike
BATCHES = 12  # of jobs per process, for an even load and a moving bar; each costs a copy of the engine's data (2 ms)


def names() -> list[str]:
    """The corpora that have a look-alike: modules that define ``jobs``, sorted."""
    files = Path(__file__).parent.glob("*.py")
    return sorted(f.stem for f in files if re.search(r"^def jobs\b", f.read_text(encoding="utf-8"), re.MULTILINE))


def load(name: str) -> Any:
    """The module of a corpus; raises `SynthError` when there is none."""
    if name not in names():
        raise SynthError(f"there is no look-alike of {name!r}", None, f"Known: {', '.join(names())}")
    return importlib.import_module(f"ser_synth.{name}")


def configure(name: str, settings: str) -> Any:
    """The `Config` of a corpus with the values of a JSON object; raises `SynthError` for values it does not take."""
    cls = load(name).Config
    try:
        values = json.loads(settings)
        if unknown := sorted(set(values) - {f.name for f in dataclasses.fields(cls)}):
            raise ValueError(f"{unknown[0]!r} is not one of {', '.join(f.name for f in dataclasses.fields(cls))}")
        return cls(**values)
    except (TypeError, ValueError) as error:
        raise SynthError(f"wrong settings of {name}: {error}", settings) from error


def build(name: str, config: Any, root: Path, processes: int = 2) -> None:
    """Writes the look-alike `name` with `config` (an instance of its Config) at `root`; does nothing when it is there.

    The bytes do not depend on the number of processes. After an interruption nothing is at `root`; the next call
    removes what was left and starts over. Raises `SynthError` when `root` holds something else or cannot be written,
    or when espeak-ng is missing.
    """
    root = Path(root).absolute()
    mark = _mark(name, config)
    if _is_built(root, mark):
        return
    locate()  # before any folder is made
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(root)
        partial = root.with_name(f".{root.name}.{socket.gethostname()}-{os.getpid()}.partial")
        partial.mkdir()
        try:
            version = _run_all(name, config, partial, processes)
            (partial / MARKER).write_text(mark + f"engine: {version}\n", encoding="utf-8")
            _give_name(partial, root, mark)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
            shutil.rmtree(short_path(), ignore_errors=True)
    except OSError as error:
        raise SynthError(
            f"cannot write a synthetic corpus: {error}", root, "Make room, or use another folder"
        ) from error


def _run_all(name: str, config: Any, root: Path, processes: int) -> str:
    """Runs every job; returns the synthesizer's version."""
    from joblib import Parallel, delayed
    from tqdm import tqdm

    jobs = load(name).jobs(config)
    size = max(1, len(jobs) // (BATCHES * processes))
    batches = [jobs[i : i + size] for i in range(0, len(jobs), size)]
    # always processes: two threads in one engine crash it
    parallel = Parallel(processes, backend="loky", batch_size=1, return_as="generator_unordered")
    calls = (delayed(_run)(name, config, root, short_path(), batch) for batch in batches)
    versions = set()
    with tqdm(total=len(jobs), desc=f"synthesize {name}", unit="job", disable=None) as bar:
        for version, done in parallel(calls):
            versions.add(version)
            bar.update(done)
    return ", ".join(sorted(versions))


def _run(name: str, config: Any, root: Path, folder: Path, jobs: Sequence[Any]) -> tuple[str, int]:
    """Runs one batch in a worker process; returns (the synthesizer's version, number of jobs)."""
    end_with_parent()
    module = load(name)
    with engine(folder) as voice:
        for job in jobs:
            module.run(job, root, config, voice)
        return f"espeak-ng {voice.version} (espeakng-loader {importlib.metadata.version('espeakng-loader')})", len(jobs)


def end_with_parent(parent: int | None = None) -> None:
    """Ends this process when its parent does; `parent` is the process id that the parent must have. Linux sees to that,
    and elsewhere a thread.
    """
    parent = parent or os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1: PR_SET_PDEATHSIG
        if os.getppid() != parent:  # it ended before the call
            os.kill(os.getpid(), signal.SIGKILL)
    elif not any(thread.name == "parent" for thread in threading.enumerate()):
        threading.Thread(target=_watch, args=(parent,), name="parent", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGKILL)


def _mark(name: str, config: Any) -> str:
    return (
        f"This folder is not {name}. It is a look-alike in the layout of {name}, made by `ser_synth` with a\n"
        "speech synthesizer to run and test the pipeline: no person speaks or feels here, and no result\n"
        "on it says anything about people.\n"
        f"corpus: {name}\n"
        f"config: {json.dumps(dataclasses.asdict(config), ensure_ascii=False)}\n"
    )


def _is_built(root: Path, mark: str) -> bool:
    """Whether this very look-alike is at `root`. Raises `SynthError` when something else is."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    marker = root / MARKER
    if marker.is_file() and marker.read_text(encoding="utf-8").startswith(mark):
        return True
    what = "another synthetic corpus" if marker.exists() else "something that is not synthetic"
    raise SynthError(f"{what} is here already", root, "Remove it, or use another folder")


def _give_name(partial: Path, root: Path, mark: str) -> None:
    try:
        partial.rename(root)
    except OSError:
        if not _is_built(root, mark):  # else another process was faster, with the same bytes
            raise


def _remove_stale(root: Path) -> None:
    """Removes what interrupted builds of this machine left beside `root`; a build that still runs keeps its folder."""
    prefix = f".{root.name}.{socket.gethostname()}-"
    for folder in root.parent.iterdir():
        pid = folder.name.removeprefix(prefix).removesuffix(".partial")
        if folder.name == f"{prefix}{pid}.partial" and pid.isdigit() and not _is_alive(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return pid != os.getpid()  # a folder under our own number is an earlier process's
