"""Readers of the formats that the field has: audformat, EmoBox, CREMA-D, MSP-Podcast."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ser.core.errors import SerError
from ser.core.files import read_json
from ser.corpora import audformat, crema_d, emobox, manifest, msp_podcast, overview, packing, source
from ser.corpora.location import Location
from ser.protocols import claims
from ser.protocols import emobox as folds_of_the_corpus
from ser.protocols.audit import audit
from tests import corpus_trees as trees

# ---- EmoBox


def test_emobox_utterances(tmp_path: Path) -> None:
    found = {u.id: u for u in emobox.utterances(trees.tree("emobox", tmp_path))}
    assert list(found) == ["mini-a1", "mini-a2", "mini-b1", "mini-b_2"]
    last = found["mini-b_2"]
    assert (last.file, last.speaker, last.emotion) == ("downloads/mini/b2.wav", "RÖTTIG S", "Happy")
    assert (last.start, last.end) == (0.1, 0.3)
    assert found["mini-a1"].emotion == "Neutral"  # the map of EmoBox writes it in another case
    assert [u.partition for u in found.values()] == [
        "1:train 2:test",
        "1:test 2:train",
        "1:test 2:train",
        "1:train 2:dev",
    ]


def test_emobox_folds_and_the_speakers_they_share(tmp_path: Path) -> None:
    root = trees.tree("emobox", tmp_path / "raw")
    packing.pack("mini", Location(root, False), emobox.Config(), tmp_path / "out", reader="emobox")
    table = manifest.read(tmp_path / "out/utterances.csv")
    config = folds_of_the_corpus.Config()
    one, two = made = folds_of_the_corpus.folds(table, config, 1)
    assert (one.name, one.train, one.dev, one.test) == ("fold1", ("mini-a1", "mini-b_2"), (), ("mini-a2", "mini-b1"))
    assert (two.train, two.dev, two.test) == (("mini-a2", "mini-b1"), ("mini-b_2",), ("mini-a1",))
    report = audit(made, table, where="here", **claims(folds_of_the_corpus, config))
    assert any("100 % of test utterances have a speaker of train (speaker-dependent)" in s for s in report.summary())
    claimed = folds_of_the_corpus.Config(speaker_independent=True)
    with pytest.raises(SerError, match="speaker 'male_03' is in two parts of fold 'fold1'"):
        audit(made, table, where="here", **claims(folds_of_the_corpus, claimed))


def test_emobox_counts_are_those_of_its_table() -> None:
    assert len(emobox.COUNTS) == 32
    assert sum(emobox.COUNTS.values()) == 262_020  # the total that EmoBox prints
    assert emobox.expected(emobox.Config(corpus="emodb")).utterances == 535


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        ("mini.jsonl", '{"key": "a"\n', r"not a JSON object: .*mini\.jsonl:1"),
        ("mini.jsonl", '{"key": "a", "emo": "happy"}\n', r"no 'wav' \(.*mini\.jsonl:1"),
        ("mini.jsonl", '{"key": "a", "wav": "../../x.wav", "emo": "happy"}\n', r"no speaker of 'a'"),
        ("data.seg.wrd.stm", "mini-a1 1 x 0 1 <id=mini-a1,lang=en,spk=x,emotion=y> y\n", "no speaker of 'mini-a2'"),
    ],
)
def test_emobox_faults(tmp_path: Path, file: str, text: str, fault: str) -> None:
    root = trees.tree("emobox", tmp_path)
    trees.write(root / "data/mini" / file, text)
    with pytest.raises(SerError, match=fault):
        list(emobox.utterances(root))


def test_emobox_times_are_seconds_and_other_folders_no_folds(tmp_path: Path) -> None:
    root = trees.tree("emobox", tmp_path)
    (root / "data/mini/fold_old").mkdir()
    assert {u.partition for u in emobox.utterances(root)} >= {"1:train 2:test"}
    path = root / "data/mini/mini.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace("0.1", '"soon"'), encoding="utf-8")
    with pytest.raises(SerError, match=r"start_time 'soon' is not a time in seconds \(.*mini\.jsonl:4"):
        list(emobox.utterances(root))


def test_emobox_corpora_of_a_copy(tmp_path: Path) -> None:
    root = trees.tree("emobox", tmp_path)
    with pytest.raises(SerError, match=r"no corpus 'mimi'.*Did you mean 'mini'"):
        list(emobox.utterances(root, emobox.Config(corpus="mimi")))
    trees.write(root / "data/other/other.jsonl", "")
    with pytest.raises(SerError, match=r"which of its corpora is not said.*Known: mini, other"):
        list(emobox.utterances(root))


# ---- audformat


def test_audformat_files_and_segments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = list(audformat.utterances(trees.tree("audformat", tmp_path)))
    assert [(u.id, u.speaker, u.sex, u.emotion, u.partition, u.text, u.start, u.end) for u in found] == [
        ("wav-a", "s1", "f", "joy", "train", "Ja, ja.", None, None),
        ("wav-c-0000000", "s2", "m", "fear", "test", "Nein.", 0.0, 0.2),
        ("wav-c-0000200", "s2", "m", "joy", "test", "Nein.", 0.2, 0.4),
    ]
    assert "1 rows without 'emotion' are left out" in capsys.readouterr().err


def test_audformat_tables_and_columns(tmp_path: Path) -> None:
    root = trees.tree("audformat", tmp_path)
    chosen = audformat.Config(tables=("emotion.test",), classes=("joy",))
    assert [u.id for u in audformat.utterances(root, chosen)] == ["wav-c-0000200"]
    for config, fault in (
        (audformat.Config(tables=("emotion.tset",)), "no table 'emotion.tset'.*Did you mean 'emotion.test'"),
        (audformat.Config(emotion="emotoin"), "no table has a column 'emotoin'.*Did you mean 'emotion'"),
        (audformat.Config(speaker="spk"), "no speaker of 'wav/[ac].wav'"),
    ):
        with pytest.raises(SerError, match=fault):
            list(audformat.utterances(root, config))


def test_audformat_faults(tmp_path: Path) -> None:
    root = trees.tree("audformat", tmp_path)
    (root / "db.emotion.test.pkl").touch()
    with pytest.raises(SerError, match=r"pickled table .*db\.emotion\.test\.pkl"):
        list(audformat.utterances(root))
    (root / "db.emotion.test.pkl").unlink()
    (root / "db.emotion.test.csv").unlink()
    with pytest.raises(SerError, match=r"table 'emotion\.test' cannot be read"):
        list(audformat.utterances(root))
    trees.write(root / "db.yaml", "name: [")
    with pytest.raises(SerError, match=r"not a database in audformat.*db\.yaml") as caught:
        list(audformat.utterances(root))
    assert "\n" not in str(caught.value)


# ---- places and links of a user's own corpora


def test_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SER_RAW", str(tmp_path / "raw"))
    for name in ("audformat", "emobox"):
        with pytest.raises(SerError, match=rf"corpora\.mine\.reader\.folder.*ser link {name} PATH"):
            source.ensure("mine", "real", reader=name)
        root = trees.tree(name, tmp_path / "theirs" / name)
        given = source.ensure("mine", "real", {"folder": str(root)}, reader=name)
        assert given == Location(root, False)
        overview.link(name, root)
        assert source.ensure("mine", "real", reader=name) == Location(tmp_path / "raw" / name, False)
        with pytest.raises(SerError, match=r"no .* here"):
            overview.link(name, tmp_path)


# ---- CREMA-D


def test_crema_d(tmp_path: Path) -> None:
    found = list(crema_d.utterances(trees.tree("crema_d", tmp_path)))
    assert [(u.id, u.speaker, u.sex, u.emotion, u.text_id) for u in found] == [
        ("1001_DFA_ANG_XX", "1001", "m", "anger", "DFA"),
        ("1001_IEO_HAP_LO", "1001", "m", "happiness", "IEO"),
        ("1002_TIE_NEU_XX", "1002", "f", "neutral", "TIE"),
    ]
    (tmp_path / "VideoDemographics.csv").unlink()
    assert {u.sex for u in crema_d.utterances(tmp_path)} == {""}
    trees.sound(tmp_path / "AudioWAV/1001_DFA_JOY_XX.wav")
    with pytest.raises(SerError, match=r"not a file name of CREMA-D .*1001_DFA_JOY_XX\.wav"):
        list(crema_d.utterances(tmp_path))


def test_crema_d_counts(tmp_path: Path) -> None:
    location = Location(trees.tree("crema_d", tmp_path / "raw"), False)
    with pytest.raises(SerError, match=r"not the counts of CREMA-D.*neutral: expected 1087, found 1"):
        packing.pack("crema_d", location, crema_d.Config(), tmp_path / "out")


# ---- MSP-Podcast


def test_msp_podcast_emotions(tmp_path: Path) -> None:
    root = trees.tree("msp_podcast", tmp_path)
    found = list(msp_podcast.utterances(root))
    assert [(u.id[-9:], u.speaker, u.emotion, u.partition, u.session) for u in found] == [
        ("0001_0008", "12", "neutral", "train", "MSP-PODCAST_0001"),
        ("0001_0019", "unknown-MSP-PODCAST_0001_0019", "happiness", "train", "MSP-PODCAST_0001"),
        ("0002_0033", "13", "anger", "dev", "MSP-PODCAST_0002"),
        ("0003_0002", "14", "sadness", "test", "MSP-PODCAST_0003"),
    ]
    other = msp_podcast.utterances(root, msp_podcast.Config(classes=("sadness",), test="Test2"))
    assert [u.id for u in other] == ["MSP-PODCAST_0004_0001"]


def test_msp_podcast_dimensions(tmp_path: Path) -> None:
    root = trees.tree("msp_podcast", tmp_path / "raw")
    config = msp_podcast.Config(task="continuous")
    packing.pack("msp_podcast", Location(root, False), config, tmp_path / "out")
    card = read_json(tmp_path / "out/card.json")
    assert (card["task"], card["outputs"]) == ("continuous", ["arousal", "valence", "dominance"])
    times, values = msp_podcast.read_labels(root / "Audios/MSP-PODCAST_0001_0008.wav", config)
    np.testing.assert_allclose(times, [0, 0.1, 0.2])
    np.testing.assert_allclose(values, [[0, 1, -1]] * 3)
    assert len(manifest.read(tmp_path / "out/utterances.csv")) == 5  # X has values, too


def test_msp_podcast_faults(tmp_path: Path) -> None:
    root = trees.tree("msp_podcast", tmp_path)
    trees.write(root / "Labels/labels_consensus.csv", "FileName,EmoClass\n")
    with pytest.raises(SerError, match=r"no column 'EmoAct' \(.*csv:1"):
        list(msp_podcast.utterances(root))
