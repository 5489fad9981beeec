"""Decoding of audio files to mono float32, resampling, and the 16-bit integers of the audio packs.

Every fault of a file is a `SerError` that names the file. Letters: N samples.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

from ser.errors import SerError
from ser.files import digest

# A writer to a pipe cannot know the length and leaves the field at (nearly) its largest value.
_UNKNOWN_LENGTH = 0x7FFF0000
SCALE = 32768.0  # int16 step of 1.0; with 32767 every sample of a 16-bit file would change


def decode(
    path: str | Path, start: float | None = None, end: float | None = None, rate: int | None = None, slack: float = 0.01
) -> tuple[np.ndarray, int, int]:
    """Samples (N,) float32 in [-1, 1], averaged over channels; the rate in Hz; the number of channels of the file.

    `start` and `end` are seconds in the file; the rest of it is not read. `rate` replaces a wrong rate in the header.
    `slack` (seconds; ours: label files round times to hundredths) is how far `end` may be past the file's end.
    Raises `SerError` for a file that is missing, not audio, empty, truncated or contains NaN, and for times outside it.
    """
    path = Path(path)
    if not path.is_file():
        raise SerError("missing audio file", path)
    if path.stat().st_size == 0:
        raise SerError("audio file of 0 bytes", path, "Get this file again")
    try:
        with soundfile.SoundFile(path) as file:
            if file.format in ("WAV", "WAVEX"):
                _check_riff(path)
            if file.frames == 0:
                raise SerError("audio file without samples", path, "Get this file again")
            rate = rate or file.samplerate
            first, last = _span(start, end, rate, file.frames, slack, path)
            file.seek(first)
            frames = file.read(last - first, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        reason = error.error_string.rstrip(".")
        raise SerError(f"not a readable audio file: {reason}", path, "Get this file again, or remove it") from error
    if len(frames) < last - first:
        raise SerError(f"truncated audio file: {len(frames)} of {last - first} samples", path, "Get this file again")
    if not np.isfinite(frames).all():
        raise SerError("audio file with NaN or infinite samples", path, "Convert it to 16-bit PCM")
    return frames.mean(axis=1, dtype=np.float32), rate, frames.shape[1]


def resample(signal: np.ndarray, rate: int, to: int) -> np.ndarray:
    """`signal` (N,) from `rate` to `to` Hz, band-limited (soxr HQ); unchanged when the rates are equal."""
    if rate == to:
        return signal
    return soxr.resample(signal, rate, to, quality="HQ").astype(np.float32, copy=False)


def pcm_hash(signal: np.ndarray) -> str:
    """Hex digest of the samples (N,) rounded to 16 bits: equal for equal audio in WAV, FLAC or two equal channels."""
    return digest(to_int16(signal)[0].astype("<i2", copy=False).tobytes())


def to_int16(signal: np.ndarray) -> tuple[np.ndarray, int]:
    """(N,) float in [-1, 1] -> (N,) int16, and how many samples were beyond 16 bits. 16-bit sources come back
    exactly."""
    scaled = np.rint(signal * np.float32(SCALE))
    clipped = int(np.count_nonzero(np.abs(scaled) > SCALE))  # +1.0 itself is not counted: it changes by one step only
    return np.clip(scaled, -SCALE, SCALE - 1).astype(np.int16), clipped


def to_float(samples: np.ndarray) -> np.ndarray:
    """(N,) int16 of an audio pack -> (N,) float32 in [-1, 1)."""
    return np.multiply(samples, np.float32(1 / SCALE), dtype=np.float32)


def _span(start: float | None, end: float | None, rate: int, frames: int, slack: float, path: Path) -> tuple[int, int]:
    first = 0 if start is None else round(start * rate)
    last = frames if end is None else round(end * rate)
    if first < 0 or last <= first or first >= frames or last > frames + slack * rate:
        begin, stop = 0 if start is None else start, "the end" if end is None else f"{end} s"
        raise SerError(
            f"{begin} s to {stop} is not inside the file of {frames / rate:.3f} s",
            path,
            "Correct the times of its utterance",
        )
    return first, min(last, frames)


def _check_riff(path: Path) -> None:
    """Compares the length in the header with the file's, because libsndfile reads a truncated file without an error."""
    size = path.stat().st_size
    with path.open("rb") as file:
        promised = _data_chunk(file)
        held = size - file.tell()
    if promised is not None and held < promised < _UNKNOWN_LENGTH:
        raise SerError(f"truncated audio file: {held} of {promised} bytes of samples", path, "Get this file again")


def _data_chunk(file: BinaryIO) -> int | None:
    """Moves to the samples of a RIFF file and returns their length in bytes by the header; None for another format."""
    if file.read(4) != b"RIFF":
        return None
    file.seek(12)
    while len(head := file.read(8)) == 8:
        name, length = struct.unpack("<4sI", head)
        if name == b"data":
            return length
        file.seek(length + length % 2, 1)
    return None
