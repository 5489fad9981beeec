"""A few files of RAVDESS."""

from __future__ import annotations

from pathlib import Path

from tests.corpus_trees import sound, write


def tree(root: Path) -> Path:
    for name in ("03-01-01-01-01-01-01", "03-01-08-02-02-02-02"):
        sound(root / f"Actor_{name[-2:]}" / f"{name}.wav", 48000)
    write(root / "Actor_01" / "._03-01-01-01-01-01-01.wav", "litter")
    return root
