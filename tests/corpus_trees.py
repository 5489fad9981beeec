"""Hand-made corpora of a few files in the originals' layouts, with the oddities that real copies have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def sound(path: Path, rate: int = 16000, seconds: float = 0.1, channels: int = 1) -> Path:
    """Noise that depends on the file's name only, in 16 bits; all channels equal."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(list(path.name.encode())).integers(-9000, 9000, round(seconds * rate), dtype=np.int16)
    soundfile.write(path, np.repeat(noise[:, None], channels, 1), rate, subtype="PCM_16")
    return path


def emodb(root: Path) -> Path:
    for name in ("03a01Fa", "08b10Wa", "16b10Wa"):
        sound(root / "wav" / f"{name}.wav")
    write(root / "wav" / "._03a01Fa.wav", "litter")
    return root


def ravdess(root: Path) -> Path:
    for name in ("03-01-01-01-01-01-01", "03-01-08-02-02-02-02"):
        sound(root / f"Actor_{name[-2:]}" / f"{name}.wav", 48000)
    write(root / "Actor_01" / "._03-01-01-01-01-01-01.wav", "litter")
    return root


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


def iemocap(root: Path) -> Path:
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


ALIGNMENT = '19-198-0000 ",NORTHANGER,,ABBEY," "0.530,1.270,1.500,1.780,1.965"\n'


def librispeech(root: Path) -> Path:
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


def sewa(root: Path, names: tuple[str, ...] = ("Train_01", "Devel_01", "Test_01"), header: str = "") -> Path:
    for name in names:
        sound(root / "audio" / f"{name}.wav", channels=2)
        if not name.startswith("Test"):
            rows = (f"'{name}';{0.1 * i:.6f};0.{i};-0.5;0.25\n" for i in range(3))
            write(root / "labels" / f"{name}.csv", header + "".join(rows))
    write(root / "turns/Train_01.csv", "0.50;2.25\n3.00;4.00\n")
    write(root / "transcriptions/Train_01.csv", "0.50;2.25;'Schön; <laughter>'\n", "iso-8859-1")
    write(root / "segmentation/Train_01.csv", "s0w000001;0.50;0.90;schön\ns0w000002;0.95;1.10;ja\n")
    return root


def table(root: Path) -> Path:
    sound(root / "a/one.wav")
    sound(root / "a/two.wav", seconds=0.5)
    write(root / "table.csv", 'file,speaker,emotion,text\na/one.wav,s1,joy,"Yes, sir."\na/two.wav,s2,fear,\n')
    return root


TREES = {
    "emodb": emodb,
    "ravdess": ravdess,
    "iemocap": iemocap,
    "librispeech": librispeech,
    "sewa": sewa,
    "table": table,
}
