"""LibriSpeech, SEWA, the Spoken Wikipedia and the user's own table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ser.core import plugins
from ser.core.errors import SerError
from ser.corpora import Word, librispeech, sewa, spoken_wikipedia, table, tables
from ser.corpora.location import Location
from tests import corpus_trees as trees

# ---- LibriSpeech


def test_librispeech_walks_the_folders(tmp_path: Path) -> None:
    found = list(librispeech.utterances(trees.tree("librispeech", tmp_path)))
    assert [u.id for u in found] == ["19-198-0000", "19-198-0001", "84-121550-0000"]
    first = found[0]
    assert first.file == "LibriSpeech/train-clean-100/19/198/19-198-0000.flac"
    assert (first.speaker, first.session, first.sex, first.partition) == ("19", "19-198", "f", "train")
    assert first.text == "NORTHANGER ABBEY 0"
    assert (found[2].partition, found[2].sex) == ("dev", "")
    bare = list(librispeech.utterances(tmp_path / "LibriSpeech"))
    assert [u.file for u in bare] == [u.file.removeprefix("LibriSpeech/") for u in found]


def test_librispeech_subsets(tmp_path: Path) -> None:
    root = trees.tree("librispeech", tmp_path)
    chosen = librispeech.utterances(root, librispeech.Config(subsets=("dev-clean",)))
    assert [u.id for u in chosen] == ["84-121550-0000"]
    with pytest.raises(SerError, match="subset 'dev-other' is not here"):
        list(librispeech.utterances(root, librispeech.Config(subsets=("dev-other",))))
    lacking = librispeech.incomplete(u.file for u in librispeech.utterances(root))
    assert lacking == ["dev-clean: 1 of 2703 utterances", "train-clean-100: 2 of 28539 utterances"]


def test_librispeech_audio_and_transcripts_agree(tmp_path: Path) -> None:
    root = trees.tree("librispeech", tmp_path)
    chapter = root / "LibriSpeech/train-clean-100/19/198"
    (chapter / "19-198-0001.flac").rename(chapter / "19-198-0002.flac")
    with pytest.raises(SerError, match=r"no audio 19-198-0001\.flac"):
        list(librispeech.utterances(root))
    trees.write(chapter / "19-198.trans.txt", "19-198-0000 NORTHANGER ABBEY\n")
    with pytest.raises(SerError, match=r"no line 19-198-0002.*19-198\.trans\.txt"):
        list(librispeech.utterances(root))
    trees.write(chapter / "19-198.trans.txt", "19-198-0000 NORTHANGER ABBEY\n\n19-198-0002\n")
    with pytest.raises(SerError, match=r"has no text.*19-198\.trans\.txt:3"):
        list(librispeech.utterances(root))
    (chapter / "19-198.trans.txt").unlink()
    with pytest.raises(SerError, match="chapter without its transcript"):
        list(librispeech.utterances(root))


@pytest.mark.real
def test_librispeech_real_subset(real_librispeech: Path) -> None:
    found = list(librispeech.utterances(real_librispeech))
    assert len(found) == 367
    assert sum(len(u.text.split()) for u in found) == 10420
    assert librispeech.incomplete(u.file for u in found) == ["train-clean-100: 367 of 28539 utterances"]


# ---- SEWA


def test_sewa_recordings(tmp_path: Path) -> None:
    found = list(sewa.utterances(trees.tree("sewa", tmp_path)))
    assert [(u.id, u.speaker, u.partition, u.labels) for u in found] == [
        ("Devel_01", "Devel_01", "dev", "labels/Devel_01.csv"),
        ("Test_01", "Test_01", "test", ""),
        ("Train_01", "Train_01", "train", "labels/Train_01.csv"),
    ]


def test_sewa_cultures(tmp_path: Path) -> None:
    root = trees.tree(
        "sewa", tmp_path, ("Train_DE_01", "Train_HU_01", "Test_DE_01"), "name;timestamp;arousal;valence;liking\n"
    )
    assert [u.id for u in sewa.utterances(root)] == ["Test_DE_01", "Train_DE_01"]
    both = sewa.utterances(root, sewa.Config(cultures=("DE", "HU"), partitions=("train",)))
    assert [u.id for u in both] == ["Train_DE_01", "Train_HU_01"]
    assert sewa.expected(sewa.Config(cultures=("DE", "HU"))).counts == {}


def test_sewa_faults(tmp_path: Path) -> None:
    root = trees.tree("sewa", tmp_path)
    (root / "labels/Devel_01.csv").unlink()
    with pytest.raises(SerError, match="recording Devel_01 has no labels"):
        list(sewa.utterances(root))
    trees.sound(root / "audio/Recording_1.wav")
    with pytest.raises(SerError, match="not a file name of SEWA"):
        list(sewa.utterances(root, sewa.Config(partitions=("test",))))


@pytest.mark.parametrize(
    "text",
    [
        "'Train_01';0.0;0.1;-0.2;0.3\n'Train_01';0.1;0.4;-0.5;0.6\n",
        "name;timestamp;arousal;valence;liking\nTrain_01;0.0;0.1;-0.2;0.3\r\nTrain_01;0.1;0.4;-0.5;0.6\r\n",
        "0.0,0.1,-0.2,0.3\n0.1,0.4,-0.5,0.6\n",
        '"Train_01","0.0","0.1","-0.2","0.3"\n\n"Train_01","0.1","0.4","-0.5","0.6"',
    ],
)
def test_sewa_labels(tmp_path: Path, text: str) -> None:
    times, values = sewa.read_labels(trees.write(tmp_path / "l.csv", text))
    np.testing.assert_array_equal(times, [0.0, 0.1])
    np.testing.assert_array_equal(values, [[0.1, -0.2, 0.3], [0.4, -0.5, 0.6]])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("'a';0.0;1;1;1\n'a';0.1;1;1\n", r"'a' is not a number \(.*l\.csv:2"),
        ("'a';0.0;1;1;1\n0.1;1\n", r"expected 4 numbers, got 2 fields \(.*l\.csv:2"),
        ("'a';0.0;1;x;1\n", r"'x' is not a number \(.*l\.csv:1"),
        ("'a';0.0;1;nan;1\n", r"'nan' is not a finite number \(.*l\.csv:1"),
        ("name;time;a;v;l\n", "no labels in the file"),
    ],
)
def test_sewa_faulty_labels(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(SerError, match=fault):
        sewa.read_labels(trees.write(tmp_path / "l.csv", text))


def test_sewa_sentences_of_a_recording_that_is_no_audio(tmp_path: Path) -> None:
    root = trees.tree("sewa", tmp_path)
    recordings = [u for u in sewa.utterances(root) if u.id == "Train_01"]
    (root / "audio/Train_01.wav").write_bytes(b"RIFF")
    with pytest.raises(SerError, match=r"damaged file: .*Train_01\.wav.*Get this file again"):
        list(sewa.sentences(root, recordings))


def test_sewa_turns_and_transcription(tmp_path: Path) -> None:
    root = trees.tree("sewa", tmp_path)
    assert sewa.read_turns(root / "turns/Train_01.csv") == [(0.5, 2.25), (3.0, 4.0)]
    assert sewa.read_transcription(root / "transcriptions/Train_01.csv") == [(0.5, 2.25, "Schön; <laughter>")]
    assert sewa.read_turns(trees.write(root / "turns/b.csv", "start;end\n1;2\n")) == [(1.0, 2.0)]
    with pytest.raises(SerError, match=r"missing file of SEWA.*c\.csv"):
        sewa.read_turns(root / "turns/c.csv")


def test_sewa_drops_and_counts_what_true_copies_have(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = trees.tree("sewa", tmp_path)
    trees.sound(root / "audio/Train_01.wav", seconds=4)
    trees.write(root / "turns/Train_01.csv", "1;2\n3;2.5\n3.5;4\n")
    text = "0.5;2.25;'Schön,\nwirklich; sehr'\n2;1;'ost'\n9;10;'zu spät'\n3;3.5;'ja'\n"
    trees.write(root / "transcriptions/Train_01.csv", text)
    train = [u for u in sewa.utterances(root) if u.id == "Train_01"]
    assert list(sewa.turns(root, train)) == [("Train_01", [(1.0, 2.0), (3.5, 4.0)])]
    assert list(sewa.sentences(root, train)) == [("Train_01", [(0.5, 2.25, "Schön,"), (3.0, 3.5, "ja")])]
    warnings = capsys.readouterr().err.splitlines()
    reasons = ("end before they start", "have no times", "end before they start", "start after the audio")
    assert [f"1 rows that {reason}" in line for reason, line in zip(reasons, warnings, strict=True)] == [True] * 4


def test_sewa_labels_off_the_grid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "'a';{};1;0;0\n'a';{};2;0;0\n'a';{};3;0;0\n"
    times, values = sewa.read_labels(trees.write(tmp_path / "l.csv", rows.format(0.0, 0.104, 0.2)))
    np.testing.assert_allclose(times, [0.0, 0.1, 0.2])
    assert values[:, 0].tolist() == [1, 2, 3]
    assert "1 of 3 rows of labels are off the grid" in capsys.readouterr().err
    times, _ = sewa.read_labels(trees.write(tmp_path / "l.csv", rows.format(0.0, 0.04, 0.08)))  # of another rate
    assert times.tolist() == [0.0, 0.04, 0.08]


def test_sewa_without_the_test_audio(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"Train_{i:02d}" for i in range(1, 35)] + [f"Devel_{i:02d}" for i in range(1, 15)]
    root = trees.tree("sewa", tmp_path, tuple(names))
    found = tables.utterances(sewa, Location(root, False), sewa.Config())
    assert len(found) == 48
    assert "no audio of the test part" in capsys.readouterr().err
    (root / "audio/Train_34.wav").unlink()
    with pytest.raises(SerError, match="train: expected 34, found 33"):
        tables.utterances(sewa, Location(root, False), sewa.Config())


# ---- a user's own table


def read(root: Path, text: str, **options: object) -> list:
    trees.write(root / "table.csv", text)
    return list(table.utterances(root, table.Config(**options)))


def test_table_columns(tmp_path: Path) -> None:
    trees.write(tmp_path / "l/x.csv", "")
    text = (
        "File;Speaker;emotion;start;end;gender;split;transcription;session;labels;other\n"
        "a/x.wav;1;joy;0 days 00:00:01.500000;0 days 00:01:02;female;devel;Ja.;s;l/x.csv;?\n"
        ".\\b\\y.wav;2;fear;NaT;;other;;;;;\n"
    )
    first, second = read(tmp_path, text)
    assert (first.id, first.file, first.speaker, first.emotion) == ("a-x-0001500", "a/x.wav", "1", "joy")
    assert (first.start, first.end, first.sex, first.partition) == (1.5, 62.0, "f", "dev")
    assert (first.text, first.session, first.labels) == ("Ja.", "s", "l/x.csv")
    assert (second.id, second.file, second.start, second.sex) == ("b-y", "b/y.wav", None, "")


def test_table_in_another_encoding_and_place(tmp_path: Path) -> None:
    trees.write(tmp_path / "meta/t.csv", "file,speaker,emotion\nx.wav,Jörg,Ärger\n", "iso-8859-1")
    (only,) = table.utterances(tmp_path, table.Config(csv="meta/t.csv"))
    assert (only.speaker, only.emotion, only.file) == ("Jörg", "Ärger", "x.wav")


def test_table_of_tabs(tmp_path: Path) -> None:
    (only,) = read(tmp_path, "file\tspeaker\temotion\ttext\nx.wav\t1\tjoy\tYes, sir.\n")
    assert (only.file, only.speaker, only.emotion, only.text) == ("x.wav", "1", "joy", "Yes, sir.")


def test_table_classes(tmp_path: Path) -> None:
    text = "file,speaker,emotion\nx.wav,1,joy\ny.wav,1,fear\n"
    assert [u.id for u in read(tmp_path, text, classes=("fear",))] == ["y"]
    with pytest.raises(SerError, match=r"no row has the emotion 'fearr'.*Did you mean 'fear'"):
        read(tmp_path, text, classes=("fearr",))
    with pytest.raises(SerError, match=r"no row has the emotion 'FEAR'.*it is 'fear'"):
        read(tmp_path, text, classes=("FEAR",))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("path,who,emotion\n", r"no column 'speaker' \(.*table\.csv:1"),
        ("file,speaker,feeling\n", r"no column 'emotion' \(.*table\.csv:1.*reader\.dimensions"),
        ("file,path,speaker,emotion\n", "two columns 'file'"),
        ("file,speaker,emotion\nx.wav,1\n", r"2 fields under 3 columns \(.*table\.csv:2"),
        ("file,speaker,emotion\nx.wav,,joy\n", r"empty speaker \(.*table\.csv:2"),
        ("file,speaker,emotion\n\nx.wav,1,\n", r"empty emotion \(.*table\.csv:3\).*reader\.dimensions"),
        ("file,speaker,emotion\n/x.wav,1,joy\n", "'/x.wav' is not below"),
        ("file,speaker,emotion\n../x.wav,1,joy\n", "'../x.wav' is not below"),
        ("file,speaker,emotion\nC:\\x.wav,1,joy\n", "is not below"),
        ("file,speaker,emotion\nx.wav,1,joy\nx.flac,1,joy\n", r"'x' is also in line 2.*:3\).*column utterance"),
        ("file,speaker,emotion,start\nx.wav,1,joy,soon\n", r"start 'soon' is not a time in seconds \(.*table\.csv:2"),
        ("file,speaker,emotion,start\nx.wav,1,joy,-1\n", "start '-1' is not a time"),
        ("file,speaker,emotion,split\nx.wav,1,joy,trian\n", r"'trian' is none of train, dev, test.*mean 'train'"),
        ("file,speaker,emotion,labels\nx.wav,1,joy,l.csv\n", r"no file of labels 'l\.csv' \(.*table\.csv:2"),
        ("file,speaker,emotion,id\nx.wav,1,joy,a b\n", r"id 'a b' is not safe .*table\.csv:2\).*column utterance"),
        ("file,speaker,emotion\na b.wav,1,joy\na_b.wav,1,joy\n", r"'a_b' is also in line 2.*:3\).*column utterance"),
        ('file,speaker,emotion\n"x.wav,1,joy\n', "not a CSV"),
        ("", "no column 'file'"),
        ("file,speaker,emotion\n.,1,joy\n", r"'\.' is not the name of a file \(.*table\.csv:2"),
        ("file,speaker,emotion\nx\0.wav,1,joy\n", r"file 'x\\x00\.wav' has a control character \(.*:2\)"),
        ('file,speaker,emotion\nx.wav,"a\nb",joy\n', r"speaker 'a\\nb' has a control character \(.*:3\)"),
        ("file,speaker,emotion\nx.wav,NaN,joy\n", r"empty speaker \(.*table\.csv:2"),
        ("file,speaker,emotion\nx.wav,1,joy\ny.wav,1.0,joy\n", r"speaker '1\.0' is also spelt '1' in line 2"),
        ("file,speaker,emotion\nx.wav,1,Happy\ny.wav,1,happy\n", r"'happy' is also spelt 'Happy' in line 2 \(.*:3"),
        ("file,speaker,emotion\nx.wav,1,joy\ny.wav,1,j\u200boy\n", r"emotion 'j\\u200boy' is also spelt 'joy'"),
        ("file,speaker,emotion\nx.wav,J\u00f6,joy\ny.wav,Jo\u0308,joy\n", r"speaker .*is also spelt .* in line 2"),
        ("file,speaker,emotion\nx.wav,Anna B,joy\ny.wav,ANNA  b,joy\n", "speaker 'ANNA b' is also spelt 'Anna B'"),
    ],
)  # fmt: skip
def test_table_faults_name_the_line(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(SerError, match=fault):
        read(tmp_path, text)


def test_table_merges_spellings_when_asked_to(tmp_path: Path) -> None:
    text = "file,speaker,emotion\nx.wav,Anna,Joy\ny.wav,anna,joy\nz.wav,Bob,JOY\n"
    merged = read(tmp_path, text, merge_spellings=True)
    assert [(u.id, u.speaker, u.emotion) for u in merged] == [
        ("x", "Anna", "Joy"),
        ("y", "Anna", "Joy"),
        ("z", "Bob", "Joy"),
    ]


def test_table_ids_of_files_with_odd_names(tmp_path: Path) -> None:
    text = "file,speaker,emotion\nmy takes/Anna (1).wav,1,joy\n-x.wav,1,joy\nJörg=2.wav,1,joy\n"
    assert [u.id for u in read(tmp_path, text)] == ["Jörg_2", "_x", "my_takes-Anna__1_"]


def test_table_accents_are_written_as_on_the_disk(tmp_path: Path) -> None:
    trees.write(tmp_path / "Jo\u0308rg.wav", "")
    (only,) = read(tmp_path, "file,speaker,emotion\nJ\u00f6rg.wav,1,joy\n")
    assert (tmp_path / only.file).is_file()


def test_table_words_for_a_missing_value_are_missing_values(tmp_path: Path) -> None:
    text = "file,speaker,emotion,start,session,text\nx.wav,NA,joy,nan,<NA>,null\n"
    (only,) = read(tmp_path, text)
    assert (only.speaker, only.start, only.session, only.text) == ("NA", None, "", "null")


def test_table_of_continuous_labels(tmp_path: Path) -> None:
    trees.write(tmp_path / "l/x.csv", "")
    text = "file,speaker,labels,emotion\nx.wav,1,l/x.csv,\n"
    (only,) = read(tmp_path, text, dimensions=("arousal",))
    assert (only.labels, only.emotion) == ("l/x.csv", "")
    with pytest.raises(SerError, match=r"empty labels \(.*table\.csv:3"):
        read(tmp_path, text + "y.wav,1,,joy\n", dimensions=("arousal",))
    with pytest.raises(SerError, match=r"no column 'labels' \(.*table\.csv:1"):
        read(tmp_path, "file,speaker,emotion\nx.wav,1,joy\n", dimensions=("arousal",))


def test_table_card_follows_the_dimensions() -> None:
    made = table.expected(table.Config(dimensions=("valence", "arousal")))
    assert (made.task, made.dimensions) == ("continuous", ("valence", "arousal"))
    assert table.expected(table.Config()) == table.CARD


@pytest.mark.parametrize(
    "options",
    [{"dimensions": ["a"], "classes": ["b"]}, *({"dimensions": d} for d in (["a", "A"], ["row"], ["a,b"]))],
)
def test_table_dimensions_that_cannot_be(options: dict) -> None:
    with pytest.raises(SerError, match=r"dimensions.*corpora\.table\.reader"):
        plugins.build(table.Config, options, "corpora.table.reader")


@pytest.mark.parametrize(
    "text",
    [
        "time,arousal,valence\n0.0,0.1,-0.2\n0.1,0.4,-0.5\n",
        "Valence;rater;AROUSAL;Time\r\n-0.2;x;0.1;0.0\r\n\r\n-0.5;y;0.4;0.1\r\n",
    ],
)
def test_table_labels(tmp_path: Path, text: str) -> None:
    config = table.Config(dimensions=("arousal", "valence"))
    times, values = table.read_labels(trees.write(tmp_path / "l.csv", text), config)
    np.testing.assert_array_equal(times, [0.0, 0.1])
    np.testing.assert_array_equal(values, [[0.1, -0.2], [0.4, -0.5]])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("0.0,0.1\n0.1,0.2\n", r"no column 'time' \(.*l\.csv:1\)\. Columns there: 0\.0, 0\.1"),
        ("time,valence\n0,1\n", r"no column 'arousal' \(.*l\.csv:1"),
        ("time,arousal,Arousal\n0,1,1\n", r"two columns 'arousal' \(.*l\.csv:1"),
        ("time,arousal\n0,1\n\n0.1,high\n", r"'high' is not a number \(.*l\.csv:4"),
        ("time,arousal\n0,1\n0.1\n", r"1 fields under 2 columns \(.*l\.csv:3"),
        ("time,arousal\n", "no labels in the file"),
        ("", "no column 'time'.*none"),
    ],
)
def test_table_faulty_labels(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(SerError, match=fault):
        table.read_labels(trees.write(tmp_path / "l.csv", text), table.Config(dimensions=("arousal",)))


def test_spoken_wikipedia_gives_sentences_and_the_times_of_their_words(tmp_path, capsys):
    root = spoken_wikipedia.example(tmp_path / "swc")
    found = list(spoken_wikipedia.utterances(root))
    assert [(u.id, u.speaker, u.start, u.end, u.text) for u in found] == [
        ("Hund-00000", "Anna", 0.1, 0.7, "der Hund bellt"),
        ("Hund-00002", "Anna", 0.8, 0.99, "ja"),
    ]
    assert {u.file for u in found} == {"german/Hund/audio.ogg"}
    assert dict(spoken_wikipedia.words(root, found)) == {
        "Hund-00000": [Word(0.0, 0.2, "der"), Word(0.2, 0.6, "Hund")],
        "Hund-00002": [Word(0.0, 0.19, "ja")],
    }
    assert "articles whose audio is in several files are left out: 1" in capsys.readouterr().err
    article = root / "german/Hund/aligned.swc"
    article.write_text(article.read_text(encoding="utf-8").replace('"300"', '"soon"'), encoding="utf-8")
    with pytest.raises(SerError, match=r"word 'der' has times '100' and 'soon' .*aligned.swc"):
        list(spoken_wikipedia.utterances(root))
    article.write_text("<article>")
    with pytest.raises(SerError, match="damaged article"):
        list(spoken_wikipedia.utterances(root))
    (root / "german/Hund/audio.ogg").unlink()
    with pytest.raises(SerError, match="article without its audio"):
        list(spoken_wikipedia.utterances(root))
