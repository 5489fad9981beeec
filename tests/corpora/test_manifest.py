from __future__ import annotations

import tempfile
from pathlib import Path

import pandas as pd
import pytest

from ser.core import plugins
from ser.core.errors import SerError
from ser.corpora import manifest, packing
from ser.corpora.location import Location
from tests import corpus_trees as trees


def rows(root: Path, *lines: str, columns: str = "file,speaker,emotion") -> Path:
    trees.write(root / "table.csv", "\n".join([columns, *lines]) + "\n")
    return root


def read(corpus: str, root: Path, synthetic: bool = True, jobs: int = 1, **options: object) -> pd.DataFrame:
    """The manifest of the corpus below `root`."""
    config = plugins.load("corpora", corpus).Config(**options)
    with tempfile.TemporaryDirectory() as folder:
        packing.pack(corpus, Location(root, synthetic), config, Path(folder, "packed"), jobs=jobs)
        return manifest.read(Path(folder, "packed/utterances.csv"))


def build(root: Path, jobs: int = 1, **options: object) -> pd.DataFrame:
    return read("table", root, synthetic=False, jobs=jobs, **options)


def test_facts_of_the_files(tmp_path: Path) -> None:
    trees.sound(tmp_path / "a.wav", 22050, 0.5, channels=2)
    trees.sound(tmp_path / "b.wav", 16000, 2.0)
    rows(tmp_path, "b.wav,s1,joy,0.5,1.25", "a.wav,s2,fear,,", columns="file,speaker,emotion,start,end")
    made = build(tmp_path).set_index("utterance")
    assert list(made.index) == ["a", "b-0000500"]
    assert list(made["duration"]) == [0.5, 0.75]
    assert list(made["rate"]) == [22050, 16000]
    assert list(made["channels"]) == [2, 1]
    assert made["start"].isna().tolist() == [True, False]
    assert set(made["synthetic"]) == {0}
    assert not manifest.is_synthetic(made)


def test_workers_change_nothing(tmp_path: Path) -> None:
    root = trees.tree("emodb", tmp_path)
    one, two = (read("emodb", root, jobs=jobs) for jobs in (1, 2))
    pd.testing.assert_frame_equal(one, two)
    assert one["pcm"].nunique() == len(one)
    assert manifest.is_synthetic(one)


def test_the_duplicate_of_ravdess_is_kept_and_seen(tmp_path: Path) -> None:
    first = trees.sound(tmp_path / "Actor_07/03-01-08-01-02-01-07.wav", 48000, channels=2)
    trees.sound(tmp_path / "Actor_07/03-01-08-01-01-01-07.wav", 48000)
    (tmp_path / "Actor_07/03-01-08-01-02-02-07.wav").write_bytes(first.read_bytes())
    made = read("ravdess", tmp_path).set_index("utterance")
    assert len(made) == 3
    assert made.loc["03-01-08-01-02-01-07", "pcm"] == made.loc["03-01-08-01-02-02-07", "pcm"]
    assert made["pcm"].nunique() == 2


def test_all_faulty_files_are_reported_at_once(tmp_path: Path) -> None:
    names = [f"{i}.wav" for i in range(6)]
    for name in names[:5]:
        trees.write(tmp_path / name, "no sound")
    trees.sound(tmp_path / names[5])
    with pytest.raises(SerError, match=r"5 audio files of table cannot be used.*0\.wav.*and 2 more") as caught:
        build(rows(tmp_path, *(f"{name},s,joy" for name in names)), jobs=2)
    assert "\n" not in str(caught.value)


def test_rates_that_are_not_the_corpus_s(tmp_path: Path) -> None:
    root = trees.tree("emodb", tmp_path)
    trees.sound(root / "wav/03a01Fa.wav", rate=44100)
    with pytest.raises(SerError, match=r"44100 Hz, expected 16000 Hz \(.*03a01Fa\.wav\).*assume_rate"):
        read("emodb", root)
    made = read("emodb", root, rates=(16000, 44100))
    assert list(made["rate"]) == [44100, 16000, 16000]
    made = read("emodb", root, assume_rate=16000)
    assert set(made["rate"]) == {16000}
    assert made["duration"][0] == pytest.approx(4410 / 16000)
    with pytest.raises(SerError, match=r"3 audio files.*expected 8000 Hz"):
        read("emodb", root, rates=(8000,))


