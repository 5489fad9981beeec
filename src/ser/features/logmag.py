"""Log-magnitude spectrogram in [0, 1], the input of the emotion-embedding autoencoder (papers.md 5.1, after
Tacotron)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from ser.features import spectrum


@dataclass(frozen=True)
class Feature:
    """Trim, pre-emphasis, STFT, dB, clip((dB - ref_db + range_db) / range_db, floor, 1)."""

    level: ClassVar[str] = "frame"

    rate: int = 16000  # Hz
    trim_db: float | None = 60.0  # leading and trailing silence this far below the peak is cut; None: no trimming
    preemphasis: float = 0.97
    window: Literal["hamming", "hann"] = "hann"  # periodic
    win: int = 800  # samples, 50 ms
    hop: int = 200  # samples, 12.5 ms
    n_fft: int = 1024  # 513 bins
    amplitude_floor: float = 1e-5  # before the log
    ref_db: float = 20.0
    range_db: float = 100.0
    floor: float = 1e-8  # least value; crops of short utterances are padded with it

    def __post_init__(self) -> None:
        if not 0 < self.win <= self.n_fft or self.hop < 1:
            raise ValueError(f"win {self.win} must lie in 1..n_fft {self.n_fft}, and hop {self.hop} be at least 1")
        if self.amplitude_floor <= 0 or self.range_db <= 0:
            raise ValueError("amplitude_floor and range_db must be above 0")

    @property
    def dim(self) -> int:
        return self.n_fft // 2 + 1

    @property
    def frame_rate(self) -> float:
        return self.rate / self.hop

    def extract(self, signal: np.ndarray, rate: int) -> np.ndarray:
        """(N,) -> (1 + N' // hop, dim) float32, where N' samples remain after trimming.

        Raises `SerError` for an empty signal or another rate.
        """
        signal = self._trimmed(spectrum.checked(signal, rate, self.rate)).astype(np.float64)
        signal[1:] -= self.preemphasis * signal[:-1]  # the right side is computed before it is written
        weights = spectrum.window(self.window, self.win)
        out = np.empty((1 + len(signal) // self.hop, self.dim), dtype=np.float32)
        for block, power in spectrum.power(signal, weights, self.n_fft, self.hop, self.n_fft):
            db = 10 * np.log10(np.maximum(self.amplitude_floor**2, power))
            out[block] = np.clip((db - self.ref_db + self.range_db) / self.range_db, self.floor, 1)
        return out

    def _trimmed(self, signal: np.ndarray) -> np.ndarray:
        if self.trim_db is None:
            return signal
        from librosa.effects import trim

        return trim(signal, top_db=self.trim_db)[0]
