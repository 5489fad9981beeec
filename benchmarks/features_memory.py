"""Peak memory of the audio and feature stages on EMO-DB and on a corpus ten times as long (the same files again).

    python benchmarks/features_memory.py [folder of EMO-DB]

Each stage runs in a process of its own with two workers; its peak resident memory is read by getrusage.
"""

from __future__ import annotations

import csv
import shutil
import sys
import tempfile
from pathlib import Path

TIMES = 10
FEATURES = ("logmel", "logmag", "functionals", "waveform")


def audio(corpus: str, folder: str, times: str) -> None:
    from _common import pack

    pack(Path(corpus), Path(folder), int(times))


def feature(name: str, source: str, folder: str) -> None:
    from ser import plugins
    from ser.features.extraction import extract
    from ser.store import Store

    extract(plugins.load("features", name).Feature(), Store(source), folder, jobs=2)


def repeated(source: Path, folder: Path, times: int) -> Path:
    """An audio store whose index names each utterance of `source` `times` over, on the same samples."""
    folder.mkdir()
    (folder / "array.npy").symlink_to(source / "array.npy")
    shutil.copy(source / "card.json", folder)
    header, *rows = csv.reader((source / "index.csv").open(newline="", encoding="utf-8"))
    with (folder / "index.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([header, *([f"{u}-{i}", *span] for i in range(times) for u, *span in rows)])
    return folder


def main(corpus: Path) -> None:
    from _common import child

    peaks: dict[str, list[float]] = {"audio": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for times in (TIMES, 1):
            peaks["audio"].append(child("audio", corpus, folder / "audio", times)[2])
        for source in (repeated(folder / "audio", folder / "long", TIMES), folder / "audio"):
            for stage in FEATURES:
                peaks.setdefault(stage, []).append(child("feature", stage, source, folder / "out")[2])
                shutil.rmtree(folder / "out")
    ratio = max(long / short for long, short in peaks.values())
    each = ", ".join(f"{stage} {short:.0f} / {long:.0f}" for stage, (long, short) in peaks.items())
    print(
        f"peak memory of a feature stage: {max(max(p) for p in peaks.values()):.0f} MiB; "
        f"a corpus {TIMES} times as long takes {ratio:.2f} x as much at most (MiB, once / {TIMES} times: {each})"
    )


if __name__ == "__main__":
    if sys.argv[1:2] in (["audio"], ["feature"]):
        {"audio": audio, "feature": feature}[sys.argv[1]](*sys.argv[2:])
    else:
        from _common import EMODB

        main(Path(sys.argv[1]) if len(sys.argv) > 1 else EMODB)
