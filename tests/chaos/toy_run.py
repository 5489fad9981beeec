"""The toy experiment as a program, to be killed: FOLDER OUT JOBS [LIMIT]. LIMIT is the most bytes a file may have, as
on a full disk.
"""

from __future__ import annotations

import resource
import signal
import sys
from pathlib import Path

from ser.core.errors import run_command
from ser.training.experiment import Files, run
from tests import toy


def main() -> None:
    folder, out, jobs = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    if len(sys.argv) > 4:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]),) * 2)
    files = Files(
        manifest=folder / "manifest",
        folds=folder / "folds.csv",
        features={"vectors": folder / "vectors"},
        predictions=out / "predictions.csv",
        curves=out / "curves.csv",
        card=out / "card.json",
        cost=out / "cost.json",
        checkpoints=folder / "checkpoints",
    )
    run(toy.settings("svm", seeds=[1, 2, 3, 4, 5, 6]), files, {"jobs": jobs})


if __name__ == "__main__":
    run_command(main)