def test_counts_are_asserted_on_a_real_corpus_only(tmp_path: Path) -> None:
    root = trees.tree("emodb", tmp_path)
    assert len(read("emodb", root)) == 3
    with pytest.raises(SerError, match=r"not the counts of EMO-DB.*speaker 03, anger: expected 14, found 0"):
        read("emodb", root, synthetic=False)


def test_counts_of_the_options_are_asserted(tmp_path: Path) -> None:
    names = [f"{p}_{i:02d}" for p, n in (("Train", 34), ("Devel", 14)) for i in range(1, n + 1)]
    root = trees.tree("sewa", tmp_path, tuple(names))
    assert len(read("sewa", root, synthetic=False, partitions=("train", "dev"))) == 48
    assert len(read("sewa", root, synthetic=False)) == 48  # a package without the test audio
    trees.sound(root / "audio/Test_01.wav")
    with pytest.raises(SerError, match="test: expected 16, found 1"):
        read("sewa", root, synthetic=False)


@pytest.mark.parametrize("name", ['a"b', "a b", "a;b", "=a", "-a", "a,b"])
def test_ids_unsafe_in_a_csv(tmp_path: Path, name: str) -> None:
    trees.sound(tmp_path / "a.wav")
    quoted = '"' + name.replace('"', '""') + '"'
    with pytest.raises(SerError, match="not safe in a CSV"):
        build(rows(tmp_path, f"a.wav,s,joy,{quoted}", columns="file,speaker,emotion,utterance"))


def test_no_utterances(tmp_path: Path) -> None:
    with pytest.raises(SerError, match=r"no utterance of table.*Write a table\.csv"):
        build(rows(tmp_path))


def test_strings_come_back_as_they_were(tmp_path: Path) -> None:
    trees.sound(tmp_path / "01.wav")
    made = build(rows(tmp_path, '01.wav,007,NA,"Ja, ""so""  ist\n es"', columns="file,speaker,emotion,text"))
    manifest.write(made, tmp_path / "m.csv")
    again = manifest.read(tmp_path / "m.csv").iloc[0]
    assert (again["utterance"], again["speaker"], again["emotion"]) == ("01", "007", "NA")
    assert again["text"] == 'Ja, "so" ist es'
    assert again["session"] == ""


def test_write_replaces_whole(tmp_path: Path) -> None:
    trees.sound(tmp_path / "a.wav")
    made = build(rows(tmp_path, "a.wav,s,joy"))
    path = trees.write(tmp_path / "out/m.csv", "old")
    with pytest.raises(KeyError):
        manifest.write(made.drop(columns="pcm"), path)
    assert path.read_text() == "old"
    manifest.write(made, path)
    assert [p.name for p in path.parent.iterdir()] == ["m.csv"]


def test_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(SerError, match="no manifest"):
        manifest.read(tmp_path / "none.csv")
    with pytest.raises(SerError, match="no column 'corpus'"):
        manifest.read(trees.write(tmp_path / "m.csv", "utterance,x\na,1\n"))


@pytest.mark.real
def test_real_emodb(real_emodb: Path) -> None:
    made = read("emodb", real_emodb, synthetic=False, jobs=2)
    assert len(made) == 535
    assert made["duration"].sum() / 60 == pytest.approx(24.8, abs=0.05)
    assert made["duration"].agg(["min", "max"]).round(2).tolist() == [1.23, 8.98]
    assert made["pcm"].nunique() == 535
    assert set(made["rate"]) == {16000}


@pytest.mark.real
def test_real_librispeech(real_librispeech: Path) -> None:

    made = read("librispeech", real_librispeech, synthetic=False, jobs=2)
    assert len(made) == 367
    assert made["text"].str.split().str.len().sum() == 10420
    assert made.groupby("session")["duration"].sum().div(60).round(2).to_dict() == {
        "19-198": 8.42,
        "19-227": 16.77,
        "26-495": 19.32,
        "26-496": 5.76,
        "27-123349": 12.40,
        "27-124992": 7.74,
    }
    assert made.groupby("speaker")["sex"].first().to_dict() == {"19": "f", "26": "m", "27": "m"}
