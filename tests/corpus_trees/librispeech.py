"""A few files of LibriSpeech."""

from __future__ import annotations

from pathlib import Path

from tests.corpus_trees import sound, write

ALIGNMENT = '19-198-0000 ",NORTHANGER,,ABBEY," "0.530,1.270,1.500,1.780,1.965"\n'


def tree(root: Path) -> Path:
    top = root / "LibriSpeech"
    write(
        top / "SPEAKERS.TXT",
        ";ID  |SEX| SUBSET           |MINUTES| NAME\n19 | F | train-clean-100 | 25.19 | K\n",
    )
    for chapter, count in (("train-clean-100/19/198", 2), ("dev-clean/84/121550", 1)):
        folder = top / chapter
        name = f"{folder.parent.name}-{folder.name}"
        write(folder / f"{name}.trans.txt", "".join(f"{name}-{i:04d} NORTHANGER ABBEY {i}\n" for i in range(count)))
        for i in range(count):
            sound(folder / f"{name}-{i:04d}.flac")
        write(folder / f"._{name}-0000.flac", "litter")
    write(top / "train-clean-100/19/198/19-198.alignment.txt", ALIGNMENT)
    return root
