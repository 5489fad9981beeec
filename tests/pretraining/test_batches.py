from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ser.core.errors import SerError
from ser.corpora import manifest
from ser.features.logmel import Feature
from ser.pretraining import data, sources
from ser.pretraining.settings import Settings
from tests.pretraining.speech import FEATURES, SETTINGS, corpus

FRAMES = np.random.default_rng(0).integers(100, 1600, 700)


DEFAULT = Settings()


def _plan(settings=DEFAULT, epoch=0, world=1):
    return data.plan(FRAMES, settings, epoch, world)


def test_every_utterance_is_in_one_batch_an_epoch():
    for settings in (Settings(), Settings(frames=6000, longest=2000)):
        found = [_plan(settings, epoch) for epoch in (0, 1)]
        for batches in found:
            assert sorted(np.concatenate(batches).tolist()) == list(range(len(FRAMES)))
        assert any(a.tolist() != b.tolist() for a, b in zip(*found, strict=False))
        assert all(a.tolist() == b.tolist() for a, b in zip(found[0], _plan(settings), strict=True))


def test_batches_of_long_utterances_are_halved_and_sorted_ones_pad_little():
    batches = _plan()
    assert all(len(b) <= (3 if FRAMES[b].max() > 400 else 6) for b in batches)
    assert sum(len(b) == 6 for b in batches) > 5
    padded = sum(FRAMES[b].max() * len(b) for b in batches)
    assert FRAMES.sum() / padded > 0.98


def test_a_number_of_frames_a_batch():
    settings = Settings(frames=6000, longest=2000)
    sizes = [FRAMES[b].max() * len(b) for b in _plan(settings)]
    assert max(sizes) <= 6000
    assert np.mean(sizes) > 4500


def test_two_processes_share_the_batches_of_one_with_twice_the_size():
    one = list(data.train_items(FRAMES, Settings(steps=300, batch=12), 1, 0, 1))
    two = [list(data.train_items(FRAMES, Settings(steps=300, batch=6), 1, rank, 2)) for rank in (0, 1)]
    assert len(one) == 300
    for whole, a, b in zip(one, *two, strict=True):
        assert sorted(whole.indices) == sorted(a.indices + b.indices)
        assert whole.step == a.step == b.step
        assert abs(len(a.indices) - len(b.indices)) <= 1


def test_the_plan_continues_at_any_step():
    settings = Settings(steps=400)
    whole = list(data.train_items(FRAMES, settings, 1, 0, 1))
    for first in (1, 2, 237, 400):
        assert list(data.train_items(FRAMES, settings, first, 0, 1)) == whole[first - 1 :]


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tones")
    return manifest.read(corpus(folder)), folder


def _batches(tones, settings=SETTINGS):
    table, folder = tones
    feature = Feature(**FEATURES)
    return data.Batches(sources.clips(table), sources.FromAudio(folder, feature), settings, feature.dim)


def test_a_batch_is_drawn_from_seed_step_and_utterance_alone(tones):
    batches = _batches(tones)
    together, alone = batches[data.Item(3, (2, 7))], batches[data.Item(3, (7,))]
    length = int(alone.lengths[0])
    assert torch.equal(together.x[1, :length], alone.x[0])
    for a, b in zip(together.masks, alone.masks, strict=True):
        assert torch.equal(a[1, :length], b[0])
    other = batches[data.Item(4, (7,))]
    assert not torch.equal(other.masks.loss, alone.masks.loss)
    assert together.hidden == int(together.masks.loss.sum())
    assert not together.x[0, int(together.lengths[0]) :].any()


def test_durations_of_the_manifest_give_the_frames_of_the_feature(tones):
    batches = _batches(tones)
    planned = data.lengths(batches.items, SETTINGS, 100.0)
    found = batches[data.Item(0, tuple(range(len(planned))))].lengths
    assert planned.tolist() == found.tolist()


def test_long_utterances_are_cropped_at_random_and_on_dev_to_their_beginning(tones):
    whole = _batches(tones)[data.Item(0, (5,))].x[0]
    batches = _batches(tones, replace(SETTINGS, longest=60))
    assert torch.equal(batches[data.Item(0, (5,))].x[0], whole[:60])
    starts = set()
    for step in range(1, 12):
        x = batches[data.Item(step, (5,))].x[0]
        start = int(np.flatnonzero((whole == x[0]).all(1))[0])
        assert torch.equal(x, whole[start : start + 60])
        starts.add(start)
    assert len(starts) > 4


def test_dev_masks_are_fixed_and_always_zero(tones):
    batches = _batches(tones, replace(SETTINGS, masking=replace(SETTINGS.masking, zero=0.0, replace=1.0)))
    a, b = (batches[data.Item(0, (0, 1, 2, 3))] for _ in range(2))
    assert torch.equal(a.masks.loss, b.masks.loss)
    assert torch.equal(a.masks.zero, a.masks.loss)
    assert a.hidden > 0


def test_a_process_without_an_utterance_gets_a_batch_that_counts_nothing(tones):
    batch = _batches(tones)[data.Item(3, ())]
    assert batch.hidden == 0
    assert batch.x.shape == (1, 1, 16)


def test_dev_speakers_are_held_out(tones):
    table, _ = tones
    train, dev = data.split(table, SETTINGS)
    assert not set(train["speaker"]) & set(dev["speaker"])
    assert (train["speaker"].nunique(), len(train), len(dev)) == (2, 8, 4)
    _, thinned = data.split(table, replace(SETTINGS, dev_utterances=2))
    assert thinned["utterance"].tolist() == [dev["utterance"].iloc[0], dev["utterance"].iloc[-1]]
    with pytest.raises(SerError, match="1 speaker: none can be held out"):
        data.split(table[table["speaker"] == "s0"], SETTINGS)


@pytest.mark.parametrize("values", [{"steps": 0}, {"frames": 10}, {"warmup": 1.0}, {"dev_share": 0.0}, {"lr": -1.0}])
def test_impossible_settings(values):
    with pytest.raises(ValueError):
        Settings(**values)
