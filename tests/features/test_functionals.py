"""Functionals are openSMILE's own numbers, exactly."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import opensmile
import pytest

from ser.features.functionals import Feature

RATE = 16000
CONFIGURATIONS = Path(opensmile.__file__).parent / "core" / "config" / "is09-13"


@pytest.fixture(scope="module")
def signal() -> np.ndarray:
    """1.2 s of a gliding tone in noise, in steps of 16 bits as in the audio store."""
    random = np.random.default_rng(2)
    time = np.arange(19_200) / RATE
    sound = 0.4 * np.sin(2 * np.pi * (150 + 60 * time) * time) + 0.02 * random.normal(size=time.size)
    return (np.rint(sound * 32768) / 32768).astype("float32")


@pytest.mark.parametrize(
    ("name", "dim", "feature_set"),
    [
        ("is10", 1582, str(CONFIGURATIONS / "IS10_paraling_compat.conf")),
        ("is09", 384, str(CONFIGURATIONS / "IS09_emotion.conf")),
        ("egemapsv02", 88, opensmile.FeatureSet.eGeMAPSv02),
    ],
)
def test_rows_and_names_are_process_signals(signal, name, dim, feature_set):
    level = "func" if isinstance(feature_set, str) else opensmile.FeatureLevel.Functionals
    theirs = opensmile.Smile(feature_set, level).process_signal(signal, RATE)
    feature = Feature(set=name)
    rows = feature.extract(signal, RATE)
    assert rows.shape == (feature.dim,) == (dim,)
    np.testing.assert_array_equal(rows, theirs.to_numpy()[0])
    assert feature.columns() == list(theirs.columns)


def test_several_sets_follow_each_other(signal):
    both = Feature(sets=("is10", "is09"))
    assert both.dim == 1582 + 384
    expected = np.concatenate([Feature(set=name).extract(signal, RATE) for name in ("is10", "is09")])
    np.testing.assert_array_equal(both.extract(signal, RATE), expected)
    assert len(both.columns()) == both.dim
    assert both.columns()[1582:] == Feature(set="is09").columns()


def test_is10_has_the_descriptors_of_the_challenge(signal):
    """papers.md 5.1: 1428 + 152 + 2; the last two are the number of pitch onsets and the duration, here 1.2 s."""
    names, rows = Feature().columns(), Feature().extract(signal, RATE)
    assert sum(n.startswith(("F0final_", "jitter", "shimmer")) for n in names) == 152 + 2
    assert names[-1].endswith("duration")
    assert rows[-1] == pytest.approx(1.2, abs=0.07)  # openSMILE counts frames of 60 ms that lie wholly inside


def test_fifty_milliseconds_are_too_short(signal):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.isnan(Feature().extract(signal[:800], RATE)).all()
    assert np.isfinite(Feature().extract(signal[:1600], RATE)).all()
