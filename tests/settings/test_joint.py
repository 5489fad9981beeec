"""Blocks of corpora with a format: several of one reader, and corpora made of several."""

from __future__ import annotations

import pytest

from ser.core.errors import SerError
from ser.settings import check, files
from tests.conftest import ROOT

STUDY = ROOT / "studies/cross_corpus/params.yaml"


@pytest.fixture
def edited(tmp_path):
    def edit(*pairs: tuple[str, str]):
        text = STUDY.read_text()
        for old, new in pairs:
            assert old in text, old
            text = text.replace(old, new, 1)
        path = tmp_path / "params.yaml"
        path.write_text(text)
        return path

    return edit


def test_a_joint_corpus_depends_on_the_blocks_of_its_members(edited):
    study = check.read(edited())
    made = files.files(study)
    members = made["download/both"]["members"]
    assert {name: block["format"] for name, block in members.items()} == {"emodb": "emodb", "ravdess": "ravdess"}
    assert made["corpus/both"]["joint"]["of"] == ["emodb", "ravdess"]
    assert "joint" not in made["corpus/emodb"]
    other = files.files(
        check.read(edited(("  ravdess:\n    source: real", "  ravdess:\n    source: real\n    reader: {rates: []}")))
    )
    changed = {name for name in made if made[name] != other[name]}
    assert changed == {"download/ravdess", "download/both", "download/ravdess4"}


def test_the_report_names_all_licences(edited):
    corpora = files.files(check.read(edited()))["report"]["corpora"]
    assert corpora["both"]["licence"] == f"{corpora['emodb']['licence']}; {corpora['ravdess']['licence']}"
    assert corpora["both"]["shareable"] is (corpora["emodb"]["shareable"] and corpora["ravdess"]["shareable"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("      - ravdess\n", "      - ravdes\n", r"key corpora.both.reader"),
        ("          anger: anger", "          angry: anger", r"unknown label of emodb 'angry' .*labels.emodb.*'anger'"),
        ("format: joint", "format: jont", r"unknown corpus 'jont' .*key corpora.both.format\)\. Did you mean 'joint'"),
        ("      - emodb\n      - ravdess", "      - emodb\n      - emodb4", r"has no table of emodb4"),
        (
            "  ravdess:\n    source: real",
            "  ravdess:\n    source: synthetic",
            r"both is real, its member ravdess is synth",
        ),
        ("      of:\n", "      off:\n", r"unknown key 'off'.*key corpora.both.reader.off\).*'of'"),
    ],
)
def test_a_fault_is_one_line_that_names_the_key(edited, old, new, message):
    with pytest.raises(SerError) as caught:
        check.read(edited((old, new)))
    found = [str(e) for e in caught.value.errors]
    import re

    assert [line for line in found if re.search(message, line)], found
    assert not [line for line in found if "\n" in line]


def test_several_corpora_of_one_reader(edited):
    blocks = "  mine:\n    source: real\n    format: table\n    reader:\n      csv: a.csv\n"
    blocks += "  theirs:\n    source: real\n    format: table\n    reader:\n      csv: b.csv\n  both: #"
    made = files.files(check.read(edited(("  both: #", blocks))))
    assert made["download/mine"]["format"] == made["download/theirs"]["format"] == "table"
    assert made["download/mine"]["reader"] == {"csv": "a.csv"}
    assert made["download/mine"]["code"] == made["download/theirs"]["code"]


def test_a_joint_corpus_is_not_for_pretraining(edited):
    block = "pretraining:\n  x:\n    corpus: both\n    feature: logmel\n    steps: 10\n"
    with pytest.raises(SerError, match=r"both is made of several corpora .*key pretraining.x.corpus"):
        check.read(edited(("pretraining: {}\n", block)))
