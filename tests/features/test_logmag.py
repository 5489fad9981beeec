"""Log-magnitude against librosa and closed forms (papers.md 5.1)."""

from __future__ import annotations

import numpy as np
import pytest

from ser.features.logmag import Feature

RATE = 16000


def reference(signal: np.ndarray) -> np.ndarray:
    """In float64: complex64, what librosa makes of float32, is good to 1e-4 only near the floor of amplitude 1e-5."""
    import librosa

    signal = librosa.effects.trim(signal, top_db=60)[0]
    signal = signal.astype(np.float64)
    emphasised = np.append(signal[0], signal[1:] - 0.97 * signal[:-1])
    magnitude = np.abs(librosa.stft(emphasised, n_fft=1024, win_length=800, hop_length=200, pad_mode="reflect")).T
    db = 20 * np.log10(np.maximum(1e-5, magnitude))
    return np.clip((db - 20 + 100) / 100, 1e-8, 1)


@pytest.fixture(scope="module")
def signal() -> np.ndarray:
    """1.4 s of a tone in noise between silences that the trimming cuts."""
    random = np.random.default_rng(5)
    time = np.arange(22_513) / RATE
    sound = 0.4 * np.sin(2 * np.pi * 440 * time) + 0.01 * random.normal(size=time.size)
    sound[:5000] = sound[-4000:] = 0
    return sound.astype("float32")


def test_values_are_librosas(signal):
    ours = Feature().extract(signal, RATE)
    expected = reference(signal)
    assert ours.shape == expected.shape
    assert len(ours) < 1 + len(signal) // 200
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-6)


@pytest.mark.real
def test_real_speech_is_librosas(real_emodb):
    import soundfile

    for path in sorted((real_emodb / "wav").glob("*.wav"))[::120]:
        signal, _ = soundfile.read(path, dtype="float32")
        np.testing.assert_allclose(Feature().extract(signal, RATE), reference(signal), rtol=0, atol=1e-6)


@pytest.mark.parametrize("samples", [1, 199, 200, 1601, 16000])
def test_number_of_frames_without_trimming(samples):
    signal = np.linspace(-0.5, 0.5, samples, dtype="float32")
    assert Feature(trim_db=None).extract(signal, RATE).shape == (1 + samples // 200, 513)


def test_silence_is_the_floor():
    np.testing.assert_array_equal(Feature().extract(np.zeros(4000, "float32"), RATE), np.float32(1e-8))


@pytest.mark.parametrize(("amplitude", "value"), [(1e-3, 0.8 + 0.2 * np.log10(0.2)), (1.0, 1.0)])
def test_level_of_a_tone(amplitude, value):
    """A cosine on bin 64 has |X| = amplitude sum(Hann) / 2 = 200 amplitude: 0.2 is -13.98 dB, 0.66; 200 is clipped."""
    tone = (amplitude * np.cos(2 * np.pi * 1000 * np.arange(RATE) / RATE)).astype("float32")
    rows = Feature(preemphasis=0.0, trim_db=None).extract(tone, RATE)
    np.testing.assert_allclose(rows[10:-10, 64], value, atol=1e-5)


def test_preemphasis_of_a_tone():
    """The filter 1 - 0.97 z^-1 weighs 1000 Hz by its response there."""
    tone = (1e-3 * np.cos(2 * np.pi * 1000 * np.arange(RATE) / RATE)).astype("float32")
    plain, filtered = (Feature(preemphasis=k, trim_db=None).extract(tone, RATE)[10:-10, 64] for k in (0.0, 0.97))
    gain = 20 * np.log10(abs(1 - 0.97 * np.exp(-2j * np.pi * 1000 / RATE)))
    np.testing.assert_allclose(100 * (filtered - plain), gain, atol=1e-2)
