"""Figures of the emotion-embedding autoencoder: latents of test utterances, reconstructions under other emotions.

P2's figure is captioned "t-SNE of the emotion embedding" but has one point a test sample, where an embedding table
has K points in all; so ours shows mean latents and says so (papers.md 5.8, no 10).

Letters: N test utterances, T frames, F bins, H hidden width, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ser.files import replacing

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PERPLEXITY = 30.0  # scikit-learn's default; fewer utterances lower it
SEED = 0  # of t-SNE
MARKERS = "os^DvPX*"  # beside the colours, of which some are near each other in grey
DPI = 110


def draw(artefacts: Mapping[str, np.ndarray], test: pd.DataFrame, outputs: tuple[str, ...], folder: Path) -> None:
    """``latents.png`` (with three utterances or more) and ``reconstructions.png`` in `folder`. `artefacts` as
    `emotion_autoencoder.Model.artefacts` gives them; `test`: utterance, speaker, emotion, perhaps synthetic, in the
    order of the positions."""
    mark = " (SYNTHETIC data)" if (test.get("synthetic", np.zeros(1)) == 1).any() else ""
    if len(artefacts["latents"]) >= 3:
        _save(latents(artefacts["latents"], test, outputs, mark), folder / "latents.png")
    _save(reconstructions(artefacts, test, outputs, mark), folder / "reconstructions.png")


def latents(values: np.ndarray, test: pd.DataFrame, outputs: Sequence[str], mark: str) -> Figure:
    """(N, H), N >= 3: t-SNE in two panels, coloured by emotion and by speaker."""
    from sklearn.manifold import TSNE

    perplexity = min(PERPLEXITY, (len(values) - 1) / 3)
    points = TSNE(init="pca", perplexity=perplexity, random_state=SEED).fit_transform(values)
    figure = _figure(11, 5)
    panels = figure.subplots(1, 2)
    emotions = [e for e in outputs if e in set(test["emotion"])]
    _scatter(panels[0], points, test["emotion"].to_numpy(), emotions, "emotion")
    _scatter(panels[1], points, test["speaker"].to_numpy(), sorted(set(test["speaker"])), "speaker")
    figure.suptitle(f"t-SNE of mean latents of test utterances, first fold, perplexity {perplexity:.0f}{mark}")
    return figure


def _scatter(axes: Axes, points: np.ndarray, groups: np.ndarray, names: Sequence[str], title: str) -> None:
    import matplotlib

    colors = matplotlib.color_sequences["petroff10"]  # told apart by colour-blind readers too
    for i, name in enumerate(names):
        own = points[groups == name]
        marker = MARKERS[i % len(MARKERS)]
        color = colors[i % len(colors)]
        axes.scatter(own[:, 0], own[:, 1], s=34, color=color, marker=marker, lw=0.3, edgecolors="white", label=name)
    axes.set(title=f"by {title}", xticks=[], yticks=[], xlabel="t-SNE 1", ylabel="t-SNE 2")
    axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))


def reconstructions(
    artefacts: Mapping[str, np.ndarray], test: pd.DataFrame, outputs: Sequence[str], mark: str
) -> Figure:
    """One row an example: its crop, and reconstruction and difference with the true emotion's embedding and with
    another's, which is the other example's emotion where that differs."""
    emotions = [test["emotion"].iloc[int(i)] for i in artefacts["examples"]]
    frame_rate, rate = artefacts["axes"]
    figure = _figure(15, 6)
    rows = figure.subplots(len(emotions), 5, sharex=True, sharey=True, squeeze=False)
    for row, position, x, y, other in zip(
        rows, artefacts["examples"], artefacts["inputs"], artefacts["reconstructions"], emotions[::-1], strict=True
    ):
        k = outputs.index(test["emotion"].iloc[int(position)])
        swapped = outputs.index(other) if outputs.index(other) != k else (k + 1) % len(outputs)
        size = (0, len(x) / frame_rate, 0, rate / 2000)  # seconds, kHz
        bounded = _show(row[0], x, size, f"{test['utterance'].iloc[int(position)]}: input, {outputs[k]}")
        for i, (label, name) in enumerate(((k, "its own"), (swapped, "swapped"))):
            _show(row[1 + 2 * i], y[label], size, f"as {outputs[label]} ({name})")
            signed = _show(row[2 + 2 * i], y[label] - x, size, "minus input", signed=True)
        row[0].set_ylabel("frequency in kHz")
    for axes in rows[-1]:
        axes.set_xlabel("time in s")
    figure.colorbar(bounded, ax=rows, label="log magnitude", fraction=0.02, pad=0.01)
    figure.colorbar(signed, ax=rows, label="difference", fraction=0.02, pad=0.01)
    figure.suptitle(f"Reconstruction with the embedding of the true emotion and of another one, test utterances{mark}")
    return figure


def _show(axes: Axes, x: np.ndarray, size: tuple[float, float, float, float], title: str, signed: bool = False):
    """(T, F) with time to the right; the feature lies in [0, 1], differences are cut at +-0.3 to be seen."""
    low, high, colors = (-0.3, 0.3, "RdBu_r") if signed else (0.0, 1.0, "viridis")
    axes.set_title(title, fontsize=9)
    return axes.imshow(x.T, origin="lower", aspect="auto", extent=size, vmin=low, vmax=high, cmap=colors)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)  # no display, and no global state of pyplot
    return figure


def _save(figure: Figure, path: Path) -> None:
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=DPI, metadata={"Software": None})
