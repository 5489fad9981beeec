"""The two spaces before and after alignment, drawn in one projection. Equal inputs give equal bytes.

Letters: n words shown, d dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ser.files import replacing
from ser.words.alignment import Aligned
from ser.words.vectors import Vectors

SHOWN = 40  # words: as many as one page labels legibly (ours)
_SPEECH, _TEXT = "#d95f02", "#1b66a5"  # told apart by those who see no red, and by their marks


def chosen(speech: Vectors, text: Vectors, topics: Mapping[str, str] | None = None, count: int = SHOWN) -> np.ndarray:
    """Rows (n, 2) of the words to show: the most frequent both have, of those with a topic where there are
    any."""
    shared = speech.shared(text)
    known = [p for p in shared if speech.words[p[0]] in topics] if topics else []
    return (np.array(known, dtype=np.int64) if known else shared)[:count]


def spaces(speech: Vectors, text: Vectors, aligned: Aligned, path: Path, title: str, pairs: np.ndarray) -> Path:
    """Left speech and text before the map, right after it; the same plane in both, the two main axes (PCA) of text and
    mapped speech. Writes a PNG and returns its path. `pairs` (n, 2) are the words shown (`chosen`)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    s = aligned.speech(speech.matrix)[pairs[:, 0]]
    mapped, t = s @ aligned.w.T, aligned.text(text.matrix)[pairs[:, 1]]
    middle, axes = plane(np.concatenate([mapped, t]))
    before, after, target = ((rows - middle) @ axes.T for rows in (s, mapped, t))
    words = [speech.words[i] for i in pairs[:, 0]]
    figure = Figure(figsize=(16, 8.6), layout="constrained")
    FigureCanvasAgg(figure)  # no display, and no global state of pyplot
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    for panel, ours, name in zip(panels, (before, after), ("before", "after"), strict=True):
        _panel(panel, ours, target, words)
        panel.set_title(f"{name} alignment", fontsize=11)
    panels[0].legend(loc="upper left", fontsize=9)
    figure.suptitle(title, fontsize=11)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=100, metadata={"Software": None})
    return Path(path)


def plane(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (d,) of rows (n, d) and their two main axes (2, d), each turned so that its largest part is positive."""
    middle = rows.mean(0)
    axes = np.linalg.svd(rows - middle, full_matrices=False)[2][:2]
    signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])
    return middle, axes * signs[:, None]


def _panel(panel: Any, speech: np.ndarray, text: np.ndarray, words: Sequence[str]) -> None:
    for a, b in zip(speech, text, strict=True):
        panel.plot([a[0], b[0]], [a[1], b[1]], color="0.85", linewidth=0.7, zorder=0)
    for points, colour, mark, name in ((text, _TEXT, "o", "text"), (speech, _SPEECH, "^", "speech")):
        panel.scatter(points[:, 0], points[:, 1], color=colour, marker=mark, s=18, label=name)
        for (x, y), word in zip(points, words, strict=True):
            panel.annotate(word, (x, y), xytext=(3, 2), textcoords="offset points", fontsize=7.5, color=colour)
    panel.set_xlabel("first main axis")
    panel.set_ylabel("second main axis")
