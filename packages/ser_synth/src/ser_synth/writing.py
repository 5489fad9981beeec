"""Writes the files of one job. This is not atomic, because `build` renames the whole folder at the end."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np


def write_audio(path: Path, samples: np.ndarray, rate: int) -> None:
    """Mono samples (N,) in [-1, 1] as 16-bit WAV or FLAC, by the suffix of the path."""
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    pcm = np.clip(np.round(samples * 32767), -32768, 32767).astype(np.int16)
    soundfile.write(path, pcm, rate, subtype="PCM_16")


def write_lines(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8", newline="\n")
