"""A few files of EMO-DB."""

from __future__ import annotations

from pathlib import Path

from tests.corpus_trees import sound, write


def tree(root: Path) -> Path:
    for name in ("03a01Fa", "08b10Wa", "16b10Wa"):
        sound(root / "wav" / f"{name}.wav")
    write(root / "wav" / "._03a01Fa.wav", "litter")
    return root
