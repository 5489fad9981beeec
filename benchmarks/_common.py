"""What the benchmarks of the features share: the corpus, its audio store, and timed child processes.

Each side of a comparison runs in a process of its own and is timed from the moment it is started, imports included.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from ser.features.extraction import pack_audio
from ser.store import Store

ROOT = Path(__file__).resolve().parents[1]
EMODB = ROOT.parent / "shared" / "corpora" / "emodb"


def files(corpus: Path) -> list[Path]:
    found = sorted((corpus / "wav").glob("*.wav"))
    if not found:
        sys.exit(f"error: no audio ({corpus / 'wav'}). Give the folder of EMO-DB as the argument")
    return found


def pack(corpus: Path, folder: Path, times: int = 1, jobs: int = 2) -> Store:
    """The audio store of the corpus, `times` over: the same files under other ids."""
    rows = [
        {"utterance": f.stem, "file": f"wav/{f.name}", "start": np.nan, "end": np.nan, "rate": info.samplerate}
        | {"duration": info.duration, "synthetic": 0}
        for f, info in ((f, soundfile.info(f)) for f in files(corpus))
    ]
    table = pd.DataFrame([row | {"utterance": f"{row['utterance']}-{i}"} for i in range(times) for row in rows])
    return pack_audio(table, corpus, 16000, folder, jobs)


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
