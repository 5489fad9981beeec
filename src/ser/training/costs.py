"""What a training cost: seconds and memory, one file per fold beside its result, and their sum per experiment.

They are the only outputs that differ from run to run, so cards and metrics hold none of them.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ser.core import compute
from ser.core.errors import SerError
from ser.core.files import read_json, reading, set_aside, write_json


def path(result: Path) -> Path:
    """The file of the cost of one fold and seed, whose result is at `result`."""
    return result.with_suffix(".cost.json")


def peak_bytes() -> int:
    """The most memory that this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


class Watch:
    """Measures from its construction to `write`. `resumed`: an earlier run did part of the work, which is not
    counted.
    """

    def __init__(self, device: str, threads: int, resumed: bool) -> None:
        self.start, self.busy, self.device = time.perf_counter(), time.process_time(), device
        self.about = {"device": compute.device_name(device), "threads": threads, "resumed": resumed}
        if device != "cpu":
            import torch

            torch.cuda.reset_peak_memory_stats(device)  # a worker trains one fold after the other

    def write(self, path: Path) -> None:
        """seconds of the clock; cpu_seconds, in which this process was busy, however busy the machine was with others;
        peak_bytes, its memory; gpu_bytes, the most memory used on a GPU.
        """
        seconds, busy = time.perf_counter() - self.start, time.process_time() - self.busy
        times = {"seconds": round(seconds, 2), "cpu_seconds": round(busy, 2)}
        write_json(path, {**times, "peak_bytes": peak_bytes(), **self._gpu(), **self.about})

    def _gpu(self) -> dict[str, int]:
        if self.device == "cpu":
            return {}
        import torch

        return {"gpu_bytes": torch.cuda.max_memory_allocated(self.device)}


def _read(path: Path) -> dict[str, Any] | None:
    try:
        with reading(path):
            cost = read_json(path)
            kinds = {"seconds": float, "peak_bytes": int, "device": str, "threads": int, "resumed": bool}
            optional = {"cpu_seconds": float, "gpu_bytes": int}  # 0.1.0 did not write the first
            kinds |= {key: kind for key, kind in optional.items() if key in cost}
            return {key: kind(cost[key]) for key, kind in kinds.items()}
    except SerError as error:  # no number depends on it
        set_aside(path, error)
        return None


def total(paths: Sequence[Path]) -> dict[str, Any]:
    """The sum of the seconds of all folds and seeds, each on a worker of its own, and the largest memory of any."""
    found = [cost for p in paths if p.exists() and (cost := _read(p))]
    out: dict[str, Any] = {
        "folds": len(found),
        "seconds": round(sum(c["seconds"] for c in found), 1),
        "peak_bytes": max((c["peak_bytes"] for c in found), default=0),
        "device": ", ".join(sorted({c["device"] for c in found})),
        "threads": max((c["threads"] for c in found), default=0),
        "resumed": any(c["resumed"] for c in found),
    }
    if found and all("cpu_seconds" in c for c in found):
        out["cpu_seconds"] = round(sum(c["cpu_seconds"] for c in found), 1)
    gpu = [c["gpu_bytes"] for c in found if "gpu_bytes" in c]
    return {**out, **({"gpu_bytes": max(gpu)} if gpu else {})}
