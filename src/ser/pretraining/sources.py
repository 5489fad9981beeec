"""Features of the utterances of a corpus: computed from the audio on the fly, or read from a packed store.

This module, its imports and the feature are the code that a packed store of features depends on.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ser.core.errors import SerError
from ser.core.store import Store, Writer

if TYPE_CHECKING:
    import pandas as pd


class Clip(NamedTuple):
    """One utterance of the manifest; times in seconds, as in `ser.corpora.manifest`."""

    utterance: str
    file: str
    start: float | None
    end: float | None
    rate: int
    duration: float
    pcm: str = ""


def clips(table: pd.DataFrame) -> list[Clip]:
    columns = table[["utterance", "file", "start", "end", "rate", "duration", "pcm"]].itertuples(index=False)
    return [Clip(str(u), str(f), _seconds(s), _seconds(e), int(r), float(d), str(p)) for u, f, s, e, r, d, p in columns]


def _seconds(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


class FromAudio:
    """Features of a clip from its file. The samples pass through 16 bits, as in the packed audio of the pipeline.

    `root` is the folder of the corpus, `feature` the `Feature` of a feature module.
    """

    def __init__(self, root: Path, feature: Any) -> None:
        self.root, self.feature = root, feature

    def __call__(self, clip: Clip) -> np.ndarray:
        """(T, F) float32. Raises `SerError` for an utterance that gives NaN."""
        from ser.corpora.audio import check_unchanged, decode, resample, to_float, to_int16

        signal, rate, _ = decode(self.root / clip.file, clip.start, clip.end, clip.rate)
        check_unchanged(signal, clip.pcm, self.root / clip.file)
        samples, _ = to_int16(resample(signal, rate, self.feature.rate))
        x = self.feature.extract(to_float(samples), self.feature.rate)
        if not np.isfinite(x).all():
            hint = "Remove it from the corpus"
            raise SerError(f"utterance {clip.utterance!r} gives NaN", self.root / clip.file, hint)
        return x


class FromStore:
    """Features of a clip from a packed store; no audio library is imported."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def __call__(self, clip: Clip) -> np.ndarray:
        """(T, F) float32."""
        return self.store.read(clip.utterance)


def pack(table: pd.DataFrame, source: FromAudio, card: dict[str, Any], folder: Path, jobs: int) -> None:
    """Writes the features of all utterances as one store."""
    from ser.features.extraction import in_parallel

    items = clips(table)
    with Writer(folder, source.feature.dim, "float32", {**card, "level": "frame"}) as writer:
        found = in_parallel(source, items, [c.duration for c in items], jobs, "threading", "features")
        for clip, x in zip(items, found, strict=True):
            writer.append(clip.utterance, x)
