"""Builds a look-alike: jobs over processes, into a partial folder that takes its name only when it is whole."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ser import plugins
from ser.corpora import MARKER
from ser.corpora.synthetic._espeak import engine, locate, short_path
from ser.errors import SerError
from ser.files import digest

KIND = "corpora.synthetic"
BATCHES = 12  # of jobs a process, for an even load and a moving bar; each costs a copy of the engine's data (2 ms)


def fingerprint(name: str, config: Any) -> str:
    """Digest of everything that decides a look-alike's bytes: its parameters and the source that makes it."""
    return digest(name, dataclasses.asdict(config), generator_version(name))


def generator_version(name: str) -> str:
    """Digest of the corpus's module and of the parts all look-alikes share."""
    folder = plugins.path(KIND)
    sources = [folder / f"{name}.py", *sorted(folder.glob("_*.py"))]
    return digest(*(path.read_bytes() for path in sources), size=12)


def build(name: str, config: Any, root: Path, processes: int = 2) -> None:
    """Writes the look-alike `name` with `config` (an instance of its Config) at `root`; does nothing when it is there.

    The bytes do not depend on the number of processes. After an interruption nothing stands at `root`; the next call
    removes what was left and starts over. Raises `SerError` when `root` holds something else or cannot be written, or
    espeak-ng is missing.
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
        hint = "Make room, or set SER_RAW to another folder"
        raise SerError(f"cannot write a synthetic corpus: {error}", root, hint) from error


def _run_all(name: str, config: Any, root: Path, processes: int) -> str:
    """Runs every job; returns the synthesizer's version."""
    from joblib import Parallel, delayed
    from tqdm import tqdm

    jobs = plugins.load(KIND, name).jobs(config)
    size = max(1, len(jobs) // (BATCHES * processes))
    batches = [jobs[i : i + size] for i in range(0, len(jobs), size)]
    # processes, whatever backend the caller prefers: two threads in one engine crash it
    parallel = Parallel(processes, backend="loky", batch_size=1, return_as="generator_unordered")
    calls = (delayed(_run)(name, config, root, short_path(), batch) for batch in batches)
    versions = set()
    with tqdm(total=len(jobs), desc=f"synthesize {name}", unit="job", disable=None) as bar:
        for version, done in parallel(calls):
            versions.add(version)
            bar.update(done)
    return ", ".join(sorted(versions))


def _run(name: str, config: Any, root: Path, folder: Path, jobs: Sequence[Any]) -> tuple[str, int]:
    """One batch in a worker process; returns (the synthesizer's version, number of jobs)."""
    plugin = plugins.load(KIND, name)
    with engine(folder) as voice:
        for job in jobs:
            plugin.run(job, root, config, voice)
        return f"espeak-ng {voice.version} (espeakng-loader {importlib.metadata.version('espeakng-loader')})", len(jobs)


def _mark(name: str, config: Any) -> str:
    return (
        f"This folder is not {name}. It is a look-alike in the layout of {name}, made by `ser` with a\n"
        "speech synthesizer to run and test the pipeline: no person speaks or feels here, and no result\n"
        "on it says anything about people.\n"
        f"corpus: {name}\n"
        f"config: {json.dumps(dataclasses.asdict(config), ensure_ascii=False)}\n"
        f"generator: {generator_version(name)}\n"
    )


def _is_built(root: Path, mark: str) -> bool:
    """Is this very look-alike at `root`? Raises `SerError` when something else is."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    marker = root / MARKER
    if marker.is_file() and marker.read_text(encoding="utf-8").startswith(mark):
        return True
    what = "another synthetic corpus stands here" if marker.exists() else "something that is not synthetic stands here"
    raise SerError(what, root, "Remove it, or build elsewhere")


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
