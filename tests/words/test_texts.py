from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from ser.core.errors import SerError
from ser.words import diagnostics, occurrences, texts, word2vec
from ser.words.config import Word2Vec
from tests.conftest import ROOT
from tests.words.test_occurrences import _folder

ALL = Word2Vec(min_words=1, min_letters=1)


def test_sentences_of_text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("Der Hund, so alt, bellt nachts laut. Ja! Es kostet 3 Euro\nÄhm don’t X2 go_on", encoding="utf-8")
    found = texts.sentences([path], ALL)
    assert found == [
        ["der", "hund", "so", "alt", "bellt", "nachts", "laut"],
        ["ja"],
        ["es", "kostet", "euro"],
        ["ähm", "don't", "x", "go", "on"],
    ]
    assert texts.sentences([path], Word2Vec()) == [found[0]]  # more than 5 words
    assert texts.sentences([path], Word2Vec(min_words=1))[-1] == ["ähm", "don't", "go", "on"]
    with pytest.raises(SerError, match="no such text"):
        texts.sentences([tmp_path / "none.txt"], ALL)


def test_a_text_of_another_system(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes("Schöne Grüße\r\naus Köln\rund Bonn".encode("iso-8859-1"))
    assert texts.sentences([path], ALL) == [["schöne", "grüße"], ["aus", "köln"], ["und", "bonn"]]


def test_sentences_of_a_manifest(tmp_path):
    folder = _folder(tmp_path, {"a": "ONE TWO", "b": "THREE"}, [("a", 0.0, 0.1, "spoken")])
    assert texts.sentences([folder], ALL) == [["one", "two"], ["three"]]
    assert texts.sentences([folder], ALL, only={"b"}) == [["three"]]
    aligned = [("b", 0.0, 0.1, "second"), ("a", 0.2, 0.3, "words"), ("a", 0.0, 0.1, "Aligned")]
    (tmp_path / "silent").mkdir()
    silent = _folder(tmp_path / "silent", {"a": "", "b": ""}, aligned)
    assert texts.sentences([silent], ALL) == [["aligned", "words"], ["second"]]
    assert texts.sentences([silent], ALL, only={"b"}) == [["second"]]
    guessed = pd.DataFrame([("b", 0.0, 0.1, "guess"), ("a", 0.0, 0.1, "other")], columns=list(occurrences.COLUMNS))
    assert texts.sentences([silent], ALL, {"b"}, guessed) == [["guess"]]
    assert texts.sentences([folder], ALL, {"b"}, guessed) == [["three"]]  # there is a transcript


def test_sentences_of_spoken_wikipedia(tmp_path):
    article = tmp_path / "german" / "Hund"
    article.mkdir(parents=True)
    (article / "aligned.swc").write_text(
        '<article><meta/><d><section><p><s><t>Der<n pronunciation="der" start="10" end="200"/></t>'
        '<t>Hund<n pronunciation="Hund"/></t><t>.</t></s><s><t>1939<n pronunciation="neunzehnhundert"/>'
        '<n pronunciation="neununddreißig"/></t></s></p></section></d></article>',
        encoding="utf-8",
    )
    assert texts.sentences([tmp_path], ALL) == [["der", "hund"], ["neunzehnhundert", "neununddreißig"]]
    (article / "aligned.swc").write_text("<article>")
    with pytest.raises(SerError, match="damaged article"):
        texts.sentences([tmp_path], ALL)
    (article / "aligned.swc").unlink()
    with pytest.raises(SerError, match="neither a manifest nor articles"):
        texts.sentences([tmp_path], ALL)


def test_synthetic_text_and_its_topics(tmp_path):
    """The measure for Word2Vec of the demo: the neighbours of a word belong to its topic."""
    texts.write_synthetic(tmp_path / "text.txt", 12_000)
    sentences = texts.sentences([tmp_path / "text.txt"], Word2Vec(min_words=2))
    assert 11_000 < sum(map(len, sentences)) < 12_100
    made = word2vec.train(sentences, Word2Vec(vector_size=30, min_count=4, negative=5, epochs=15, window=5))
    topics = texts.synthetic_topics()
    found = diagnostics.purity(made, topics)
    assert found["words"] > 200
    assert found["purity"] > 0.7 > 5 * found["chance"]
    assert list(made.counts) == sorted(made.counts, reverse=True)
    shuffled = {w: t for w, t in zip(topics, np.random.default_rng(0).permutation(list(topics.values())), strict=True)}
    assert diagnostics.purity(made, shuffled)["purity"] < 2 * found["chance"]


CHILD = """
import sys
from pathlib import Path
from ser.words import vectors, word2vec
from ser.words.config import Word2Vec
sentences = [["one", "two", "three", "four"], ["four", "two", "one"]] * 20
vectors.save(Path(sys.argv[1]), word2vec.train(sentences, Word2Vec(vector_size=8, min_count=2, epochs=3)), {})
"""


def test_equal_bytes_whatever_pythons_hashes_are(tmp_path):
    for seed in "12":
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT / "src")}
        subprocess.run([sys.executable, "-c", CHILD, tmp_path / seed], check=True, env=environment, timeout=60)
    for name in ("vectors.safetensors", "card.json"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_too_little_text():
    with pytest.raises(SerError, match=r"0 words occur 7 times in 1 sentences"):
        word2vec.train([["a", "b"]], Word2Vec())


def test_ready_vectors_are_read_in_place_of_a_training(tmp_path):
    path = tmp_path / "wiki.vec"
    path.write_text("3 2\nder 1 2\ndie 3 4\nöl 5 6\n", encoding="utf-8")
    found = word2vec.train([], Word2Vec(vectors=str(path), vector_size=2))
    assert found.words == ("der", "die", "öl")
    assert found.matrix.tolist() == [[1, 2], [3, 4], [5, 6]]
    with pytest.raises(SerError, match=r"the vectors have 2 columns, not 100 \(.*wiki.vec\). Set word2vec.vector_size"):
        word2vec.train([], Word2Vec(vectors=str(path)))
    for text in ("", "der 1 2\n", "3 2\nder 1\n", "2 2\nder 1 2\n"):
        path.write_text(text)
        with pytest.raises(SerError, match=r"not a file of word vectors.*wiki.vec"):
            word2vec.train([], Word2Vec(vectors=str(path), vector_size=2))
    with pytest.raises(SerError, match="not a file of word vectors"):
        word2vec.train([], Word2Vec(vectors=str(tmp_path / "gone"), vector_size=2))
