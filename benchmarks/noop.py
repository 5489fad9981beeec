"""The CPU time of a second `dvc repro` of the demo, beside that of a project with one stage.

Run it where the demo is up to date: python benchmarks/noop.py. The target is 1.3 CPU-seconds on a machine where the
one stage takes 0.49, a ratio of 2.65.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

RUNS = 7
TARGET = 1.3 / 0.49
ONE_STAGE = "stages:\n  one:\n    cmd: echo 1 > out.txt\n    outs: [out.txt]\n"


def cpu_seconds(folder: Path) -> float:
    """User and system seconds of one `dvc repro` in `folder` that runs nothing."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run(["dvc", "repro"], cwd=folder, capture_output=True, text=True, check=True).stdout
    if "Running stage" in out:
        raise SystemExit(f"{folder} was not up to date: run `dvc repro` there first")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def one_stage(folder: Path) -> None:
    """A project with one stage, up to date."""
    (folder / "dvc.yaml").write_text(ONE_STAGE)
    commands = "git init -q", "dvc init -q", "dvc config core.analytics false", "dvc repro"
    for command in commands:
        subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)


def main() -> None:
    demo = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1]
    with tempfile.TemporaryDirectory() as name:
        one_stage(Path(name))
        pairs = [(cpu_seconds(demo), cpu_seconds(Path(name))) for _ in range(RUNS)]
    seconds = [statistics.median(pair[i] for pair in pairs) for i in (0, 1)]
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"dvc repro with nothing to do, median of {RUNS}: demo {seconds[0]:.2f} CPU-s, one stage {seconds[1]:.2f}")
    print(f"ratio {ratio:.2f}, target at most {TARGET:.2f} (1.3 CPU-s where one stage takes 0.49)")


if __name__ == "__main__":
    main()
