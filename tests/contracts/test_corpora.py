"""What every corpus promises, run over every module of ser.corpora.

Most tests need a few files of the corpus, which its reader's function ``example(root)`` or a module of
tests/corpus_trees makes.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ser.core import plugins
from ser.core.errors import SerError
from ser.core.store import Store
from ser.corpora import Card, Utterance, manifest, packing, tables
from ser.corpora.location import Location
from tests import corpus_trees as trees

CORPORA = plugins.names("corpora")


@pytest.fixture(params=CORPORA)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def tree(name: str, tmp_path: Path) -> Path:
    return trees.tree(name, tmp_path / name)


def read(name: str, root: Path, **options: object) -> list[Utterance]:
    module = plugins.load("corpora", name)
    return list(module.utterances(root, plugins.build(module.Config, options, name)))


def test_card_is_complete(name: str) -> None:
    card: Card = plugins.load("corpora", name).CARD
    assert card.name == name
    assert card.title
    assert card.licence
    assert f"ser link {name} PATH" in card.steps
    if card.access != "own":
        assert card.citation
        assert card.homepage.startswith("http")
    assert bool(card.sources) == (card.access == "download")
    assert bool(card.dimensions) == (card.task == "continuous")


def test_options_leave_a_card_of_the_same_corpus(name: str) -> None:
    module = plugins.load("corpora", name)
    made = module.expected(module.Config()) if hasattr(module, "expected") else module.CARD
    assert (made.name, made.task, made.dimensions) == (name, module.CARD.task, module.CARD.dimensions)


def test_counts_of_the_card_add_up(name: str) -> None:
    card: Card = plugins.load("corpora", name).CARD
    if card.counts:
        assert sum(card.counts.values()) == card.utterances
    if card.counts_by_speaker:
        assert len(card.counts_by_speaker) == card.speakers
        for emotion in card.classes:
            assert sum(row[emotion] for row in card.counts_by_speaker.values()) == card.counts[emotion]


def test_options_have_defaults_and_states_rates(name: str) -> None:
    config = plugins.load("corpora", name).Config
    assert config.__dataclass_params__.frozen
    assert {"rates", "assume_rate"} <= set(plugins.keys("corpora", name))
    assert config().assume_rate is None


def test_utterances_are_sorted_unique_and_there(name: str, tree: Path) -> None:
    found = read(name, tree)
    ids = [u.id for u in found]
    assert ids == sorted(set(ids))
    for utterance in found:
        assert utterance.speaker
        assert (tree / utterance.file).is_file()
        assert utterance.sex in ("f", "m", "")
        assert re.fullmatch(r"(train|dev|test|(\d+:(train|dev|test) ?)+)?", utterance.partition)
        assert not utterance.labels or (tree / utterance.labels).is_file()


def test_classes_are_those_of_the_card(name: str, tree: Path) -> None:
    card: Card = plugins.load("corpora", name).CARD
    if card.classes:
        assert {u.emotion for u in read(name, tree)} <= set(card.classes)


def test_manifest_survives_the_disk(name: str, tree: Path, tmp_path: Path) -> None:
    config = plugins.load("corpora", name).Config()
    packing.pack(name, Location(tree, True), config, tmp_path / "packed", rate=8000)
    made = manifest.read(tmp_path / "packed/utterances.csv")
    manifest.write(made, tmp_path / "manifest.csv")
    assert (tmp_path / "manifest.csv").read_bytes() == (tmp_path / "packed/utterances.csv").read_bytes()
    assert list(made.columns) == list(manifest.COLUMNS)
    assert (made["duration"] > 0).all()
    assert Store(tmp_path / "packed/audio").utterances == list(made["utterance"])


@pytest.mark.parametrize("what", ["words", "turns", "sentences"])
def test_times_are_in_order(name: str, what: str, tree: Path) -> None:
    module = plugins.load("corpora", name)
    if not hasattr(module, what):
        pytest.skip(f"has no {what}")
    config = module.Config()
    found = tables.timed(module, tree, tables.utterances(module, Location(tree, True), config))[what]
    assert len(found), f"the hand-made files contain no {what}"
    for _, rows in found.groupby("utterance"):
        assert rows["start"].is_monotonic_increasing
        assert (rows["start"] < rows["end"]).all()
    if what == "words":
        assert (found["word"] == found["word"].str.strip()).all()
        assert (found["word"] != "").all()


@pytest.mark.parametrize("prepare", [lambda root: None, Path.mkdir], ids=["missing", "empty"])
def test_no_corpus_is_one_line_that_says_what_to_do(name: str, tmp_path: Path, prepare: Callable[[Path], None]) -> None:
    root = tmp_path / "none"
    prepare(root)
    with pytest.raises(SerError, match=f"ser link {name} PATH") as caught:
        read(name, root)
    assert str(root) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unfinished_download_is_not_read(name: str, tree: Path) -> None:
    (tree / ".archive.zip.part").touch()
    with pytest.raises(SerError, match="unfinished download"):
        read(name, tree)


def test_licensed_corpora_are_not_downloaded(name: str, tmp_path: Path) -> None:
    module = plugins.load("corpora", name)
    if module.CARD.access == "download":
        pytest.skip("is downloaded")
    with pytest.raises(SerError, match=f"cannot be downloaded.*ser link {name} PATH"):
        module.download(tmp_path / name, module.Config())
    assert not (tmp_path / name).exists()


def test_config_is_a_plain_dataclass(name: str) -> None:
    config = plugins.load("corpora", name).Config()
    assert dataclasses.replace(config, assume_rate=8000).assume_rate == 8000
