from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ser.core.errors import SerError
from ser.corpora import manifest
from ser.words import occurrences
from ser.words.config import Occurrences

RATE = 16000


def _folder(path, texts, aligned=None):
    rows = [{"utterance": u, "text": t, "corpus": "x", "synthetic": 1, "partition": "train"} for u, t in texts.items()]
    table = pd.DataFrame(rows).reindex(columns=list(manifest.COLUMNS))
    table[["duration", "rate", "channels"]] = [1.0, RATE, 1]
    manifest.write(table, path / "utterances.csv")
    if aligned is not None:
        pd.DataFrame(aligned, columns=list(occurrences.COLUMNS)).to_csv(path / "words.csv", index=False)
    return path


def _speech(*parts):
    """Noise for each positive number of seconds, silence for each negative one."""
    g = np.random.default_rng(0)
    pieces = [0.1 * g.normal(size=round(s * RATE)) if s > 0 else np.zeros(round(-s * RATE)) for s in parts]
    return np.concatenate(pieces).astype(np.float32)


def test_words_on_the_grid():
    """round(10 s) to round(10 e), both included, later words overwrite (papers.md 7.3)."""
    spans = [(0.0, 0.24), (0.26, 0.6), (0.58, 0.72), (1.1, 9.0), (20.0, 21.0)]
    grid = occurrences.on_grid(spans, 14)
    assert grid.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, -1, -1, -1, 3, 3, 3]
    vectors = np.arange(10, dtype=float).reshape(5, 2) + 1
    stream = occurrences.stream(spans, vectors, 14)
    assert stream.dtype == np.float32
    np.testing.assert_array_equal(stream[6], vectors[2])
    np.testing.assert_array_equal(stream[8:11], 0)
    assert occurrences.stream([], np.zeros((0, 2)), 3).tolist() == [[0, 0]] * 3


def test_speech_and_silence():
    signal = _speech(-0.5, 0.6, -0.1, 0.4, -0.5, 0.5, -0.3)
    found = occurrences.voiced(signal, RATE, Occurrences())
    np.testing.assert_allclose(found, [(0.5, 1.6), (2.1, 2.6)], atol=0.03)  # the short gap is bridged
    apart = occurrences.voiced(signal, RATE, Occurrences(bridge=0.0))
    np.testing.assert_allclose(apart, [(0.5, 1.1), (1.2, 1.6), (2.1, 2.6)], atol=0.03)
    assert occurrences.voiced(np.zeros(RATE, np.float32), RATE, Occurrences()) == []


def test_words_are_spread_by_their_letters():
    spans = occurrences.spread(["ab", "abcd", "ab"], [(1.0, 1.4), (2.0, 2.4)])
    np.testing.assert_allclose(spans, [(1.0, 1.2), (1.2, 1.4), (2.2, 2.4)])  # the middle one is in both: its first part
    np.testing.assert_allclose(occurrences.spread(["abc", "a"], [(0.0, 1.0)]), [(0, 0.75), (0.75, 1)])
    assert occurrences.spread(["a", "b"], []) == [None, None]


def test_chunks_are_within_speech_and_turns():
    regions = [(0.0, 1.3), (2.0, 2.2), (5.0, 6.0)]
    np.testing.assert_allclose(
        occurrences.chunks(regions, None, Occurrences()), [(0, 0.5), (0.5, 1), (1, 1.3), (2, 2.2), (5, 5.5), (5.5, 6)]
    )
    np.testing.assert_allclose(
        occurrences.chunks(regions, [(0.2, 0.9), (5.5, 7)], Occurrences()), [(0.2, 0.9), (5.5, 6)]
    )
    assert occurrences.chunks(regions, [], Occurrences()) == []  # the subject never speaks


def test_methods(tmp_path):
    signal = _speech(-0.2, 1.0, -0.2)
    aligned = [("b", 0.5, 0.6, "Two,"), ("b", 0.1, 0.2, "ONE"), ("a", 0.0, 0.1, "--")]
    folder = _folder(tmp_path, {"a": "", "b": "One, two!"}, aligned)
    found = occurrences.find(folder, lambda u: (signal, RATE), Occurrences())
    assert found.method == "corpus"
    assert found.table["word"].tolist() == ["one", "two"]
    assert occurrences.find(folder, lambda u: (signal, RATE), Occurrences(), only={"a"}).table.empty
    spread = occurrences.find(folder, lambda u: (signal, RATE), Occurrences(method="uniform"))
    assert spread.method == "uniform"
    assert spread.table["word"].tolist() == ["one", "two"]
    np.testing.assert_allclose(spread.table[["start", "end"]], [(0.2, 0.7), (0.7, 1.2)], atol=0.03)
    timed = occurrences.find(
        folder, lambda u: (signal, RATE), Occurrences(method="ctc"), aligner=lambda s, r, w: [(0.3, 0.4), None]
    )
    assert (timed.method, timed.table["word"].tolist()) == ("ctc MMS_FA", ["one"])


def test_without_words(tmp_path):
    folder = _folder(tmp_path, {"a": ""})
    with pytest.raises(SerError, match="neither aligned words nor text"):
        occurrences.find(folder, lambda u: None, Occurrences())
    with pytest.raises(SerError, match="no aligned words"):
        occurrences.find(folder, lambda u: None, Occurrences(method="corpus"))
    (folder / "words.csv").write_text("a,b\n")
    with pytest.raises(SerError, match=r"columns a, b \(.*Expected: utterance, start, end, word"):
        occurrences.read(folder)


@pytest.mark.parametrize(
    ("word", "plain", "tag"),
    [
        ("<laughter>", "laughter", "<laughter>"),
        ("<SlightLaughter>,", "slightlaughter", "<slightlaughter>"),
        ("<filler>", "filler", ""),
        ("Ja,", "ja", "ja"),
        ("<", "", ""),
    ],
)
def test_event_tags_are_words_or_as_the_authors_treat_them(word, plain, tag):
    assert occurrences.clean(word) == plain
    assert occurrences.clean(word, "synonyms") == tag
