"""What the manifest stage writes: task, labels on their grid, words, and the line it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ser import plugins
from ser.corpora import tables
from ser.corpora.reading.location import Location
from ser.errors import SerError
from ser.files import read_json
from tests import corpus_trees as trees


def write(corpus: str, root: Path, synthetic: bool = True, **options: Any) -> tuple[Path, str]:
    config = plugins.load("corpora", corpus).Config(**options)
    folder = root.parent / "manifest"
    return folder, tables.write(corpus, Location(root, synthetic), config, folder, jobs=1)


def continuous(root: Path, labels: str, seconds: float = 0.3) -> Path:
    trees.sound(root / "x.wav", seconds=seconds)
    trees.write(root / "x.csv", labels)
    trees.write(root / "table.csv", "file,speaker,labels\nx.wav,s,x.csv\n")
    return root


def test_a_table_of_continuous_labels(tmp_path: Path) -> None:
    root = continuous(tmp_path / "mine", "time;valence;arousal\n0;0.5;-1\n0.1;0.25;1\n")
    folder, said = write("table", root, synthetic=False, dimensions=("arousal", "valence"))
    card = read_json(folder / "card.json")
    assert (card["task"], card["outputs"]) == ("continuous", ["arousal", "valence"])
    labels = pd.read_csv(folder / "labels.csv")
    assert labels.to_dict("list") == {
        "utterance": ["x", "x"],
        "row": [0, 1],
        "arousal": [-1.0, 1.0],
        "valence": [0.5, 0.25],
    }
    assert "labels of 1 recordings" in said


def test_a_table_of_emotions_has_no_labels(tmp_path: Path) -> None:
    folder, _ = write("table", trees.table(tmp_path / "mine"))
    assert read_json(folder / "card.json") == {"corpus": "table", "task": "classification", "outputs": ["fear", "joy"]}
    assert not (folder / "labels.csv").exists()


@pytest.mark.parametrize(
    ("times", "fault"),
    [
        ([0.0, 0.04, 0.08], r"label row 2 is at 0\.04 s, expected 0\.1 s"),
        ([0.0, 0.1, 0.1], r"label row 3 is at 0\.1 s, expected 0\.2 s"),
        ([0.0, 0.1, 0.3], r"label row 3 is at 0\.3 s, expected 0\.2 s"),
        ([0.0, 0.1002, 0.2012], r"label row 3 is at 0\.2012 s, expected 0\.2 s"),
        ([0.2, 0.3], r"labels start at 0\.2 s \(row 1\)"),
        ([-0.1, 0.0], r"labels start at -0\.1 s \(row 1\)"),
        ([0.1 * i for i in range(15)], r"labels last to 1\.4 s \(row 15\), their audio 0\.3 s"),
    ],
)
def test_label_times_off_the_grid(tmp_path: Path, times: list[float], fault: str) -> None:
    root = continuous(tmp_path / "mine", "time,arousal\n" + "".join(f"{t:g},0\n" for t in times))
    with pytest.raises(SerError, match=rf"{fault}.* \(.*x\.csv\)"):
        write("table", root, dimensions=("arousal",))
    assert not (tmp_path / "manifest").exists()


@pytest.mark.parametrize(
    "times",
    [[0.0], [0.1, 0.2], [0.0, 0.101, 0.199, 0.3], [0.1 * i for i in range(14)], np.arange(0.1, 1.25, 0.1)],
    ids=["fewer than the audio", "first label at 0.1 s", "rounded", "1 s longer", "sums"],
)
def test_label_times_on_the_grid(tmp_path: Path, times: list[float]) -> None:
    root = continuous(tmp_path / "mine", "time,arousal\n" + "".join(f"{t!s},0\n" for t in times))
    folder, _ = write("table", root, dimensions=("arousal",))
    assert list(pd.read_csv(folder / "labels.csv")["row"]) == list(range(len(times)))


def test_label_times_of_sewa_are_checked_too(tmp_path: Path) -> None:
    root = trees.sewa(tmp_path / "sewa")
    folder, said = write("sewa", root)
    assert len(pd.read_csv(folder / "labels.csv")) == 6
    assert "2 aligned words in 1 of 3 utterances" in said
    assert (folder / "turns.csv").read_text().splitlines()[:2] == ["utterance,start,end", "Train_01,0.5,2.25"]
    assert (folder / "sentences.csv").read_text().splitlines()[1] == "Train_01,0.5,2.25,Schön; <laughter>"
    trees.write(root / "labels/Train_01.csv", "'Train_01';0.0;0;0;0\n'Train_01';0.04;0;0;0\n")
    with pytest.raises(SerError, match=r"label row 2.*Train_01\.csv"):
        write("sewa", root)


def test_incomplete_subsets_are_named(tmp_path: Path) -> None:
    root = trees.librispeech(tmp_path / "librispeech")
    _, said = write("librispeech", root, synthetic=False)
    assert "incomplete subset dev-clean: 1 of 2703 utterances" in said
    assert "incomplete subset train-clean-100: 2 of 28539 utterances" in said
    _, said = write("librispeech", root, synthetic=True)
    assert "incomplete" not in said
