"""Spectrograms of single utterances: small pictures in one colour on a transparent ground, for light and dark pages."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray

COLOUR = (58, 130, 196)  # visible on white and on near-black
BANDS, COLUMNS = 64, 220  # pixels of a picture
TOP = 8000  # Hz; what there is of speech emotion lies below
WINDOW = 0.032  # seconds
RANGE = 60.0  # dB below the loudest cell that are shown
LEVELS = 16


def picture(signal: NDArray, rate: int) -> str:
    """A data URI of a PNG: time to the right, 0 Hz to 8 kHz (or half the rate) upwards, darker is louder."""
    from PIL import Image

    levels = _levels(np.asarray(signal, np.float64), rate)
    image = Image.fromarray(levels[::-1], "P")
    image.putpalette(COLOUR * LEVELS)
    buffer = io.BytesIO()
    alpha = bytes(round(255 * k / (LEVELS - 1)) for k in range(LEVELS))
    image.save(buffer, "PNG", bits=4, transparency=alpha, optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _levels(signal: NDArray[np.float64], rate: int) -> NDArray[np.uint8]:
    """(BANDS, at most COLUMNS) of 0 to LEVELS - 1."""
    size = max(16, int(WINDOW * rate))
    signal = np.pad(signal, (0, max(0, size - len(signal))))
    columns = int(min(COLUMNS, max(1, (len(signal) - size) // (size // 4) + 1)))
    starts = np.linspace(0, len(signal) - size, columns).astype(int)
    frames = signal[starts[:, None] + np.arange(size)] * np.hanning(size)
    power = np.square(np.abs(np.fft.rfft(frames, axis=1)))  # (columns, bins)
    last = min(power.shape[1], int(np.ceil(TOP / rate * size)) + 1)
    edges = np.linspace(0, last, BANDS + 1)
    starts = np.minimum(edges[:-1].astype(int), last - 1)
    bands = np.stack([power[:, a : max(a + 1, int(b))].mean(axis=1) for a, b in zip(starts, edges[1:], strict=True)])
    decibels = 10 * np.log10(bands + 1e-12 + bands.max() * 1e-9)
    share = np.clip((decibels - decibels.max()) / RANGE + 1, 0, 1)
    return np.rint(share * (LEVELS - 1)).astype(np.uint8)
