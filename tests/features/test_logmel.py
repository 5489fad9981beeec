"""Log-mel against librosa, torchaudio and closed forms.

librosa transforms in float64 and stores complex64, so its log energies are good to about 1e-6; torchaudio is run in
float64. Both are compared before the normalisation: a band of nearly constant level magnifies differences.
"""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from ser.core import plugins
from ser.core.errors import SerError
from ser.features import spectrum
from ser.features.logmel import Feature

RATE = 16000


@pytest.fixture(scope="module")
def signal() -> np.ndarray:
    """0.9 s: a loud vowel-like tone, faint noise and digital silence, so that there are strong and weak bands."""
    random = np.random.default_rng(3)
    time = np.arange(14_437) / RATE
    tone = sum(np.sin(2 * np.pi * 130 * k * time) / k for k in range(1, 12))
    signal = 0.3 * tone + 1e-3 * random.normal(size=time.size)
    signal[6000:8000] = 0
    return signal.astype("float32")


def by_librosa(signal: np.ndarray, norm: str | None = None, **changed) -> np.ndarray:
    import librosa

    values = dict(win_length=400, hop_length=160, window="hamming", n_mels=160, n_fft=2048) | changed
    return librosa.feature.melspectrogram(
        y=signal, sr=RATE, pad_mode="reflect", power=2.0, fmin=0, fmax=8000, htk=True, norm=norm, **values
    ).T


def test_log_energies_are_librosas(signal):
    ours = Feature(cmvn=False).extract(signal, RATE)
    np.testing.assert_allclose(ours, np.log(by_librosa(signal) + 1e-6), rtol=0, atol=1e-4)


def test_area_normalised_energies_are_librosas(signal):
    ours = Feature(cmvn=False, area=True).extract(signal, RATE)
    np.testing.assert_allclose(ours, np.log(by_librosa(signal, "slaney") + 1e-6), rtol=0, atol=1e-4)


@pytest.mark.parametrize("norm", [None, "slaney"])
def test_log_energies_are_torchaudios(signal, norm):
    torch = pytest.importorskip("torch")
    from torchaudio.transforms import MelSpectrogram

    transform = MelSpectrogram(
        RATE, 2048, 400, 160, 0.0, 8000.0, n_mels=160, window_fn=torch.hamming_window, norm=norm, mel_scale="htk"
    ).double()
    theirs = transform(torch.from_numpy(signal).double()).T.numpy()
    ours = Feature(cmvn=False, area=norm is not None).extract(signal, RATE)
    np.testing.assert_allclose(ours, np.log(theirs + 1e-6), rtol=0, atol=1e-4)


@pytest.mark.real
def test_real_speech_is_librosas(real_emodb):
    for path in sorted((real_emodb / "wav").glob("*.wav"))[::90]:
        signal, _ = soundfile.read(path, dtype="float32")
        ours = Feature(cmvn=False).extract(signal, RATE)
        np.testing.assert_allclose(ours, np.log(by_librosa(signal) + 1e-6), rtol=0, atol=1e-4)


def test_variant_of_the_public_mockingjay_checkpoints(signal):
    import librosa

    feature = Feature(bands=80, deltas=1, window="hann", win=800, hop=200, cmvn=False)
    assert (feature.dim, feature.frame_rate) == (160, 80)
    x = np.log(by_librosa(signal, win_length=800, hop_length=200, window="hann", n_mels=80) + 1e-6)
    theirs = np.concatenate([x, librosa.feature.delta(x, axis=0)], axis=1)
    np.testing.assert_allclose(feature.extract(signal, RATE), theirs, rtol=0, atol=1e-4)


def test_deltas_of_an_utterance_shorter_than_their_window():
    random = np.random.default_rng(0)
    rows = Feature(deltas=1, cmvn=False).extract(random.normal(size=500).astype("float32"), RATE)
    assert rows.shape == (4, 320)
    assert np.isfinite(rows).all()


@pytest.mark.parametrize("samples", [1, 2, 159, 160, 161, 399, 1024, 16000, 3 * 16000])
def test_number_of_frames(samples):
    signal = np.linspace(-0.5, 0.5, samples, dtype="float32")
    assert len(Feature().extract(signal, RATE)) == 1 + samples // 160


@pytest.mark.parametrize("samples", [81_760, 82_000, 164_000])
def test_blocks_join_without_a_seam(samples):
    """511, 512 and 1025 hops: around the number of frames handled at a time."""
    signal = np.random.default_rng(1).normal(0, 0.1, samples).astype("float32")
    np.testing.assert_allclose(
        Feature(cmvn=False).extract(signal, RATE), np.log(by_librosa(signal) + 1e-6), rtol=0, atol=1e-4
    )


def test_the_shorter_transform_loses_nothing(signal):
    """papers.md 4.1 asks for n_fft 2048; 800 bins and a linear map must give the same energies."""
    size, filters = spectrum.short_filters(RATE, 2048, 400, 160, 0.0, 8000.0, False)
    weights = spectrum.window("hamming", 400)
    assert size == 800
    frames = spectrum.frames(signal, 2048, 400, 160) * weights
    direct = np.abs(np.fft.rfft(frames, 2048)) ** 2 @ spectrum.mel_filters(RATE, 2048, 160, 0.0, 8000.0, False)
    short = np.abs(np.fft.rfft(frames, size)) ** 2 @ filters
    np.testing.assert_allclose(short, direct, rtol=1e-9, atol=1e-9)


def test_every_band_is_normalised_over_the_frames(signal):
    raw = Feature(cmvn=False).extract(signal, RATE).astype(np.float64)
    rows = Feature().extract(signal, RATE)
    np.testing.assert_allclose(rows, (raw - raw.mean(0)) / (raw.std(0) + 1e-5), rtol=0, atol=1e-4)
    np.testing.assert_allclose(rows.mean(0), 0, atol=1e-5)


def test_a_constant_band_is_zero_after_normalisation():
    np.testing.assert_array_equal(Feature().extract(np.zeros(16000, "float32"), RATE), 0)


@pytest.mark.parametrize("frequency", [300.0, 1000.0, 4000.0])
def test_a_tone_is_loudest_in_the_band_around_it(frequency):
    tone = np.cos(2 * np.pi * frequency * np.arange(RATE) / RATE).astype("float32")
    band = Feature(cmvn=False).extract(tone, RATE)[20:-20].mean(0).argmax()
    position = 161 * np.log10(1 + frequency / 700) / np.log10(1 + 8000 / 700)  # centre of band b is at b + 1
    assert abs(band + 1 - position) < 1


@pytest.mark.parametrize(("n_fft", "empty"), [(400, 10), (512, 4)])
def test_empty_filters_are_refused_with_their_number(n_fft, empty):
    """Numbers of papers.md 4.1, HTK column."""
    with pytest.raises(ValueError, match=f"{empty} of 160 mel bands"):
        Feature(n_fft=n_fft)


@pytest.mark.parametrize(
    "values",
    [
        {"win": 4096},
        {"hop": 0},
        {"high": 9000.0},
        {"low": 8000.0},
        {"bands": 0},
        {"log_floor": 0.0},
        {"delta_width": 4},
    ],
)
def test_impossible_parameters_name_the_block(values):
    with pytest.raises(SerError, match=r"features\.mel"):
        plugins.build(Feature, values, "features.mel")
