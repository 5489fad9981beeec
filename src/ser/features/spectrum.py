"""Short-time spectra for the features: frames, windows, power spectra, mel filters.

Letters: N samples, T frames, W samples of the window, K bins. The conventions are those of librosa and torchaudio:
periodic windows, frames centred, the signal reflected at its ends, T = 1 + N // hop.
This is not left to a library because it is 2.3 times as fast as the plain numpy form, 3.5 times as fast as librosa and
1.6 times as fast as torchaudio in float32 (benchmarks/features_logmel.py, one thread, P1's log-mel). It also needs
little memory for long recordings. The tests compare every function with both libraries.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from ser.core.errors import SerError

_BLOCK = 512  # frames that are transformed at a time (ours: bounds the memory; no number changes)


def checked(signal: np.ndarray, rate: int, expected: int) -> np.ndarray:
    """Returns the signal when it is mono, not empty and has the rate that a feature needs; else raises `SerError`."""
    if signal.ndim != 1 or len(signal) == 0:
        raise SerError(f"a feature takes a signal of shape (N,) with N > 0, got {signal.shape}")
    if rate != expected:
        raise SerError(
            f"the signal has {rate} Hz, the feature needs {expected}", None, "Resample it: ser.corpora.audio.resample"
        )
    return signal


@lru_cache
def window(name: str, length: int) -> np.ndarray:
    """Periodic Hamming (0.54, 0.46) or Hann (0.5, 0.5) window, (W,) float64."""
    first = {"hamming": 0.54, "hann": 0.5}[name]
    return first - (1 - first) * np.cos(2 * np.pi * np.arange(length) / length)


def frames(signal: np.ndarray, n_fft: int, win: int, hop: int) -> np.ndarray:
    """Frames (T, W), a view of a padded copy of the signal: frame t is centred at sample t * hop.

    A window of W samples is in the middle of the `n_fft` samples around that place."""
    left = n_fft // 2 - (n_fft - win) // 2
    padded = np.pad(signal, (left, win - left), mode="reflect")
    return np.lib.stride_tricks.sliding_window_view(padded, win)[::hop][: 1 + len(signal) // hop]


def power(
    signal: np.ndarray, weights: np.ndarray, n_fft: int, hop: int, size: int
) -> Iterator[tuple[slice, np.ndarray]]:
    """Power spectra by blocks of frames: yields the slice of the frames and |X|^2, (frames, size // 2 + 1) float64.

    `weights` is the window; `n_fft` places the frames, `size` is the length of the transform. Float64, because float32
    leaves an error of 1e-4 in the log of a weak band beside a strong one.
    """
    cut = frames(signal, n_fft, len(weights), hop)
    for start in range(0, len(cut), _BLOCK):
        spectrum = np.fft.rfft(cut[start : start + _BLOCK] * weights, size)
        yield slice(start, start + len(spectrum)), spectrum.real**2 + spectrum.imag**2


@lru_cache
def mel_filters(rate: int, n_fft: int, bands: int, low: float, high: float, area: bool) -> np.ndarray:
    """Triangular filters (K, bands) on the HTK scale 2595 log10(1 + f / 700), corners even from `low` to `high` Hz.

    With `area` each is divided by half its width in Hz (librosa's ``norm="slaney"``), else its peak is 1. Raises
    ValueError when a filter is between two bins and therefore empty (papers.md 4.1: its log would be constant).
    """
    first, last = 2595 * np.log10(1 + np.array([low, high]) / 700)
    corners = 700 * (10 ** (np.linspace(first, last, bands + 2) / 2595) - 1)
    bins = (np.arange(n_fft // 2 + 1) * rate / n_fft)[:, None]
    rising = (bins - corners[:-2]) / np.diff(corners[:-1])
    falling = (corners[2:] - bins) / np.diff(corners[1:])
    filters = np.maximum(0, np.minimum(rising, falling))
    empty = int((~filters.any(axis=0)).sum())
    if empty:
        raise ValueError(f"n_fft {n_fft} leaves {empty} of {bands} mel bands without a bin: raise n_fft or lower bands")
    return filters * 2 / (corners[2:] - corners[:-2]) if area else filters


@lru_cache
def short_filters(
    rate: int, n_fft: int, win: int, bands: int, low: float, high: float, area: bool
) -> tuple[int, np.ndarray]:
    """The same mel energies from a shorter transform: returns its length S and a matrix (S // 2 + 1, bands).

    The power spectrum of W samples is the transform of their 2 W - 1 autocorrelations, so a transform of any length
    S >= 2 W - 1 holds all of it, and the bins of a longer one are a fixed linear map of its bins. W 400 and n_fft 2048
    need S = 800: a third of the work, exact up to the rounding of float64.
    """
    filters = mel_filters(rate, n_fft, bands, low, high, area)
    size = 2 * win
    if size >= n_fft:
        return n_fft, filters
    lags = np.fft.irfft(np.eye(size // 2 + 1), size)  # of each bin alone; lag W is zero for every signal
    padded = np.zeros((len(lags), n_fft))
    padded[:, :win], padded[:, 1 - win :] = lags[:, :win], lags[:, 1 - win :]
    return size, np.fft.rfft(padded).real @ filters
