"""What the benchmarks of the features share: the corpus, its audio store, and timed child processes.

Each side of a comparison runs in a process of its own and is timed from the moment it is started, imports included.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from ser.corpora import emodb, packing
from ser.corpora.location import Location
from ser.store import Store

ROOT = Path(__file__).resolve().parents[1]
EMODB = ROOT.parent / "shared" / "corpora" / "emodb"


def pack(corpus: Path, folder: Path) -> Store:
    """The audio store of EMO-DB, made by the corpus stage."""
    packing.pack("emodb", Location(corpus, True), emodb.Config(), folder, 16000, 2)
    return Store(folder / "audio")


def child(*words: object) -> tuple[float, float, float]:
    """Runs the calling script again with `words`: wall seconds, CPU seconds, peak resident MiB of its process."""
    start = time.monotonic()
    process = subprocess.Popen([sys.executable, sys.argv[0], *map(str, words)])
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(process.returncode)
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
