"""The waveform itself in consecutive segments, one per row.

The defaults are those of CLSTM (papers.md 6.1). The semantic system (papers.md 7.1) reads frames of 0.1 s at 22 050 Hz:
``rate: 22050, segment: 2205, normalise: none``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from ser.features import spectrum


@dataclass(frozen=True)
class Feature:
    """Segments without overlap; the last one is padded with zeros, after the normalisation."""

    level: ClassVar[str] = "frame"

    rate: int = 16000  # Hz
    segment: int = 8000  # samples per row, 0.5 s
    # rows that an utterance is padded or cut to (8 for RAVDESS, 16 for IEMOCAP); None: as many as it fills
    segments: int | None = None
    normalise: Literal["rms", "none"] = "rms"  # rms: the utterance divided by its root mean square
    rms_floor: float = 1e-8  # least root mean square divided by

    def __post_init__(self) -> None:
        if self.segment < 1 or (self.segments is not None and self.segments < 1) or self.rms_floor <= 0:
            raise ValueError("segment and segments must be at least 1, rms_floor above 0")

    @property
    def dim(self) -> int:
        return self.segment

    @property
    def frame_rate(self) -> float:
        return self.rate / self.segment

    def extract(self, signal: np.ndarray, rate: int) -> np.ndarray:
        """(N,) -> (T, segment) float32 with T = segments or ceil(N / segment).

        Raises `SerError` for an empty signal or another rate.
        """
        signal = spectrum.checked(signal, rate, self.rate)
        if self.normalise == "rms":
            root = np.sqrt(np.mean(np.square(signal, dtype=np.float64)))
            signal = signal / np.float32(max(root, self.rms_floor))
        rows = self.segments or -(-len(signal) // self.segment)
        out = np.zeros(rows * self.segment, dtype=np.float32)
        out[: len(signal)] = signal[: len(out)]
        return out.reshape(rows, self.segment)
