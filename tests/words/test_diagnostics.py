from __future__ import annotations

import numpy as np
import pytest

from ser.core.errors import SerError
from ser.words import diagnostics, vectors
from ser.words.vectors import Vectors


def _vectors(words, matrix):
    return Vectors(tuple(words), np.asarray(matrix, dtype=np.float32), np.ones(len(words), dtype=np.int64))


def test_translation_counts_ranks():
    """On a circle the text of word i is i steps of 0.01 rad away: its rank by cosine is known."""
    angles = np.arange(20) * 0.3
    text = np.stack([np.cos(angles), np.sin(angles)], 1)
    turn = angles + np.array([0.0] * 10 + [0.31] * 10)  # ten are right, ten hit the next word, the own one is second
    mapped = np.stack([np.cos(turn), np.sin(turn)], 1)
    pairs = np.stack([np.arange(20)] * 2, 1)
    found = diagnostics.translation(mapped, text, pairs[:19], None)
    assert found["precision@1"] == pytest.approx(10 / 19)
    assert found["precision@5"] == 1.0
    assert (found["words"], found["chance@1"]) == (19, 1 / 20)
    assert diagnostics.translation(mapped, text, pairs[:0])["precision@1"] is None


def test_hubness_is_the_skewness_of_the_counts():
    text = vectors.unit(np.random.default_rng(0).normal(size=(50, 3)))
    assert diagnostics.hubness(text, text, 1) == 0.0  # everyone is its own neighbour
    hub = np.tile(text[:1], (50, 1))  # all choose word 0: N = (50, 0, ...), closed form of a single spike
    n = 50
    expected = (n - 2) / np.sqrt(n - 1)
    assert diagnostics.hubness(hub, text, 1) == pytest.approx(expected)


def test_purity():
    words = [f"{t}{i}" for t in "abc" for i in range(4)] + ["none"]
    topics = {w: w[0] for w in words[:12]}
    matrix = np.concatenate([np.repeat(np.eye(3), 4, axis=0), np.ones((1, 3))])
    found = diagnostics.purity(_vectors(words, matrix), topics, 3)
    assert found == {"words": 12, "purity": 1.0, "chance": pytest.approx(3 / 11)}
    mixed = diagnostics.purity(_vectors(words, np.roll(matrix, 1, axis=0)[:13]), topics, 3)
    assert mixed["purity"] < 1
    assert diagnostics.purity(_vectors(words, matrix), {})["purity"] is None


def test_a_list_of_word_similarities(tmp_path):
    angles = np.array([0, 0.1, 0.5, 1.2])
    space = _vectors("abcd", np.stack([np.cos(angles), np.sin(angles)], 1))
    path = tmp_path / "list.csv"
    path.write_text("word1,word2,score\nA,b,9\na,c,5\na,d,1\na,zebra,3\n")
    found = diagnostics.similarity(space, path)
    assert found == {"pairs": 3, "of": 4, "spearman": pytest.approx(1.0)}
    path.write_text("a\tb\t1\na\tc\t5\na\td\t9\n")
    assert diagnostics.similarity(space, path)["spearman"] == pytest.approx(-1.0)
    path.write_text("a b 1\na c much\n")
    with pytest.raises(SerError, match=r"expected word, word, number \(.*:2\)"):
        diagnostics.similarity(space, path)


def test_agreement_is_blind_to_rotation_and_sees_noise():
    g = np.random.default_rng(0)
    words = [f"w{i}" for i in range(60)]
    a = _vectors(words, g.normal(size=(60, 8)))
    q = np.linalg.qr(g.normal(size=(8, 8)))[0]
    assert diagnostics.agreement(a, a.replaced(a.matrix @ q))["spearman"] == pytest.approx(1.0, abs=1e-4)
    assert abs(diagnostics.agreement(a, vectors.random(a, 1))["spearman"]) < 0.1
    assert diagnostics.agreement(a, _vectors(words[:2], a.matrix[:2]))["spearman"] is None


def test_words_are_shuffled_within_a_speaker():
    words, speakers = [f"w{i}" for i in range(40)], ["a", "b"] * 20
    mixed = diagnostics.shuffled(words, speakers)
    assert set(mixed[::2]) == set(words[::2])
    assert set(mixed[1::2]) == set(words[1::2])
    assert sum(a == b for a, b in zip(words, mixed, strict=True)) < 10


def test_spelling_shows_vectors_of_letters():
    g = np.random.default_rng(0)
    words = ["".join(g.choice(list("abcdefgh"), 5)) for _ in range(80)]
    letters = np.array([[w.count(c) for c in "abcdefgh"] for w in words])
    assert diagnostics.spelling(_vectors(words, letters))["spearman"] > 0.5
    assert abs(diagnostics.spelling(_vectors(words, g.normal(size=(80, 8))))["spearman"]) < 0.1


def test_same_word():
    words = ["a", "a", "b", "b", "c"]
    embeddings = np.array([[1, 0], [1, 0.01], [0, 1], [0.01, 1], [-1, -1.0]])
    found = diagnostics.same_word(embeddings, words)
    assert found["same"] == pytest.approx(4 / 5)  # c has no other token
    assert found["chance"] == pytest.approx(4 / 5 / 4)


def test_random_vectors_belong_to_words():
    one = vectors.random(_vectors("abc", np.zeros((3, 16))), 1)
    two = vectors.random(_vectors("cb", np.zeros((2, 16))), 1)
    np.testing.assert_array_equal(one.matrix[2], two.matrix[0])
    np.testing.assert_allclose(np.linalg.norm(one.matrix, axis=1), 1, atol=1e-6)
    assert not np.array_equal(one.matrix, vectors.random(one, 2).matrix)


def test_an_event_tag_has_the_vector_of_its_last_synonym_that_is_known():
    names = ["lachen", "husten", "seufzen", "gejammer"]
    space = vectors.ordered(names, np.arange(8).reshape(4, 2), np.array([9, 8, 7, 6]))
    tags = ["<laughter>", "<coughing>", "<moaning>", "<singing>", "<laughter>"]
    np.testing.assert_array_equal(space.look_up(tags), [[0, 1], [2, 3], [6, 7], [0, 0], [0, 1]])
    heard = vectors.ordered(["<laughter>", "lachen"], np.ones((2, 2)) * [[5], [1]], np.array([2, 1]))
    np.testing.assert_array_equal(heard.look_up(["<laughter>"]), [[5, 5]])  # its own vector comes first


def test_vectors_are_saved_and_looked_up(tmp_path):
    space = vectors.ordered(["x", "b", "a"], np.arange(6).reshape(3, 2), np.array([1, 5, 5]))
    assert space.words == ("a", "b", "x")
    np.testing.assert_array_equal(space.matrix, [[4, 5], [2, 3], [0, 1]])
    vectors.save(tmp_path, space, {"kind": "test"})
    again, card = vectors.load(tmp_path)
    assert (again.words, card) == (space.words, {"kind": "test"})
    np.testing.assert_array_equal(again.look_up(["b", "?"]), [[2, 3], [0, 0]])
    drawn = again.look_up(["?", "b", "?"], "random")
    np.testing.assert_array_equal(drawn[0], drawn[2])
    assert 0 <= drawn[0].min() < drawn[0].max() < 1
    (tmp_path / "vectors.safetensors").write_bytes(b"no")
    with pytest.raises(SerError, match="damaged file"):
        vectors.load(tmp_path)
