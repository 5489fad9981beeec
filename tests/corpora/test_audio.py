from __future__ import annotations

import re
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import resample_poly

from ser.core.errors import SerError
from ser.corpora import audio

RATE = 16000


@pytest.fixture
def samples() -> np.ndarray:
    return np.random.default_rng(7).integers(-20000, 20000, RATE, dtype=np.int16)


def save(path: Path, samples: np.ndarray, subtype: str = "PCM_16", rate: int = RATE) -> Path:
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def test_decode_gives_the_samples_as_float(tmp_path: Path, samples: np.ndarray) -> None:
    signal, rate, channels = audio.decode(save(tmp_path / "a.wav", samples))
    assert (rate, channels, signal.dtype) == (RATE, 1, np.float32)
    np.testing.assert_array_equal(signal, samples / np.float32(32768))


def test_channels_that_cancel_each_other_are_named(tmp_path: Path, samples: np.ndarray, capsys) -> None:
    audio.decode(save(tmp_path / "a.wav", np.stack([samples, samples], 1)))
    assert not capsys.readouterr().err
    audio.decode(save(tmp_path / "b.wav", np.stack([samples, -samples], 1)))
    assert re.search(r"warning: the channels cancel each other.*b\.wav", capsys.readouterr().err)


def test_decode_averages_channels(tmp_path: Path, samples: np.ndarray) -> None:
    both = np.stack([samples, -samples], 1)
    signal, _, channels = audio.decode(save(tmp_path / "a.wav", both))
    assert channels == 2
    assert not signal.any()


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_decode_seeks(tmp_path: Path, samples: np.ndarray, name: str) -> None:
    path = save(tmp_path / name, samples)
    signal, _, _ = audio.decode(path, 0.25, 0.5)
    np.testing.assert_array_equal(signal, samples[4000:8000] / np.float32(32768))
    signal, _, _ = audio.decode(path, start=0.75)
    np.testing.assert_array_equal(signal, samples[12000:] / np.float32(32768))
    assert len(audio.decode(path, 0.5, 1.004)[0]) == 8000  # rounded times may end a little late


@pytest.mark.parametrize(("start", "end"), [(1.0, None), (-0.1, None), (0.5, 0.5), (0.6, 0.5), (0.0, 1.5)])
def test_times_outside_the_file(tmp_path: Path, samples: np.ndarray, start: float, end: float | None) -> None:
    with pytest.raises(SerError, match=r"not inside the file of 1\.000 s.*a\.wav"):
        audio.decode(save(tmp_path / "a.wav", samples), start, end)


def test_a_given_rate_replaces_the_header(tmp_path: Path, samples: np.ndarray) -> None:
    path = save(tmp_path / "a.wav", samples, rate=44100)
    assert audio.decode(path)[1] == 44100
    signal, rate, _ = audio.decode(path, 0.25, 0.5, rate=RATE)
    assert rate == RATE
    np.testing.assert_array_equal(signal, samples[4000:8000] / np.float32(32768))


def test_faulty_files(tmp_path: Path, samples: np.ndarray) -> None:
    text = tmp_path / "text.wav"
    text.write_text("these are words, not sound\n" * 50)
    nothing = tmp_path / "nothing.wav"
    nothing.touch()
    cases = {
        tmp_path / "missing.wav": "missing audio file",
        tmp_path: "missing audio file",
        text: "not a readable audio file",
        nothing: "0 bytes",
        save(tmp_path / "empty.wav", samples[:0]): "without samples",
        save(tmp_path / "nan.wav", np.array([0, np.nan, 0.5]), "FLOAT"): "NaN or infinite",
        save(tmp_path / "inf.wav", np.array([0, np.inf, 0.5]), "FLOAT"): "NaN or infinite",
    }
    for path, fault in cases.items():
        with pytest.raises(SerError, match=fault) as caught:
            audio.decode(path)
        assert str(path) in str(caught.value)


FORMATS = {"wav": "WAV", "flac": "FLAC", "aiff": "AIFF", "au": "AU", "caf": "CAF", "w64": "W64", "rf64": "RF64"}


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("kept", [0.95, 0.5, 0.1])
def test_truncated(tmp_path: Path, samples: np.ndarray, suffix: str, kept: float) -> None:
    path, name = tmp_path / f"a.{suffix}", rf"a\.{suffix}"
    soundfile.write(path, samples, RATE, format=FORMATS[suffix], subtype="PCM_16")
    np.testing.assert_array_equal(audio.decode(path)[0], samples / np.float32(32768))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(SerError, match=r"(truncated|not a readable).*" + name):
        audio.decode(path)


