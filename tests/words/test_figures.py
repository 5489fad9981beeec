from __future__ import annotations

import matplotlib.image
import numpy as np

from ser.words import alignment, figures
from ser.words.settings import Alignment
from tests.words.planted import pair, rotation


def test_plane_is_that_of_the_largest_spread():
    g = np.random.default_rng(0)
    rows = g.normal(size=(400, 5)) * [0.1, 5, 0.1, 2, 0.1] + 7
    middle, axes = figures.plane(rows)
    np.testing.assert_allclose(middle, rows.mean(0))
    np.testing.assert_allclose(axes, np.eye(5)[[1, 3]], atol=0.05)  # the largest part is positive
    np.testing.assert_allclose(axes @ axes.T, np.eye(2), atol=1e-12)


def test_words_with_a_topic_are_shown():
    speech, text = pair(100, 4, rotation(4, 0), 0)
    assert figures.chosen(speech, text)[:, 0].tolist() == list(range(40))
    topics = {f"w{i}": "t" for i in range(50, 60)}
    assert figures.chosen(speech, text, topics)[:, 0].tolist() == list(range(50, 60))


def test_equal_spaces_give_equal_bytes(tmp_path):
    speech, text = pair(30, 4, rotation(4, 0), 0)
    aligned = alignment.supervised(speech, text, Alignment())
    pairs = figures.chosen(speech, text)
    files = [figures.spaces(speech, text, aligned, tmp_path / f"{i}.png", "title", pairs) for i in range(2)]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert matplotlib.image.imread(files[0]).shape == (860, 1600, 4)
    assert len(list(tmp_path.iterdir())) == 2
