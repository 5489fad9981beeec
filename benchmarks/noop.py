"""A `dvc repro` of the demo when nothing has changed, against a project with one stage: CPU seconds of both.

The target is 1.3 CPU-seconds on a machine where the project with one stage takes 0.49, a ratio of 2.65.

Run it in a clone where the demo is up to date: python benchmarks/noop.py
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import tempfile
from pathlib import Path

RUNS = 7
ONE = "stages:\n  one:\n    cmd: echo 1 > out.txt\n    outs: [out.txt]\n"


def cpu_seconds(folder: Path) -> float:
    """User and system seconds of one no-op `dvc repro` in `folder`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run(["dvc", "repro"], cwd=folder, capture_output=True, text=True, check=True).stdout
    if "Running stage" in out:
        raise SystemExit("something ran: `dvc repro` first")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    root = Path(__file__).resolve().parents[1]
    with tempfile.TemporaryDirectory() as name:
        one = Path(name)
        (one / "dvc.yaml").write_text(ONE)
        for command in (
            ["git", "init", "-q"],
            ["dvc", "init", "-q"],
            ["dvc", "config", "core.analytics", "false"],
            ["dvc", "repro"],
        ):
            subprocess.run(command, cwd=one, check=True, capture_output=True)
        pairs = [(cpu_seconds(root), cpu_seconds(one)) for _ in range(RUNS)]
    demo, floor = (statistics.median(p[i] for p in pairs) for i in (0, 1))
    ratio = statistics.median(a / b for a, b in pairs)
    target = "target: 1.3 / 0.49 = 2.65"
    print(f"dvc repro, no-op: demo {demo:.2f} cpu-s, one stage {floor:.2f} cpu-s, ratio {ratio:.2f} ({target})")


if __name__ == "__main__":
    main()
