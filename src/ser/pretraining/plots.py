"""Sample reconstructions as one picture: what the encoder heard, what was hidden, what it filled in.

Equal inputs give equal bytes. Letters: B samples, T frames, F columns.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ser.files import replacing
from ser.models.layers.mockingjay import masked

if TYPE_CHECKING:
    from torch import Tensor

    from ser.pretraining.data import Batch

SHOWN, SAMPLES = 300, 3  # frames of a sample (3 s) and samples: what one page shows legibly (ours)
COLUMNS = ("original", "masked (input)", "masked frames filled in", "|difference| on masked frames")


def chosen(frames: np.ndarray) -> tuple[int, ...]:
    """Indices of the utterances to draw: the shortest, middle and longest of those that fill the picture best."""
    order = np.argsort(frames, kind="stable")
    long = order[frames[order] >= SHOWN]
    order = long if len(long) >= SAMPLES else order[-SAMPLES:]
    picks = np.linspace(0, len(order) - 1, min(SAMPLES, len(order))).round().astype(int)
    return tuple(int(order[i]) for i in picks)


def reconstructions(batch: Batch, predicted: Tensor, path: Path, title: str, frame_rate: float) -> Path:
    """`predicted` (B, T, F) from the masked input; `frame_rate` frames a second. Writes a PNG and returns its path."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    B, heard = len(batch.x), masked(batch.x, batch.masks)
    figure = Figure(figsize=(14, 1.1 + 2.2 * B), layout="constrained")
    FigureCanvasAgg(figure)  # no display, and no global state of pyplot
    axes = figure.subplots(B, len(COLUMNS), squeeze=False, sharey=True)
    for b in range(B):
        length = min(SHOWN, int(batch.lengths[b]))
        x, x_in, y, hidden = (t[b, :length].numpy() for t in (batch.x, heard, predicted, batch.masks.loss))
        filled = np.where(hidden[:, None], y, x)
        images = (x, x_in, filled, np.where(hidden[:, None], np.abs(x - y), 0))
        for axis, image, name in zip(axes[b], images, COLUMNS, strict=True):
            is_difference = name == COLUMNS[-1]
            shown = axis.imshow(
                image.T,
                origin="lower",
                aspect="auto",
                interpolation="nearest",
                cmap="magma" if is_difference else "viridis",
                vmin=0 if is_difference else -2.5,
                vmax=2.5,
                extent=(0, length / frame_rate, 0, image.shape[1]),
            )
            _marks(axis, hidden, frame_rate)
            if b == 0:
                axis.set_title(name, fontsize=10)
            if b == B - 1:
                axis.set_xlabel("seconds")
            if is_difference or name == COLUMNS[2]:
                figure.colorbar(shown, ax=axis, fraction=0.05)
        axes[b][0].set_ylabel("band")
    figure.suptitle(title, fontsize=11)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=100, metadata={"Software": None})
    return Path(path)


def _marks(axis: object, hidden: np.ndarray, frame_rate: float) -> None:
    """A red line below every masked stretch."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], hidden.astype(int), [0]])))
    for first, last in edges.reshape(-1, 2) / frame_rate:
        axis.plot([first, last], [0, 0], color="red", linewidth=4, solid_capstyle="butt", clip_on=False)  # type: ignore[attr-defined]
