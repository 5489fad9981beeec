"""What the corpus stage writes: task, labels on their grid, words, turns, audio, and the line that it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser.core import plugins
from ser.core.errors import SerError
from ser.core.files import read_json
from ser.core.store import Store
from ser.corpora import audio, packing, table
from ser.corpora.location import Location
from tests import corpus_trees as trees


def write(corpus: str, root: Path, synthetic: bool = True, **options: Any) -> tuple[Path, str]:
    config = plugins.load("corpora", corpus).Config(**options)
    folder = root.parent / "manifest"
    return folder, packing.pack(corpus, Location(root, synthetic), config, folder)


def continuous(root: Path, labels: str, seconds: float = 0.3) -> Path:
    trees.sound(root / "x.wav", seconds=seconds)
    trees.write(root / "x.csv", labels)
    trees.write(root / "table.csv", "file,speaker,labels\nx.wav,s,x.csv\n")
    return root


def test_a_table_of_continuous_labels(tmp_path: Path) -> None:
    root = continuous(tmp_path / "mine", "time;valence;arousal\n0;0.5;-1\n0.1;0.25;1\n")
    folder, line = write("table", root, synthetic=False, dimensions=("arousal", "valence"))
    card = read_json(folder / "card.json")
    assert (card["task"], card["outputs"]) == ("continuous", ["arousal", "valence"])
    labels = pd.read_csv(folder / "labels.csv")
    assert labels.to_dict("list") == {
        "utterance": ["x", "x"],
        "row": [0, 1],
        "arousal": [-1.0, 1.0],
        "valence": [0.5, 0.25],
    }
    assert "2 labels in 1 utterances" in line


def test_a_table_of_emotions_has_no_labels(tmp_path: Path) -> None:
    folder, _ = write("table", trees.tree("table", tmp_path / "mine"))
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
    root = trees.tree("sewa", tmp_path / "sewa")
    folder, line = write("sewa", root)
    assert len(pd.read_csv(folder / "labels.csv")) == 6
    assert "2 words in 1 utterances" in line
    assert (folder / "turns.csv").read_text().splitlines()[:2] == ["utterance,start,end", "Train_01,0.5,2.25"]
    assert (folder / "sentences.csv").read_text().splitlines()[1] == "Train_01,0.5,2.25,Schön; <laughter>"
    trees.write(root / "labels/Train_01.csv", "'Train_01';0.0;0;0;0\n'Train_01';0.04;0;0;0\n")
    with pytest.raises(SerError, match=r"label row 2.*Train_01\.csv"):
        write("sewa", root)


def test_incomplete_subsets_are_named(tmp_path: Path) -> None:
    root = trees.tree("librispeech", tmp_path / "librispeech")
    _, line = write("librispeech", root, synthetic=False)
    assert "incomplete subset dev-clean: 1 of 2703 utterances" in line
    assert "incomplete subset train-clean-100: 2 of 28539 utterances" in line
    _, line = write("librispeech", root, synthetic=True)
    assert "incomplete" not in line


def pack_table(root: Path, *rows: str, rate: int = 16000, jobs: int = 1) -> Store:
    """The packed audio of a table with the columns file, speaker, emotion, start, end."""
    trees.write(root / "table.csv", "\n".join(["file,speaker,emotion,start,end", *rows]) + "\n")
    folder = root.parent / f"{root.name} packed"
    packing.pack("table", Location(root, False), table.Config(), folder, rate, jobs)
    return Store(folder / "audio")


def test_every_16_bit_sample_comes_back_exactly(tmp_path: Path) -> None:
    samples = np.arange(-32768, 32768).astype("int16")
    soundfile.write(tmp_path / "all.wav", samples, 16000, subtype="PCM_16")
    store = pack_table(tmp_path, "all.wav,s,joy,,")
    np.testing.assert_array_equal(store["all"], samples)
    assert store.card["clipped"] == 0
    floats, _ = soundfile.read(tmp_path / "all.wav", dtype="float32")
    np.testing.assert_array_equal(audio.to_float(store["all"]), floats)


def test_rounding_and_clipping_are_counted(tmp_path: Path) -> None:
    signal = np.array([0.0, 0.5, -1.0, 1.0, 1.5, -1.01, 0.4 / 32768, 0.6 / 32768], "float32")
    samples, clipped = audio.to_int16(signal)
    np.testing.assert_array_equal(samples, [0, 16384, -32768, 32767, 32767, -32768, 0, 1])
    assert clipped == 2
    soundfile.write(tmp_path / "loud.wav", signal, 16000, subtype="FLOAT")
    assert pack_table(tmp_path, "loud.wav,s,joy,,").card["clipped"] == 2


def test_parts_of_a_file_and_resampling(tmp_path: Path) -> None:
    ramp = np.arange(8000).astype("int16")
    soundfile.write(tmp_path / "long.wav", ramp, 8000, subtype="PCM_16")
    store = pack_table(tmp_path, "long.wav,s,joy,0.25,0.5", rate=8000)
    np.testing.assert_array_equal(store["long-0000250"], ramp[2000:4000])
    assert len(pack_table(tmp_path, "long.wav,s,joy,0.25,0.5")["long-0000250"]) == 4000


def test_workers_and_waves_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [f"{i}.wav,s,joy,," for i in range(7)]
    for i in range(7):
        trees.sound(tmp_path / f"{i}.wav", 22050, 0.1 * (7 - i))
    one = pack_table(tmp_path, *rows)
    before = {p.name: p.read_bytes() for p in one.folder.iterdir()}
    monkeypatch.setattr(packing, "WAVE", 2)
    two = pack_table(tmp_path, *rows, jobs=2)
    assert {p.name: p.read_bytes() for p in two.folder.iterdir()} == before
    assert two.utterances == [str(i) for i in range(7)]


def test_an_unreadable_file_is_named_and_what_was_there_stays(tmp_path: Path) -> None:
    trees.sound(tmp_path / "mine/a.wav")
    pack_table(tmp_path / "mine", "a.wav,s,joy,,")
    with pytest.raises(SerError, match=r"gone\.wav"):
        pack_table(tmp_path / "mine", "a.wav,s,joy,,", "gone.wav,s,joy,,")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "mine packed"]
    assert Store(tmp_path / "mine packed/audio").utterances == ["a"]
