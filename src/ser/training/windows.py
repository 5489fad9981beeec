"""Windows (utterance, start): the pieces of utterances that are the items of a batch.

Splitting comes before windowing: windows are made from the utterances of a part, so they inherit its role. The only
exception is the deliberate leak of `control: leaky_windows`, which passes the windows in from outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ser.core.tasks import Window

if TYPE_CHECKING:
    from ser.core.recipe import Training
    from ser.core.tasks import Inputs


def fixed(inputs: Inputs, training: Training) -> list[Window]:
    """The windows a prediction is made from, in the order of the utterances."""
    if inputs.windows is not None:
        return list(inputs.windows)
    if training.window in ("whole", "random_crop"):
        return [Window(i, None) for i in range(len(inputs))]
    starts = crop_starts if training.window == "crops" else block_starts
    assert training.frames is not None
    return [Window(i, s) for i, n in enumerate(lengths(inputs)) for s in starts(int(n), training)]


def drawn(inputs: Inputs, training: Training) -> list[Window]:
    """The windows of one epoch of training: as many as `fixed` gives; the starts of crops are still to be drawn."""
    windows = fixed(inputs, training)
    if training.window == "crops" and inputs.windows is None:
        return [Window(w.utterance, None) for w in windows]
    return windows


def crop_starts(length: int, training: Training) -> list[int]:
    """Starts of crops every `crop_hop` frames and of one aligned to the end: ceil((T - frames) / hop) + 1, or one."""
    last = length - (training.frames or 0)
    return [*range(0, last, training.crop_hop), last] if last > 0 else [0]


def block_starts(length: int, training: Training) -> list[int]:
    """Consecutive blocks without overlap; the last one may be shorter."""
    return list(range(0, max(length, 1), training.frames or 1))


def lengths(inputs: Inputs) -> np.ndarray:
    """Frames of each utterance: its label rows where labels are continuous, else those of the first frame feature."""
    if inputs.rows:
        return np.array(inputs.rows, dtype=np.int64)
    feature = frame_feature(inputs)
    if feature is None:
        return np.ones(len(inputs), dtype=np.int64)
    return inputs.stores[feature].lengths(inputs.utterances)


def frame_feature(inputs: Inputs) -> str | None:
    """The first frame-level feature: its frames define windows and lengths."""
    return next((f for f, s in inputs.stores.items() if s.card["level"] == "frame"), None)


def sizes(inputs: Inputs, windows: Sequence[Window], training: Training) -> np.ndarray:
    """The number of frames of each window, for batches of similar length."""
    own = lengths(inputs)[[w.utterance for w in windows]]
    if training.frames is None:
        return own
    starts = np.array([w.start or 0 for w in windows])
    return np.minimum(training.frames, own - starts)


def cut(length: int, start: int | None, size: int | None, crop: np.random.Generator | None) -> slice:
    """The frames of one window of an utterance with `length` frames."""
    if size is None:
        return slice(0, length)
    if start is None:
        spare = max(0, length - size)
        start = spare // 2 if crop is None else int(crop.integers(0, spare + 1)) if spare else 0
    return slice(start, start + size)
