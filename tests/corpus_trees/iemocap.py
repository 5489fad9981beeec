"""A few files of IEMOCAP."""

from __future__ import annotations

from pathlib import Path

from tests.corpus_trees import sound, write

LABELS = """% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]
A-E2:\tval 3; act 2; dom  2;\t()
[10.0100 - 11.3925]\tSes01F_impro01_M000\texc\t[4.0000, 3.5000, 3.0000]
[14.8872 - 18.0175]\tSes01F_impro01_M001\thap\t[4.0000, 3.5000, 3.0000]
[19.2900 - 20.7875]\tSes01F_impro01_F001\txxx\t[2.5000, 3.0000, 2.5000]
[21.0000 - 22.0000]\tSes01F_impro01_F002\tfru\t[2.5000, 3.0000, 2.5000]
[23.0000 - 24.0000]\tSes01F_impro01_MXX0\tang\t[2.5000, 3.0000, 2.5000]
"""
TRANSCRIPT = """Ses01F_impro01_F000 [006.2901-008.2357]: Excusé me.
M: Mhm.
Ses01F_impro01_M000 [010.0100-011.3925]: Do you have your forms?
Ses01F_impro01_MXX0 [023.0000-024.0000]: Yeah.
"""
WDSEG = """\t SFrm\t EFrm\t   SegAScr\tWord
\t    0\t   41\t   -123456\t<s>
\t   42\t   61\t   -123456\tEXCUSE(2)
\t   62\t   80\t   -123456\t<sil>
\t   81\t   99\t   -123456\tME
\t  100\t  110\t   -123456\t++LAUGHTER++
\t  111\t  120\t   -123456\t</s>
Total score: -987654
"""


def tree(root: Path) -> Path:
    session = root / "Session1"
    write(session / "dialog/EmoEvaluation/Ses01F_impro01.txt", LABELS)
    write(session / "dialog/EmoEvaluation/._Ses01F_impro01.txt", "[litter")
    write(session / "dialog/EmoEvaluation/Categorical/Ses01F_impro01_e1_cat.txt", "[of one rater]")
    script = "[1.0000 - 2.0000]\tSes01M_script01_1_F000\tsad\t[2.0000, 2.0000, 2.0000]\r\n"
    write(session / "dialog/EmoEvaluation/Ses01M_script01_1.txt", script)
    write(session / "dialog/transcriptions/Ses01F_impro01.txt", TRANSCRIPT, "iso-8859-1")
    for turn in ("F000", "M000", "M001", "F001", "F002", "MXX0"):
        sound(session / f"sentences/wav/Ses01F_impro01/Ses01F_impro01_{turn}.wav")
    sound(session / "sentences/wav/Ses01M_script01_1/Ses01M_script01_1_F000.wav")
    write(session / "sentences/ForcedAlignment/Ses01F_impro01/Ses01F_impro01_F000.wdseg", WDSEG)
    return root
