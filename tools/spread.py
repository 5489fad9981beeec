"""Measures how far the demo's scores move between kinds of processors: python tools/spread.py FOLDER

Runs the demo study of the last commit once per variant, in copies of the repository below FOLDER, from nothing. A
variant limits the instructions that torch, oneDNN, MKL and OpenBLAS may use, so that one machine computes like several.
Writes src/ser/evaluation/spread.json. It takes minutes per variant; copies that have been evaluated are not run again.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from ser.core.caching import versions
from ser.core.errors import arguments, run_command
from ser.core.files import read_json, write_json

OUT = Path("src/ser/evaluation/spread.json")
NARROW = {
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "MKL_CBWR": "COMPATIBLE",
    "OPENBLAS_CORETYPE": "Prescott",
}
VARIANTS: dict[str, dict[str, str]] = {"as it is": {}, "no AVX": NARROW}


def run(folder: Path, variant: dict[str, str]) -> None:
    """The demo in a copy of the repository, with the environment of a variant."""
    if (folder / "metrics/demo/summary.json").exists():
        return
    if not folder.exists():
        subprocess.run(["git", "clone", "--quiet", ".", str(folder)], check=True)
        subprocess.run(["git", "-C", str(folder), "rm", "-rq", "metrics/demo", "dvc.lock"], check=True)
    source = os.pathsep.join(str(folder.resolve() / part) for part in ("src", "packages/ser_synth/src"))
    environment = {**os.environ, **variant, "PYTHONPATH": source}
    subprocess.run([sys.executable, "-m", "dvc", "repro", "report"], cwd=folder, env=environment, check=True)


def processor() -> str:
    """The name of the processor, as the system gives it."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if sys.platform == "linux" else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def scores(folders: dict[str, Path]) -> dict[str, dict[str, dict[str, float]]]:
    """Experiment -> score -> variant -> value."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for variant, folder in folders.items():
        for path in sorted((folder / "metrics/demo/scores").glob("*.json")):
            for name, value in read_json(path).items():
                if value is not None:
                    found.setdefault(path.stem, {}).setdefault(name, {})[variant] = value
    return found


def main() -> None:
    (into,) = arguments("FOLDER")
    folders = {name: Path(into) / name.replace(" ", "_") for name in VARIANTS}
    for name, folder in folders.items():
        run(folder, VARIANTS[name])
    made: dict[str, Any] = {"made_with": "python tools/spread.py FOLDER", "processor": processor()}
    made |= {"versions": versions("ser.training.fold"), "variants": VARIANTS, "scores": scores(folders)}
    write_json(OUT, made)


if __name__ == "__main__":
    run_command(main)
