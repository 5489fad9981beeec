"""Waveform segments: closed forms (papers.md 6.1 and 7.1)."""

from __future__ import annotations

import numpy as np
import pytest

from ser.core import plugins
from ser.core.errors import SerError
from ser.features.waveform import Feature

RATE = 16000


def test_half_second_segments_in_order_with_zeros_at_the_end():
    signal = np.arange(1, 20_001, dtype="float32") / 20_000
    rows = Feature(normalise="none").extract(signal, RATE)
    assert rows.shape == (3, 8000)
    np.testing.assert_array_equal(rows.reshape(-1)[:20_000], signal)
    np.testing.assert_array_equal(rows.reshape(-1)[20_000:], 0)


def test_root_mean_square_is_one_before_the_padding():
    signal = np.random.default_rng(0).normal(0, 0.05, 9000).astype("float32")
    rows = Feature().extract(signal, RATE)
    assert np.sum(rows.astype(float) ** 2) / 9000 == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(rows[0], signal[:8000] / np.sqrt(np.mean(signal.astype(float) ** 2)), rtol=1e-5)


@pytest.mark.parametrize("gain", [0.001, 0.5])
def test_gain_is_taken_out(gain):
    signal = np.random.default_rng(0).normal(0, 0.3, 8000).astype("float32")
    np.testing.assert_allclose(
        Feature().extract(signal * np.float32(gain), RATE), Feature().extract(signal, RATE), rtol=1e-4
    )


def test_silence_stays_silence():
    np.testing.assert_array_equal(Feature().extract(np.zeros(100, "float32"), RATE), 0)


@pytest.mark.parametrize(("samples", "filled"), [(8000, 1), (64_000, 8), (90_000, 8)])
def test_fixed_number_of_segments_pads_and_cuts(samples, filled):
    signal = np.full(samples, 0.25, "float32")
    rows = Feature(segments=8).extract(signal, RATE)
    assert rows.shape == (8, 8000)
    np.testing.assert_allclose(rows[:filled], 1, rtol=1e-6)  # the level is taken from the whole utterance
    np.testing.assert_array_equal(rows[filled:], 0)


def test_frames_of_a_tenth_of_a_second_for_the_semantic_system():
    feature = Feature(rate=22_050, segment=2_205, normalise="none")
    assert (feature.dim, feature.frame_rate) == (2205, 10)
    assert feature.extract(np.ones(220_500, "float32"), 22_050).shape == (100, 2205)


def test_an_exact_multiple_has_no_empty_row():
    assert len(Feature().extract(np.ones(16_000, "float32"), RATE)) == 2


@pytest.mark.parametrize("values", [{"segment": 0}, {"segments": 0}, {"normalise": "peak"}])
def test_impossible_parameters(values):
    with pytest.raises(SerError, match=r"features\.wave"):
        plugins.build(Feature, values, "features.wave")
