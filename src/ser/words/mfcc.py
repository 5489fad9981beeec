"""Word segments as MFCC (papers.md 7.3): librosa's numbers, computed for all segments of a recording at once.

librosa builds its filters anew at every call, a hundred times the cost of a word; the tests hold this to it.
Letters: N samples, W words, M frames of all words, F coefficients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pandas as pd

from ser.corpora import audio
from ser.errors import SerError
from ser.words.settings import Speech2Vec

_BANDS, _FLOOR, _TOP_DB = 128, 1e-10, 80.0  # librosa's defaults: mel bands, least power, dB below a word's loudest bin
_BLOCK = 4096  # frames transformed at a time (ours: 16 MB)


@dataclass(frozen=True)
class Tokens:
    """Spoken words: `frames` (M, F) float32 one word after the other, of word i rows ``offsets[i]:offsets[i + 1]``;
    what each is, and in which utterance."""

    frames: np.ndarray
    offsets: np.ndarray
    words: tuple[str, ...]
    utterances: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.words)

    @property
    def lengths(self) -> np.ndarray:
        """Frames of each word, (W,) int64."""
        return np.diff(self.offsets)


def tokens(
    table: pd.DataFrame, signal: Callable[[str], tuple[np.ndarray, int]], settings: Speech2Vec, label: str = "words"
) -> Tokens:
    """All words of a table (`ser.words.words`) as MFCC; `signal` gives the samples (N,) and rate of an utterance.

    In order of utterances, a table's order within. Raises `SerError` for an empty table and for a word that starts
    after its utterance's end.
    """
    from tqdm import tqdm

    if table.empty:
        raise SerError("no words", label, "Give a corpus with aligned words or transcripts")
    found: list[np.ndarray] = []
    groups = table.groupby("utterance", sort=True)
    for utterance, rows in tqdm(groups, desc=f"mfcc of {label}", unit="utterance", disable=None, leave=False):
        found += list(segments(*signal(str(utterance)), rows[["start", "end"]].to_numpy(), settings, str(utterance)))
    ordered = table.sort_values("utterance", kind="stable")  # the order of the groups
    offsets = np.concatenate([[0], np.cumsum([len(f) for f in found])])
    return Tokens(np.concatenate(found), offsets, tuple(ordered["word"]), tuple(ordered["utterance"]))


def segments(
    signal: np.ndarray, rate: int, spans: Sequence[tuple[float, float]] | np.ndarray, settings: Speech2Vec, where: str
) -> Iterator[np.ndarray]:
    """MFCC (T, F) float32, T <= ``settings.frames``, of each span (start, end in seconds) of `signal` (N,)."""
    signal = audio.resample(np.asarray(signal, dtype=np.float32), rate, settings.rate)
    pieces = []
    for start, end in spans:
        first = round(max(0.0, start) * settings.rate)
        if first >= len(signal):
            long = len(signal) / settings.rate
            raise SerError(f"the word at {start:g} to {end:g} s lies outside the {long:g} s of sound", where)
        pieces.append(signal[first : max(first + 1, round(end * settings.rate))])  # aligners give words of no length
    yield from mfcc(pieces, settings)


def mfcc(pieces: Iterable[np.ndarray], settings: Speech2Vec) -> list[np.ndarray]:
    """MFCC (T, F) of each signal (N,) at ``settings.rate``, the first ``settings.frames`` frames.

    As ``librosa.feature.mfcc``: periodic Hann window, frames centred with zeros at the ends, T = 1 + N // hop, power,
    Slaney's mel bands, dB limited from below, orthonormal DCT. The limit is that of the whole word.
    """
    from scipy.fft import dct

    pieces = list(pieces)
    if not pieces:
        return []
    lengths = [1 + len(p) // settings.hop for p in pieces]
    db = np.concatenate([_db(block, settings) for block in _blocks(pieces, settings)])
    starts = np.concatenate([[0], np.cumsum(lengths)])
    loudest = np.maximum.reduceat(db.max(axis=1), starts[:-1])
    db = np.maximum(db, np.repeat(loudest - _TOP_DB, lengths)[:, None])
    values = dct(db, type=2, norm="ortho", axis=1)[:, : settings.coefficients].astype(np.float32)
    return [values[a : min(b, a + settings.frames)] for a, b in pairwise(starts)]


def _blocks(pieces: Sequence[np.ndarray], settings: Speech2Vec) -> Iterator[np.ndarray]:
    """Frames (n, n_fft) of all signals one after the other, cut into blocks."""
    waiting: list[np.ndarray] = []
    half = settings.n_fft // 2
    for piece in pieces:
        padded = np.pad(piece, half)
        waiting.append(np.lib.stride_tricks.sliding_window_view(padded, settings.n_fft)[:: settings.hop])
        if sum(len(w) for w in waiting) >= _BLOCK:
            yield np.concatenate(waiting)
            waiting = []
    if waiting:
        yield np.concatenate(waiting)


def _db(frames: np.ndarray, settings: Speech2Vec) -> np.ndarray:
    """Mel power in dB, (n, bands) float64."""
    window, filters = _weights(settings.rate, settings.n_fft)
    power = np.abs(np.fft.rfft(frames * window)) ** 2
    return 10 * np.log10(np.maximum(power @ filters, _FLOOR))


@lru_cache
def _weights(rate: int, n_fft: int) -> tuple[np.ndarray, np.ndarray]:
    """Window (n_fft,) and mel filters (n_fft // 2 + 1, bands), librosa's own."""
    import librosa

    filters = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=_BANDS)
    return librosa.filters.get_window("hann", n_fft), filters.T.astype(np.float64)
