from __future__ import annotations

from pathlib import Path

import pytest

from ser.core.errors import SerError
from ser.corpora import Word, iemocap, librispeech, sewa
from tests import corpus_trees as trees
from tests.corpus_trees.iemocap import WDSEG
from tests.corpus_trees.librispeech import ALIGNMENT

TEXTGRID = '''File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 1.965
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 1.965
        intervals: size = 4
        intervals [1]:
            xmin = 0
            xmax = 0.53
            text = ""
        intervals [2]:
            xmin = 0.53
            xmax = 1.27
            text = "say ""hé"""
        intervals [3]:
            xmin = 1.27
            xmax = 1.5
            text = "sp"
        intervals [4]:
            xmin = 1.5
            xmax = 1.965
            text = "abbey"
    item [2]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 1.965
        intervals: size = 1
        intervals [1]:
            xmin = 0
            xmax = 1.965
            text = "N"
'''


def test_wdseg(tmp_path: Path) -> None:
    path = trees.write(tmp_path / "a.wdseg", WDSEG)
    assert iemocap.read_wdseg(path) == [Word(0.42, 0.62, "EXCUSE"), Word(0.81, 1.0, "ME")]


def test_alignment_of_a_chapter(tmp_path: Path) -> None:
    path = trees.write(tmp_path / "a.txt", ALIGNMENT)
    words = [Word(0.53, 1.27, "NORTHANGER"), Word(1.5, 1.78, "ABBEY")]
    assert librispeech.read_alignment(path) == {"19-198-0000": words}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
def test_textgrid(tmp_path: Path, encoding: str) -> None:
    path = trees.write(tmp_path / "a.TextGrid", TEXTGRID, encoding)
    assert librispeech.read_textgrid(path) == [Word(0.53, 1.27, 'say "hé"'), Word(1.5, 1.965, "abbey")]


@pytest.mark.parametrize("header", ["segment;start;end;word", "id;start_time;end time [s];word", ""])
def test_segmentation(tmp_path: Path, header: str) -> None:
    path = trees.write(tmp_path / "a.csv", f"{header}\ns0w000001;0.5;0.9;schön\ns0w000002;1;1.1;'s\n")
    assert sewa.read_segmentation(path) == [Word(0.5, 0.9, "schön"), Word(1.0, 1.1, "s")]


@pytest.mark.parametrize(
    ("reader", "text", "fault"),
    [
        (librispeech.read_alignment, '19-1-0000 ",A," "0.1,0.2"\n', r"3 words but 2 times.*:1"),
        (librispeech.read_alignment, '\n19-1-0000 ",A,"\n', r"expected: ID.*:2"),
        (librispeech.read_alignment, '19-1-0000 ",A" "0.1,x"\n', r"'x' is not a number.*:1"),
        (librispeech.read_textgrid, TEXTGRID.replace('"words"', '"x"'), "tiers: 'x', 'phones'"),
        (librispeech.read_textgrid, '"IntervalTier"\n"words"\n', "long text format"),
        (librispeech.read_textgrid, TEXTGRID.replace("xmin = 1.5\n", "xmin = 1,5\n"), r"'1,5' is not a number.*:28"),
        (sewa.read_segmentation, "s0w1;0.5;0.9\n", r"expected: segment;start;end;word.*:1"),
        (sewa.read_segmentation, "s0w1;0,5;0,9;ja\n", r"'0,5' is not a number.*:1"),
    ],
)  # fmt: skip
def test_faults_name_the_line(tmp_path: Path, reader: object, text: str, fault: str) -> None:
    with pytest.raises(SerError, match=fault):
        reader(trees.write(tmp_path / "a.txt", text))  # type: ignore[operator]


def test_missing_alignments_are_left_out(tmp_path: Path) -> None:
    root = trees.tree("iemocap", tmp_path / "iemocap")
    turns = list(iemocap.utterances(root))
    aligned = dict(iemocap.words(root, turns))
    assert list(aligned) == ["Ses01F_impro01_F000"]


def test_librispeech_takes_either_format(tmp_path: Path) -> None:
    root = trees.tree("librispeech", tmp_path)
    trees.write(root / "LibriSpeech/train-clean-100/19/198/19-198-0001.TextGrid", TEXTGRID)
    aligned = dict(librispeech.words(root, librispeech.utterances(root)))
    assert {name: [w.text for w in words] for name, words in aligned.items()} == {
        "19-198-0000": ["NORTHANGER", "ABBEY"],
        "19-198-0001": ['say "hé"', "abbey"],
    }


def test_sewa_words(tmp_path: Path) -> None:
    root = trees.tree("sewa", tmp_path)
    aligned = dict(sewa.words(root, sewa.utterances(root)))
    assert aligned == {"Train_01": [Word(0.5, 0.9, "schön"), Word(0.95, 1.1, "ja")]}


def test_malformed_lines_of_a_wdseg_are_warnings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "SFrm EFrm SegAScr Word\n1 2 WORD\n9 2 -1 BACKWARDS\n10 19 -1 KEPT\n"
    assert iemocap.read_wdseg(trees.write(tmp_path / "a.wdseg", text)) == [Word(0.1, 0.2, "KEPT")]
    first, second = capsys.readouterr().err.splitlines()
    assert "a.wdseg:2" in first
    assert "ends before it starts" in second
    assert "a.wdseg:3" in second
