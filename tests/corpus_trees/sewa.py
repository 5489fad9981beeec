"""A few files of SEWA."""

from __future__ import annotations

from pathlib import Path

from tests.corpus_trees import sound, write


def tree(root: Path, names: tuple[str, ...] = ("Train_01", "Devel_01", "Test_01"), header: str = "") -> Path:
    for name in names:
        sound(root / "audio" / f"{name}.wav", seconds=2.5, channels=2)
        if not name.startswith("Test"):
            rows = (f"'{name}';{0.1 * i:.6f};0.{i};-0.5;0.25\n" for i in range(3))
            write(root / "labels" / f"{name}.csv", header + "".join(rows))
    write(root / "turns/Train_01.csv", "0.50;2.25\n3.00;4.00\n")
    write(root / "transcriptions/Train_01.csv", "0.50;2.25;'Schön; <laughter>'\n", "iso-8859-1")
    write(root / "segmentation/Train_01.csv", "s0w000001;0.50;0.90;schön\ns0w000002;0.95;1.10;ja\n")
    return root
