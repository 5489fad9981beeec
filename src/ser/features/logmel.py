"""Log-mel spectrogram, the input of Fusion-ConvBERT and the CNNs (papers.md 4.1).

The public Mockingjay checkpoints need another one: ``bands: 80, deltas: 1, window: hann, win: 800, hop: 200``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from ser.features import spectrum


@dataclass(frozen=True)
class Feature:
    """Natural log of mel energies, normalised per utterance and band over its frames: (x - mean) / (sd + 1e-5)."""

    level: ClassVar[str] = "frame"

    rate: int = 16000  # Hz
    bands: int = 160  # HTK scale, base 10: the only one consistent with the printed 2595
    low: float = 0.0  # Hz
    high: float = 8000.0  # Hz
    window: Literal["hamming", "hann"] = "hamming"  # periodic
    win: int = 400  # samples, 25 ms
    hop: int = 160  # samples, 10 ms
    n_fft: int = 2048  # ours: the smallest power of two that feeds each of 160 bands by at least two bins
    area: bool = False  # divide filters by their area; without effect after cmvn but for log_floor
    log_floor: float = 1e-6  # added before the log (Mockingjay)
    deltas: Literal[0, 1] = 0  # 1: first-order deltas as further columns, normalised as well
    delta_width: int = 9  # frames of the delta's regression (Mockingjay: librosa's default)
    cmvn: bool = True
    cmvn_floor: float = 1e-5  # added to the standard deviation (papers.md 4.1)

    def __post_init__(self) -> None:
        if not 0 < self.win <= self.n_fft or self.hop < 1:
            raise ValueError(f"win {self.win} must lie in 1..n_fft {self.n_fft}, and hop {self.hop} be at least 1")
        if not 0 <= self.low < self.high <= self.rate / 2:
            raise ValueError(
                f"low {self.low} and high {self.high} must rise and end at {self.rate / 2} Hz, half the rate"
            )
        if self.bands < 1 or self.log_floor <= 0 or self.delta_width < 3 or self.delta_width % 2 == 0:
            raise ValueError("bands must be at least 1, log_floor above 0, delta_width odd and at least 3")
        spectrum.mel_filters(*self._filters())

    @property
    def dim(self) -> int:
        return self.bands * (1 + self.deltas)

    @property
    def frame_rate(self) -> float:
        return self.rate / self.hop

    def extract(self, signal: np.ndarray, rate: int) -> np.ndarray:
        """(N,) -> (1 + N // hop, dim) float32. Raises `SerError` for an empty signal or another rate."""
        x = self.energies(signal, rate)
        x += np.float32(self.log_floor)
        np.log(x, out=x)
        if self.deltas:
            x = np.concatenate([x, self._delta(x)], axis=1)
        if self.cmvn:
            x -= x.mean(axis=0, dtype=np.float64).astype(np.float32)
            x /= np.sqrt(np.square(x).mean(axis=0, dtype=np.float64)).astype(np.float32) + np.float32(self.cmvn_floor)
        return x

    def energies(self, signal: np.ndarray, rate: int) -> np.ndarray:
        """Mel energies before the log: (N,) -> (T, bands) float32."""
        signal = spectrum.checked(signal, rate, self.rate)
        rate, n_fft, *rest = self._filters()
        size, filters = spectrum.short_filters(rate, n_fft, self.win, *rest)
        weights = spectrum.window(self.window, self.win)
        out = np.empty((1 + len(signal) // self.hop, self.bands), dtype=np.float32)
        for block, power in spectrum.power(signal, weights, self.n_fft, self.hop, size):
            out[block] = power @ filters
        return np.maximum(out, 0, out=out)  # the shorter transform may round an empty band to -1e-20

    def _filters(self) -> tuple[int, int, int, float, float, bool]:
        return self.rate, self.n_fft, self.bands, self.low, self.high, self.area

    def _delta(self, x: np.ndarray) -> np.ndarray:
        from scipy.signal import savgol_filter

        # as in librosa, the ends follow the first and last full window; utterances shorter than one repeat their edge
        mode = "interp" if len(x) >= self.delta_width else "nearest"
        return savgol_filter(x, self.delta_width, polyorder=1, deriv=1, axis=0, mode=mode)
