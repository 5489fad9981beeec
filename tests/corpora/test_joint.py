"""Joint corpora: labels by an explicit table, speakers that are never merged, audio as each corpus packs it alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ser.core import plugins
from ser.core.errors import SerError
from ser.core.files import read_json, write_json
from ser.core.store import Store
from ser.corpora import joint, location, manifest, overview, packing, source, table
from ser.corpora.location import Location
from tests import corpus_trees as trees

LABELS = {"one": {"joy": "happiness", "fear": "fear"}, "two": {"happy": "happiness"}}


def member(name: str, root: Path, rows: str, rate: int = 16000) -> joint.Member:
    """A corpus of a table; every row of it has a sound of its own."""
    for k, row in enumerate(rows.splitlines()):
        trees.sound(root / name / row.split(",")[0], rate, seconds=0.1 + 0.01 * k)
    trees.write(root / name / "table.csv", f"file,speaker,emotion\n{rows}\n")
    return joint.Member(name, table, table.Config(), Location(root / name, False))


@pytest.fixture
def two(tmp_path: Path) -> list[joint.Member]:
    first = member("one", tmp_path, "a.wav,s1,joy\nb.wav,s1,fear\nc.wav,s2,anger")
    return [first, member("two", tmp_path, "a.wav,s1,happy\nd.wav,s3,calm\ne.wav,s3,calm", rate=8000)]


def test_labels_ids_and_speakers(two: list[joint.Member], tmp_path: Path) -> None:
    line = joint.pack("both", two, joint.Config(("one", "two"), LABELS), tmp_path / "out", 8000)
    made = manifest.read(tmp_path / "out/utterances.csv")
    assert made[["utterance", "corpus", "speaker", "emotion", "file", "rate"]].values.tolist() == [
        ["one.a", "one", "one.s1", "happiness", "a.wav", 16000],
        ["one.b", "one", "one.s1", "fear", "b.wav", 16000],
        ["two.a", "two", "two.s1", "happiness", "a.wav", 8000],
    ]
    card = read_json(tmp_path / "out/card.json")
    assert card["outputs"] == ["happiness", "fear"]
    assert card["dropped"] == {"one": {"anger": 1}, "two": {"calm": 2}}
    assert "one 2 utterances, 1 speakers, dropped: anger 1; two 1 utterances, 1 speakers, dropped: calm 2" in line


def test_audio_is_what_each_corpus_packs_alone(two: list[joint.Member], tmp_path: Path) -> None:
    joint.pack("both", two, joint.Config(("one", "two"), LABELS), tmp_path / "out", 8000, jobs=2)
    joined = Store(tmp_path / "out/audio")
    for name, module, config, place in two:
        packing.pack(name, place, config, tmp_path / name / "alone", 8000, reader=module.CARD.name)
        alone = Store(tmp_path / name / "alone/audio")
        for utterance in alone.utterances:
            if f"{name}.{utterance}" in joined:
                np.testing.assert_array_equal(joined.read(f"{name}.{utterance}"), alone.read(utterance))
    assert joined.utterances == ["one.a", "one.b", "two.a"]


def test_a_label_that_a_corpus_does_not_have(two: list[joint.Member], tmp_path: Path) -> None:
    labels = {"one": {"joi": "happiness"}, "two": {"happy": "happiness"}}
    with pytest.raises(SerError, match=r"no utterance of one has the label 'joi' \(labels\.one\)\. Did you mean 'joy'"):
        joint.pack("both", two, joint.Config(("one", "two"), labels), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"of": ["a", "a"], "labels": {"a": {"x": "y"}}}, "each once"),
        ({"of": ["a", "b"], "labels": {"a": {"x": "y"}}}, "no table of b"),
        ({"of": ["a"], "labels": {"a": {"x": "y"}, "c": {"x": "y"}}}, "a table of c"),
    ],
)
def test_faulty_options(values: dict, fault: str) -> None:
    with pytest.raises(SerError, match=fault):
        plugins.build(joint.Config, values, "corpora.both.reader")


def test_receipts_of_the_members(two: list[joint.Member], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    parts = {}
    for name in ("one", "two"):
        reader = {"csv": str(tmp_path / name / "table.csv")}
        parts[name] = source.receipt(name, {"format": "table", "source": "real", "reader": reader, "synthetic": {}})
    receipt = {"corpus": "both", "parts": parts}
    assert [m.location for m in joint.members(receipt)] == [m.location for m in two]
    assert not location.changed(receipt)
    trees.write(tmp_path / "two/table.csv", "file,speaker,emotion\na.wav,s9,happy\n")
    assert location.changed(receipt)
    with pytest.raises(SerError, match="corpus two changed since it was checked"):
        joint.members(receipt)


def test_linking_a_member_reads_the_joint_corpus_again(
    two: list[joint.Member], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SER_RAW", str(tmp_path / "raw"))
    for name, formats in (("both", ("table", "emodb")), ("mine", ("table",)), ("other", ("emodb",))):
        write_json(Path(f"data/s/receipts/{name}.json"), {"parts": {f: {"format": f} for f in formats}})
    overview.link("table", tmp_path / "one")
    assert [p.name for p in Path("data/s/receipts").iterdir()] == ["other.json"]


def test_the_card_of_several_corpora_has_all_licences() -> None:
    cards = [plugins.load("corpora", name).CARD for name in ("emodb", "ravdess")]
    made = joint.merged("both", cards)
    assert made.licence == f"{cards[0].licence}; {cards[1].licence}"
    assert made.shareable == all(card.shareable for card in cards)
    assert joint.merged("mine", cards[:1]).title == cards[0].title
