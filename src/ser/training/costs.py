"""What a training cost: seconds and memory, one file a fold beside its result, and their sum an experiment.

The only outputs that differ from run to run: kept apart from cards and metrics, which do not."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ser.files import read_json, write_json


def path(result: Path) -> Path:
    """Of the cost of one fold and seed, whose result lies at `result`."""
    return result.with_suffix(".cost.json")


class Watch:
    """Runs from its making to `write`. `resumed`: an earlier start did part of the work, which is not counted."""

    def __init__(self, device: str, threads: int, resumed: bool) -> None:
        self.start = time.perf_counter()
        self.about = {"device": _name(device), "threads": threads, "resumed": resumed}

    def write(self, path: Path) -> None:
        """seconds; peak_bytes, the most memory of this worker process so far; gpu_bytes, the most on a GPU."""
        seconds = round(time.perf_counter() - self.start, 2)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        write_json(path, {"seconds": seconds, "peak_bytes": peak, **self._gpu(), **self.about})

    def _gpu(self) -> dict[str, int]:
        if self.about["device"] == "cpu":
            return {}
        import torch

        return {"gpu_bytes": torch.cuda.max_memory_allocated()}


def total(paths: Sequence[Path]) -> dict[str, Any]:
    """The sum of the seconds of all folds and seeds, each on its own worker, and the largest memory of any."""
    found = [read_json(p) for p in paths if p.exists()]
    out = {
        "folds": len(found),
        "seconds": round(sum(c["seconds"] for c in found), 1),
        "peak_bytes": max((c["peak_bytes"] for c in found), default=0),
        "device": ", ".join(sorted({c["device"] for c in found})),
        "threads": max((c["threads"] for c in found), default=0),
        "resumed": any(c["resumed"] for c in found),
    }
    gpu = [c["gpu_bytes"] for c in found if "gpu_bytes" in c]
    return {**out, **({"gpu_bytes": max(gpu)} if gpu else {})}


def _name(device: str) -> str:
    """cpu, or the name of the GPU."""
    if device == "cpu":
        return device
    import torch

    return torch.cuda.get_device_name()
