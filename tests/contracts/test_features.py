"""Every feature keeps the contract of `ser.features`; a new file is tested without further changes."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from ser.core import plugins
from ser.core.errors import SerError

NAMES = plugins.names("features")


@pytest.fixture(scope="module")
def signal() -> np.ndarray:
    """1.3 s of a decaying tone in noise, at a given rate."""
    random = np.random.default_rng(7)
    time = np.arange(20_800) / 16000
    return (0.3 * np.sin(2 * np.pi * 220 * time) * np.exp(-time) + 0.02 * random.normal(size=time.size)).astype(
        "float32"
    )


@pytest.fixture(params=NAMES)
def feature(request):
    return plugins.load("features", request.param).Feature()


def test_there_are_features():
    assert {"functionals", "logmag", "logmel", "waveform"} <= set(NAMES)


def test_parameters_are_a_frozen_dataclass_that_params_yaml_can_give(feature):
    assert feature.__dataclass_params__.frozen
    values = json.loads(json.dumps(dataclasses.asdict(feature)))
    assert plugins.build(type(feature), values, "features.x") == feature
    name = type(feature).__module__.rsplit(".", 1)[-1]
    assert plugins.keys("features", name) == [f.name for f in dataclasses.fields(feature)]


def test_declared_shape_is_the_extracted_one(feature, signal):
    rows = feature.extract(signal, feature.rate)
    assert rows.dtype == np.float32
    assert feature.level in ("frame", "utterance")
    if feature.level == "utterance":
        assert feature.frame_rate is None
        assert rows.shape == (feature.dim,)
    else:
        assert rows.shape[1:] == (feature.dim,)
        # one frame more or less than the duration gives: centred frames, padded segments
        assert abs(len(rows) - len(signal) / feature.rate * feature.frame_rate) <= 1
    assert np.isfinite(rows).all()
    assert np.ptp(rows) > 0


def test_equal_signals_give_equal_rows_and_stay_as_they_are(feature, signal):
    given = signal.copy()
    given.flags.writeable = False
    one, two = feature.extract(given, feature.rate), feature.extract(given, feature.rate)
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(given, signal)


def test_silence_is_finite(feature):
    assert np.isfinite(feature.extract(np.zeros(16000, "float32"), feature.rate)).all()


def test_another_rate_an_empty_signal_and_two_channels_are_refused(feature, signal):
    with pytest.raises(SerError, match="Hz"):
        feature.extract(signal, feature.rate + 1)
    for bad in (signal[:0], np.stack([signal, signal])):
        with pytest.raises(SerError, match="shape"):
            feature.extract(bad, feature.rate)
