"""How many workers a stage uses; no result depends on it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ser.errors import SerError


def workers(run: Mapping[str, Any] | None = None, device: str = "cpu") -> int:
    """Number of worker processes: SER_JOBS, else `run.jobs` of params.yaml, else one a core (one on CUDA).

    Raises `SerError` when either is not a number of workers.
    """
    asked = os.environ.get("SER_JOBS")
    hint = "Give a number of workers, such as SER_JOBS=2, or 0 for one a core"
    try:
        jobs = int(asked) if asked else int((run or {}).get("jobs", 0))
    except ValueError:
        raise SerError(f"SER_JOBS is {asked!r}", "environment", hint) from None
    if jobs < 0 and asked:
        raise SerError(f"SER_JOBS is {asked!r}", "environment", hint)
    if jobs < 0:
        raise SerError(f"a negative number of workers: {jobs}", "run.jobs", "Write 0 for one a core")
    if jobs:
        return jobs
    if device == "cuda":
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
