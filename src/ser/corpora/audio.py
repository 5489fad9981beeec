"""Decoding of audio files to mono float32, resampling, and the 16-bit integers of the audio packs.

Every fault of a file is a `SerError` that names the file. Letters: N samples.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import soundfile
import soxr

from ser.core.errors import SerError, warn
from ser.core.files import digest, reading
from ser.core.plugins import RATES

_BLOCK = (
    1 << 22
)  # samples that are decoded at a time, so that a header cannot ask for memory that the file does not fill
_SILENT = 1e-3  # ours: share of the channels' level below which their mean counts as silence
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
            with reading(path, "Get this file again"):
                _check_length(path)
            if file.frames == 0:
                raise SerError("audio file without samples", path, "Get this file again")
            rate, channels = rate or file.samplerate, file.channels
            if not RATES[0] <= rate <= RATES[1]:
                what = f"a rate of {rate} Hz, which is not between {RATES[0]} and {RATES[1]}"
                raise SerError(what, path, "Correct its header, or give the reader's assume_rate")
            first, last = _span(start, end, rate, file.frames, slack, path)
            file.seek(first)
            signal = _mono(file, last - first, path)
    except soundfile.LibsndfileError as error:
        reason = error.error_string.rstrip(".")
        raise SerError(f"not a readable audio file: {reason}", path, "Get this file again, or remove it") from error
    if len(signal) < last - first:
        raise SerError(f"truncated audio file: {len(signal)} of {last - first} samples", path, "Get this file again")
    return signal, rate, channels


def _mono(file: soundfile.SoundFile, count: int, path: Path) -> np.ndarray:
    """The next `count` samples or fewer (N,), averaged over the channels. Warns of channels that cancel each other."""
    parts, loudest, size = [np.zeros(0, np.float32)], 0.0, max(1, _BLOCK // file.channels)
    while count > 0 and len(frames := file.read(min(count, size), dtype="float32", always_2d=True)):
        if not np.isfinite(frames).all():
            raise SerError("audio file with NaN or infinite samples", path, "Convert it to 16-bit PCM")
        parts.append(frames.mean(axis=1, dtype=np.float32))
        loudest, count = max(loudest, float(np.abs(frames).max())), count - len(frames)
    signal = np.concatenate(parts)
    if file.channels > 1 and loudest and np.abs(signal).max() < _SILENT * loudest:
        warn("the channels cancel each other (antiphase): their mean is silence", path, "Keep one of the channels")
    return signal


def resample(signal: np.ndarray, rate: int, to: int) -> np.ndarray:
    """`signal` (N,) from `rate` to `to` Hz, band-limited (soxr HQ); unchanged when the rates are equal."""
    if rate == to:
        return signal
    return soxr.resample(signal, rate, to, quality="HQ").astype(np.float32, copy=False)


def pcm_hash(signal: np.ndarray) -> str:
    """Hex digest of the samples (N,) rounded to 16 bits: equal for equal audio in WAV, FLAC or two equal channels."""
    return digest(to_int16(signal)[0].astype("<i2", copy=False).tobytes())


def check_unchanged(signal: np.ndarray, pcm: str, path: Path) -> None:
    """Raises `SerError` when the samples of a file are not those that the manifest describes by their hash `pcm`."""
    if pcm and pcm_hash(signal) != pcm:
        hint = "Read its corpus again: dvc repro -f -s download@NAME (studies/STUDY/dvc.yaml:download@NAME)"
        raise SerError("this audio file has changed since its corpus was read", path, hint)


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


class _Container(NamedTuple):
    """Where an audio container, a list of chunks (name, length, content), says how many bytes of samples it has."""

    first: int  # position of the first chunk
    head: str  # name and length of a chunk, for `struct`
    data: bytes  # how the name of the chunk of samples begins
    padding: int = 2  # chunks start at multiples of this many bytes
    inclusive: bool = False  # whether the length counts the chunk's head


_CONTAINERS = {
    b"RIFF": _Container(12, "<4sI", b"data"),
    b"RIFX": _Container(12, ">4sI", b"data"),
    b"RF64": _Container(12, "<4sI", b"data"),
    b"FORM": _Container(12, ">4sI", b"SSND"),  # AIFF
    b"caff": _Container(8, ">4sq", b"data", 1),
    b"riff": _Container(40, "<16sQ", b"data", 8, True),  # W64
    b".snd": _Container(4, ">0sI", b"", 1),  # AU: the position of the samples, then their number of bytes
    b"dns.": _Container(4, "<0sI", b"", 1),
}


def _check_length(path: Path) -> None:
    """Compares the length in the header with the file's, because libsndfile reads a truncated file without an error."""
    with path.open("rb") as file:
        promised = _promised(file)
        held = path.stat().st_size - file.tell()
    if promised is not None and held < promised:
        raise SerError(f"truncated audio file: {held} of {promised} bytes of samples", path, "Get this file again")


def _promised(file: BinaryIO) -> int | None:
    """Moves to the samples of a container and returns their number of bytes by its header; None where it does not
    say."""
    magic = file.read(4)
    if (kind := _CONTAINERS.get(magic)) is None:
        return None
    file.seek(kind.first)
    if not kind.data:
        start, length = struct.unpack(kind.head[0] + "II", file.read(8))
        file.seek(start)
        return length if length < _UNKNOWN_LENGTH else None
    size, long = struct.calcsize(kind.head), None
    while len(head := file.read(size)) == size:
        name, length = struct.unpack(kind.head, head)
        length -= size if kind.inclusive else 0
        if name.startswith(kind.data):
            length = length if long is None else long
            limit = _UNKNOWN_LENGTH if kind.head.endswith("I") and long is None else float("inf")
            return length if 0 <= length < limit else None
        start = file.tell()
        if name == b"ds64":  # RF64: the true lengths of the file and of its samples
            long = struct.unpack("<QQ", file.read(16))[1]
        if length < 0:
            return None
        file.seek(start + length + -length % kind.padding)
    return None
