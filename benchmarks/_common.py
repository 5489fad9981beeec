"""What the benchmarks share: the corpus and its audio store, timed child processes, and fair pairs of timings.

`child` times a whole process from its start, imports included. `pairs` times two functions in one process, by turns,
so that both have the same threads and allocator and meet the same load of the machine.
"""

from __future__ import annotations

import ctypes
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ser.core.store import Store

ROOT = Path(__file__).resolve().parents[1]
EMODB = ROOT.parent / "shared" / "corpora" / "emodb"


def pack(corpus: Path, folder: Path) -> Store:
    """The audio store of EMO-DB, made by the corpus stage."""
    from ser.core.store import Store
    from ser.corpora import emodb, packing
    from ser.corpora.location import Location

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


def pairs(what: str, own: Callable[[], object], plain: Callable[[], object], repeats: int = 7) -> None:
    """Runs both sides by turns and prints their CPU seconds; the first pair warms up.

    CPU time and not wall time, because a busy machine stretches the latter at random.
    """
    seconds: tuple[list[float], list[float]] = [], []
    for turn in range(repeats + 1):
        order = (0, 1) if turn % 2 else (1, 0)
        for side in order:
            start = time.process_time()
            (own, plain)[side]()
            if turn:
                seconds[side].append(time.process_time() - start)
    ratios = [b / a for a, b in zip(*seconds, strict=True)]
    a, b = min(seconds[0]), min(seconds[1])
    spread = f"{statistics.median(ratios):.2f} in the median pair, {min(ratios):.2f} to {max(ratios):.2f}"
    print(f"{what}: {a * 1e3:.1f} ms, plain {b * 1e3:.1f} ms, {b / a:.2f} times as fast ({spread})", flush=True)


def keep_memory() -> None:
    """glibc keeps freed blocks up to 1 GiB, so that no side pays for mapping and zeroing their pages again."""
    mallopt = ctypes.CDLL(None).mallopt
    for parameter in (-3, -1):  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD
        mallopt(parameter, 2**30)


def peak() -> float:
    """Peak resident memory of this process in GiB. Unlike `ru_maxrss` it does not include that of the parent."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 2**20
