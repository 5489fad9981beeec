"""A few files of CREMA-D."""

from __future__ import annotations

from pathlib import Path

from tests.corpus_trees import sound, write

NAMES = ("1001_DFA_ANG_XX", "1001_IEO_HAP_LO", "1002_TIE_NEU_XX")


def tree(root: Path) -> Path:
    for name in NAMES:
        sound(root / "AudioWAV" / f"{name}.wav")
    demographics = '"ActorID","Age","Sex","Race","Ethnicity"\n1001,51,"Male","Caucasian","Not Hispanic"\n'
    write(root / "VideoDemographics.csv", demographics + '1002,21,"Female","Caucasian","Not Hispanic"\n')
    return root
