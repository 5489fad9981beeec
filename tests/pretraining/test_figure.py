from __future__ import annotations

import numpy as np
import torch

from ser.models.layers.mockingjay import Masking
from ser.pretraining import plots
from ser.pretraining.data import collate


def test_long_utterances_are_shown_where_there_are_enough():
    assert plots.chosen(np.array([100, 900, 310, 400, 305, 350])) == (4, 5, 1)
    assert plots.chosen(np.array([50, 90, 20, 400])) == (0, 1, 3)
    assert plots.chosen(np.array([50])) == (0,)


def test_the_picture_shows_the_prediction_on_masked_frames(tmp_path):
    from matplotlib.image import imread

    generator = np.random.default_rng(0)
    rows = [generator.normal(size=(n, 16)).astype(np.float32) for n in (120, 90)]
    batch = collate(rows, [np.random.default_rng(i) for i in range(2)], Masking(zero=1.0, replace=0.0))
    paths = [tmp_path / f"{n}.png" for n in "abcd"]
    plots.reconstructions(batch, torch.zeros_like(batch.x), paths[0], "t", 100.0)
    plots.reconstructions(batch, torch.zeros_like(batch.x), paths[1], "t", 100.0)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    plots.reconstructions(batch, batch.x.clone(), paths[2], "t", 100.0)
    unheard = torch.where(batch.masks.loss[..., None], 0.0, 9.0).expand_as(batch.x)
    plots.reconstructions(batch, unheard, paths[3], "t", 100.0)
    images = [imread(p) for p in paths]
    assert images[0].shape[1] == 1400
    assert not np.array_equal(images[0], images[2])
    assert np.array_equal(images[0], images[3])  # predictions of frames that were heard are not shown
