"""Words as sequences of MFCC: the input of Speech2Vec (papers.md 7.3), as librosa defines them.

Letters: N samples, W words, M frames of all words, T frames of one word, F coefficients.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import pandas as pd
import torch

from ser.core.errors import SerError
from ser.corpora import audio
from ser.words.config import Speech2Vec
from ser.words.occurrences import Signal, Span
from ser.words.speech2vec import Tokens

_BANDS, _FLOOR, _TOP_DB = 128, 1e-10, 80.0  # librosa's defaults: mel bands, least power, dB below the loudest value
_WORDS = 32  # transformed together; more of them only take more memory


def tokens(table: pd.DataFrame, signal: Signal, config: Speech2Vec) -> Tokens:
    """All words of a table of `ser.words.occurrences`, sorted by utterance, within it in the order of the table.

    Raises `SerError` for a word that starts after the end of its utterance.
    """
    from tqdm import tqdm

    found: list[np.ndarray] = []
    groups = table.groupby("utterance", sort=True)
    for utterance, rows in tqdm(groups, desc="mfcc of words", unit="utterance", disable=None, leave=False):
        found += segments(*signal(str(utterance)), rows[["start", "end"]].to_numpy(), config, str(utterance))
    ordered = table.sort_values("utterance", kind="stable")  # the order of the groups
    return joined(found, ordered["word"], ordered["utterance"])


def joined(segments: Sequence[np.ndarray], words: Sequence[str], utterances: Sequence[str]) -> Tokens:
    """Words from the MFCC (T, F) of each; there must be at least one."""
    offsets = np.concatenate([[0], np.cumsum([len(s) for s in segments])])
    return Tokens(np.concatenate(segments), offsets, tuple(words), tuple(utterances))


def segments(
    signal: np.ndarray, rate: int, spans: Sequence[Span] | np.ndarray, config: Speech2Vec, where: str
) -> list[np.ndarray]:
    """MFCC (T, F) float32, T <= ``config.frames``, of each span of `signal` (N,). Raises `SerError` for a span that
    starts after the end of the signal."""
    signal = audio.resample(np.asarray(signal, dtype=np.float32), rate, config.rate)
    pieces = []
    for start, end in spans:
        first = round(max(0.0, start) * config.rate)
        if first >= len(signal):
            what = f"the word at {start:g} to {end:g} s is outside the {len(signal) / config.rate:g} s of audio"
            raise SerError(what, where, "Check that the alignment belongs to this recording")
        pieces.append(signal[first : max(first + 1, round(end * config.rate))])  # aligners give words of no duration
    return list(mfcc(pieces, config))


@torch.inference_mode()
def mfcc(pieces: Sequence[np.ndarray], config: Speech2Vec) -> Iterator[np.ndarray]:
    """MFCC (T, F) float32 of each signal (N,) at ``config.rate``, the first ``config.frames`` frames.

    The definition of ``librosa.feature.mfcc``: Hann window, centred frames with zeros beyond the ends, so that there
    are 1 + N // hop; power; Slaney's mel bands; dB, not lower than 80 dB below the loudest value of the word;
    orthonormal DCT. librosa itself takes eight times as long, because it computes its filters at every call
    (benchmarks/speech2vec.py). In double precision the values do not depend on which words are transformed together.
    """
    from scipy.fft import dct

    window, filters = _weights(config.rate, config.n_fft)
    for first in range(0, len(pieces), _WORDS):
        together = pieces[first : first + _WORDS]
        signals = torch.zeros(len(together), max(map(len, together)), dtype=torch.float64)
        for row, piece in zip(signals, together, strict=True):
            row[: len(piece)] = torch.from_numpy(piece)
        frames = torch.stft(
            signals, config.n_fft, config.hop, window=window, center=True, pad_mode="constant", return_complex=True
        )
        db = 10 * (filters @ frames.abs().square()).clamp(min=_FLOOR).log10()  # (words, bands, T)
        db = torch.maximum(db, db.amax((1, 2), keepdim=True) - _TOP_DB)
        values = dct(db.numpy(), type=2, norm="ortho", axis=1)[:, : config.coefficients].astype(np.float32)
        for row, piece in zip(values, together, strict=True):
            yield row.T[: min(1 + len(piece) // config.hop, config.frames)]


@lru_cache
def _weights(rate: int, n_fft: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Window (n_fft,) and mel filters (bands, n_fft // 2 + 1), float64."""
    import librosa

    filters = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=_BANDS).astype(np.float64)
    return torch.hann_window(n_fft, dtype=torch.float64), torch.from_numpy(filters)