def test_riff_chunks_before_and_after_the_samples(tmp_path: Path, samples: np.ndarray) -> None:
    data = save(tmp_path / "plain.wav", samples).read_bytes()
    odd = b"LIST" + struct.pack("<I", 5) + b"INFOx\0"  # an odd chunk is padded by one byte
    path = tmp_path / "chunks.wav"
    path.write_bytes(data[:4] + struct.pack("<I", len(data) - 8 + 2 * len(odd)) + data[8:36] + odd + data[36:] + odd)
    np.testing.assert_array_equal(audio.decode(path)[0], samples / np.float32(32768))


def test_riff_of_unknown_length(tmp_path: Path, samples: np.ndarray) -> None:
    data = save(tmp_path / "plain.wav", samples).read_bytes()
    path = tmp_path / "piped.wav"
    path.write_bytes(data[:4] + b"\xff" * 4 + data[8:40] + b"\xff" * 4 + data[44:])
    np.testing.assert_array_equal(audio.decode(path)[0], samples / np.float32(32768))


@pytest.mark.parametrize("rate", [1, 999, 384_001])
def test_a_rate_that_nothing_records_is_refused(tmp_path: Path, samples: np.ndarray, rate: int) -> None:
    path = save(tmp_path / "a.wav", samples, rate=rate)
    with pytest.raises(SerError, match=rf"a rate of {rate} Hz, .*a\.wav"):
        audio.decode(path)
    assert audio.decode(path, rate=RATE)[1] == RATE


def test_a_header_cannot_ask_for_memory(tmp_path: Path, samples: np.ndarray) -> None:
    """FLAC: 36 bits of the header say how many samples there are."""
    path = save(tmp_path / "a.flac", samples)
    data = bytearray(path.read_bytes())
    data[21] |= 0x0F
    data[22:26] = b"\xff" * 4
    path.write_bytes(data)
    tracemalloc.start()
    with pytest.raises(SerError, match=r"truncated|not a readable"):
        audio.decode(path)
    assert tracemalloc.get_traced_memory()[1] < 1e8
    tracemalloc.stop()


def test_audio_that_changed_in_place_is_refused(tmp_path: Path, samples: np.ndarray) -> None:
    path = save(tmp_path / "a.wav", samples)
    signal = audio.decode(path)[0]
    pcm = audio.pcm_hash(signal)
    audio.check_unchanged(signal, pcm, path)
    with pytest.raises(SerError, match=r"has changed since its corpus was read.*a\.wav"):
        audio.check_unchanged(audio.decode(save(path, samples[::-1]))[0], pcm, path)


def test_resample_keeps_a_tone_and_removes_what_does_not_fit() -> None:
    time = np.arange(48000) / 48000
    low = np.sin(2 * np.pi * 440 * time).astype(np.float32)
    high = np.sin(2 * np.pi * 15000 * time).astype(np.float32)
    made = audio.resample(low + high, 48000, RATE)
    assert made.dtype == np.float32
    assert len(made) == RATE
    expected = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    np.testing.assert_allclose(made[1000:-1000], expected[1000:-1000], atol=1e-3)
    reference = resample_poly(low, 1, 3)  # a different library has a different filter
    np.testing.assert_allclose(audio.resample(low, 48000, RATE)[1000:-1000], reference[1000:-1000], atol=3e-3)
    assert audio.resample(low, RATE, RATE) is low


def test_pcm_hash_is_of_the_sound_not_of_the_file(tmp_path: Path, samples: np.ndarray) -> None:
    twin = np.stack([samples, samples], 1)
    paths = [
        save(tmp_path / "a.wav", samples),
        save(tmp_path / "b.flac", samples),
        save(tmp_path / "stereo.wav", twin),
        save(tmp_path / "float.wav", samples / 32768, "FLOAT"),
    ]
    hashes = {audio.pcm_hash(audio.decode(path)[0]) for path in paths}
    assert len(hashes) == 1
    changed = samples.copy()
    changed[5] += 1
    assert audio.pcm_hash(audio.decode(save(tmp_path / "c.wav", changed))[0]) not in hashes
