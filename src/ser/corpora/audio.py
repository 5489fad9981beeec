"""Audio files in, mono float32 out. Every fault of a file is a `SerError` that names it; nothing is clipped silently.

Letters: N samples.
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


def decode(
    path: str | Path, start: float | None = None, end: float | None = None, rate: int | None = None, slack: float = 0.01
) -> tuple[np.ndarray, int, int]:
    """Samples (N,) float32 in [-1, 1], averaged over channels; the rate in Hz; the number of channels of the file.

    `start` and `end` are seconds in the file (it seeks, the rest is not read). `rate` stands in for a header that lies.
    `slack` (seconds, ours: label files round times to hundredths) is how far `end` may lie past the file's end.
    Raises `SerError` for a file that is missing, no audio, empty, truncated or holds NaN, and for times outside it.
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
        raise SerError(f"not a readable audio file: {reason}", path, "Get this file again, or take it out") from error
    if len(frames) < last - first:
        raise SerError(f"truncated audio file: {len(frames)} of {last - first} samples", path, "Get this file again")
    if not np.isfinite(frames).all():
        raise SerError("audio file with NaN or infinite samples", path, "Write it anew as 16-bit PCM")
    return frames.mean(axis=1, dtype=np.float32), rate, frames.shape[1]


def resample(signal: np.ndarray, rate: int, to: int) -> np.ndarray:
    """`signal` (N,) from `rate` to `to` Hz, band-limited (soxr HQ); unchanged when the rates are equal."""
    if rate == to:
        return signal
    return soxr.resample(signal, rate, to, quality="HQ").astype(np.float32, copy=False)


def pcm_hash(signal: np.ndarray) -> str:
    """Hex digest of the samples (N,) rounded to 16 bits: equal for equal audio in wav, flac or two equal channels."""
    return digest(np.clip(np.rint(signal * 32768.0), -32768, 32767).astype("<i2").tobytes())


def _span(start: float | None, end: float | None, rate: int, frames: int, slack: float, path: Path) -> tuple[int, int]:
    first = 0 if start is None else round(start * rate)
    last = frames if end is None else round(end * rate)
    if first < 0 or last <= first or first >= frames or last > frames + slack * rate:
        begin, stop = 0 if start is None else start, "the end" if end is None else f"{end} s"
        raise SerError(
            f"{begin} s to {stop} is not inside the file of {frames / rate:.3f} s",
            path,
            "Mend the times of its utterance",
        )
    return first, min(last, frames)


def _check_riff(path: Path) -> None:
    """Compares the length in the header with the file's: libsndfile silently reads what is left of a truncated file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        promised = _data_chunk(file)
        held = size - file.tell()
    if promised is not None and held < promised < _UNKNOWN_LENGTH:
        raise SerError(f"truncated audio file: {held} of {promised} bytes of samples", path, "Get this file again")


def _data_chunk(file: BinaryIO) -> int | None:
    """Moves to the samples of a RIFF file; their length in bytes as its header has it, None for another format."""
    if file.read(4) != b"RIFF":
        return None
    file.seek(12)
    while len(head := file.read(8)) == 8:
        name, length = struct.unpack("<4sI", head)
        if name == b"data":
            return length
        file.seek(length + length % 2, 1)
    return None
