from __future__ import annotations

import numpy as np

from ser.words import alignment, spaces
from ser.words.config import Alignment
from tests.words.planted import pair, rotation


def test_words_of_the_figure():
    speech, text = pair(100, 4, rotation(4, 0), 0)
    aligned = alignment.supervised(speech, text, Alignment())
    found = spaces.figure(speech, text, aligned, {})
    assert found["words"].tolist() == [f"w{i}" for i in range(spaces.SHOWN)]
    np.testing.assert_allclose(found["mapped"], aligned(speech.matrix)[: spaces.SHOWN], atol=1e-6)
    topics = {f"w{i}": "t" for i in range(50, 60)}
    assert spaces.figure(speech, text, aligned, topics)["words"].tolist() == [f"w{i}" for i in range(50, 60)]
