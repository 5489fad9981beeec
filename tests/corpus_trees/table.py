"""A few files of a user's own corpus."""

from __future__ import annotations

from pathlib import Path

from tests.corpus_trees import sound, write


def tree(root: Path) -> Path:
    sound(root / "a/one.wav")
    sound(root / "a/two.wav", seconds=0.5)
    write(root / "table.csv", 'file,speaker,emotion,text\na/one.wav,s1,joy,"Yes, sir."\na/two.wav,s2,fear,\n')
    return root
