from __future__ import annotations

import librosa
import numpy as np
import pandas as pd
import pytest

from ser.core.errors import SerError
from ser.words import mfcc
from ser.words.config import Speech2Vec

CONFIG = Speech2Vec()


def _golden(piece):
    return librosa.feature.mfcc(y=piece, sr=16000, n_mfcc=13, n_fft=512).T[:20]


def _signal(n, seed=0):
    g = np.random.default_rng(seed)
    fade = np.linspace(0, 1, n) ** 4  # over 80 dB from end to end, so that the limit from below matters
    return (g.normal(size=n) * fade + 0.3 * np.sin(np.arange(n) * 0.1) * fade).astype(np.float32)


@pytest.mark.filterwarnings("ignore:n_fft=512 is too large")
def test_the_definition_is_that_of_librosa():
    pieces = [_signal(n, n) for n in (1, 100, 511, 512, 513, 5000, 9728, 16000)] + [np.zeros(3000, np.float32)]
    for piece, found in zip(pieces, mfcc.mfcc(pieces, CONFIG), strict=True):
        golden = _golden(piece)
        assert found.shape == golden.shape
        np.testing.assert_allclose(found, golden, atol=2e-3, rtol=1e-5)  # of values up to 600
    assert len(_golden(pieces[-2])) == 20  # 32 frames, of which 20 are kept


def test_many_words_are_each_computed_alone():
    pieces = [_signal(4000 + 100 * i, i) / (1 + i) for i in range(70)]  # more than are transformed together
    together = list(mfcc.mfcc(pieces, CONFIG))
    for i in (0, 40, 69):
        np.testing.assert_allclose(together[i], next(mfcc.mfcc(pieces[i : i + 1], CONFIG)), atol=1e-3)
    assert list(mfcc.mfcc([], CONFIG)) == []


def test_tokens_of_a_table():
    signals = {"b": (_signal(16000, 1), 16000), "a": (_signal(8000, 2), 8000)}
    table = pd.DataFrame(
        [("b", 0.1, 0.5, "x"), ("a", 0.2, 0.4, "y"), ("b", 0.5, 0.5, "z")],
        columns=["utterance", "start", "end", "word"],
    )
    found = mfcc.tokens(table, signals.__getitem__, CONFIG)
    assert found.words == ("y", "x", "z")
    assert found.utterances == ("a", "b", "b")
    assert found.lengths.tolist() == [1 + 3200 // 512, 1 + 6400 // 512, 1]  # a is resampled to 16 kHz
    np.testing.assert_allclose(found.frames[7:20], _golden(signals["b"][0][1600:8000]), atol=2e-3, rtol=1e-5)
    with pytest.raises(SerError, match=r"the word at 2 to 3 s is outside the 1 s of audio"):
        mfcc.tokens(table.assign(start=2.0, end=3.0), signals.__getitem__, CONFIG)
