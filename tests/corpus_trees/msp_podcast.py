"""A few files of MSP-Podcast."""

from __future__ import annotations

from pathlib import Path

from tests.corpus_trees import sound, write

HEAD = "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set\n"
ROWS = """MSP-PODCAST_0001_0008.wav,N,4.0,7.0,1.0,12,Female,Train
MSP-PODCAST_0001_0019.wav,H,5.5,4.0,4.0,Unknown,Unknown,Train
MSP-PODCAST_0002_0033.wav,A,6.0,2.0,5.0,13,Male,Development
MSP-PODCAST_0003_0001.wav,X,4.0,4.0,4.0,14,Male,Test1
MSP-PODCAST_0003_0002.wav,S,2.5,1.0,4.0,14,Male,Test1
MSP-PODCAST_0004_0001.wav,S,2.5,1.0,4.0,15,Male,Test2
"""


def tree(root: Path) -> Path:
    write(root / "Labels/labels_consensus.csv", HEAD + ROWS)
    for row in ROWS.splitlines():
        sound(root / "Audios" / row.split(",")[0], seconds=0.35)
    return root
