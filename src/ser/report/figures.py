"""The figures of a study, drawn with matplotlib from predictions and from arrays that the stages leave behind.

A stage stores arrays and draws nothing. These are read where they exist:

``artefacts`` of a card
    The .npz of the first fold in the cache. An emotion-embedding autoencoder leaves ``latents`` (N, H), means over the
    frames of each test utterance; ``examples`` (E,), positions of the examples among the N; ``inputs`` (E, T, F);
    ``reconstructions`` (E, K, T, F), one per emotion; ``axes`` (2,), frames per second and samples per second.
    ``utterances`` (N,) are their names, where they are not the test part of the first fold.
``data/<study>/pretrained/<name>/samples.npz``
    ``original``, ``masked`` and ``predicted`` (B, T, F), ``hidden`` (B, T), ``lengths`` (B,), ``frame_rate`` ().
``data/<study>/words/<name>/spaces.npz``
    ``words`` (n,), ``speech`` and ``mapped`` (n, d) before and after the alignment, ``text`` (n, d).

Files carry neither date nor software: equal inputs give equal bytes. Letters: N utterances or frames, K classes, D
dimensions, T frames, F bins, n words, d dimensions of a word vector, B and E samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from ser.core.files import replacing
from ser.evaluation import intervals, metrics, results
from ser.evaluation.predictions import PREDICTION, TRUTH, Predictions
from ser.evaluation.results import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, SOFT = "#1f4e79", "#8a8a8a"
GOLD, SPEECH = "#c2571a", "#d95f02"  # differ from the blue also for readers who see no red
MARKERS = "os^DvPX*"  # used with the colours, some of which look the same in grey
PERPLEXITY = 30.0  # of t-SNE: the default of scikit-learn; fewer utterances lower it
SEED = 0  # of t-SNE
SHOWN = 300  # frames of a sample of the pretraining: 3 s, what one page shows legibly (ours)
COLOURS = 64  # of a picture of spectrograms: a quarter of the bytes, and no difference that the eye sees
MASKING = ("original", "masked (input)", "masked frames filled in", "|difference| on masked frames")


def confusion(predictions: Predictions, title: str) -> Figure:
    """Confusion matrix summed over folds and seeds; colour and upper number: share of the true class, lower: count."""
    by_seed = intervals.confusions(predictions, "corpus").sum(axis=1)  # (R, K, K)
    matrix, seeds, K = by_seed.sum(axis=0), len(by_seed), len(predictions.classes)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    # placed by hand: the constrained layout of matplotlib draws every figure twice, half of the time of a report
    names = 0.4 + 0.09 * max(map(len, predictions.classes))  # inches that the names take
    width, height = names + 0.3 + 0.8 * K, names + 0.9 + 0.7 * K
    figure = _figure(width, height, layout=None)
    axes = figure.add_axes((names / width, names / height, 0.8 * K / width, 0.7 * K / height))
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for i, j in np.ndindex(K, K):
        color = "white" if share[i, j] > 0.5 else "black"
        axes.text(j, i, f"{share[i, j]:.0%}\n{matrix[i, j]}", ha="center", va="center", color=color, fontsize=8)
    axes.set_xticks(range(K), predictions.classes, rotation=40, ha="right")
    axes.set_yticks(range(K), predictions.classes)
    axes.set(xlabel="predicted", ylabel="true")
    note = f", mean of {seeds} seeds; counts are their sum" if seeds > 1 else ""
    numbers = f"WA {metrics.wa(by_seed).mean():.2f}, UA {metrics.ua(by_seed).mean():.2f}"
    axes.set_title(f"{title}\n{numbers}{note}", fontsize=10)
    return figure


def scores(study: str, found: Sequence[Result], metric: str) -> Figure:
    """One metric of all experiments with intervals; hollow: speaker-dependent; tick: chance, 1 / number of classes."""
    figure = _figure(8.5, 1.5 + 0.34 * len(found))
    axes = figure.add_subplot()
    for y, result in enumerate(found):
        about, score = result.description, result.scores[metric]
        if score.low is not None and score.high is not None:
            axes.plot([score.low, score.high], [y, y], color=INK, linewidth=2)
        assert score.value is not None
        fill = "white" if about.speaker_independent is False else INK
        axes.plot(score.value, y, "o", color=INK, markerfacecolor=fill, markersize=7)
        if metric == "ua":
            axes.plot(1 / len(about.labels), y, "|", color=SOFT, markersize=10)
    axes.set_yticks(range(len(found)), [r.description.experiment + mark(r) for r in found])
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.set_xlim(min(0, axes.get_xlim()[0]), 1)
    axes.grid(axis="x", color="#dddddd")
    axes.set_axisbelow(True)
    interval = next((r.interval for r in found if r.interval), None)
    bars = f", {interval.confidence:.0%} interval over test {interval.unit}s" if interval else ""
    extra = "; hollow: speaker-dependent" + ("; grey tick: chance" if metric == "ua" else "")
    axes.set_xlabel(results.label(metric) + bars + extra, fontsize=8, x=1.0, ha="right")  # long labels need the width
    axes.set_title(f"Study {study}", fontsize=10)
    return figure


def traces(predictions: Predictions, title: str, recording: str | None = None) -> Figure:
    """Predicted and gold traces of one recording, one panel per dimension and one line per seed; by default of the
    recording whose CCC is the middle one (`typical`)."""
    name = typical(predictions) if recording is None else recording
    rows = predictions.table[predictions.table["utterance"] == name]
    seeds = sorted(set(rows["seed"]))
    figure = _figure(9, 0.8 + 1.5 * len(predictions.dimensions))
    panels = figure.subplots(len(predictions.dimensions), 1, sharex=True, squeeze=False)[:, 0]
    for panel, dimension in zip(panels, predictions.dimensions, strict=True):
        first = rows[rows["seed"] == seeds[0]]
        panel.plot(first["time"], first[TRUTH + dimension], color=GOLD, linewidth=1.6, label="gold")
        label = "predicted" + (f", {len(seeds)} seeds" if len(seeds) > 1 else "")
        for seed, own in rows.groupby("seed"):
            text = label if seed == seeds[0] else None
            panel.plot(own["time"], own[PREDICTION + dimension], color=INK, linewidth=0.8, alpha=0.7, label=text)
        low, high = panel.dataLim.intervaly
        panel.set_ylim(min(low, -1), max(high, 1))  # labels of another scale than [-1, 1] remain visible
        panel.set_ylabel(f"{dimension}\nCCC {_ccc(rows, dimension):.2f}", fontsize=9)
        panel.grid(axis="y", color="#dddddd")
    panels[0].legend(loc="upper left", fontsize=7, ncols=2)
    panels[-1].set_xlabel("seconds", fontsize=9)
    which = f" (middle CCC of {predictions.table['utterance'].nunique()})" if recording is None else ""
    panels[0].set_title(f"{title}, recording {name}{which}", fontsize=10)
    return figure


def typical(predictions: Predictions) -> str:
    """The recording whose CCC, mean over dimensions and seeds, is the middle one (the upper of two; equal ones by
    name), so that neither the best nor the worst recording represents the others."""
    values = {
        str(name): float(np.mean([_ccc(rows, d) for d in predictions.dimensions]))
        for name, rows in predictions.table.groupby("utterance")
    }
    ordered = sorted(values, key=lambda name: (values[name], name))
    return ordered[len(ordered) // 2]


def latents(values: np.ndarray, test: pd.DataFrame, classes: Sequence[str], title: str) -> Figure:
    """t-SNE of mean latents (N, H) of N >= 3 test utterances, in two panels coloured by emotion and by speaker.

    The figure of P2 is captioned "t-SNE of the emotion embedding" but has one point per test sample, where an
    embedding table has K points in all. Ours shows mean latents and says so (papers.md 5.8, no 10). `test`: columns
    utterance, speaker, emotion, in the order of the values.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    perplexity = min(PERPLEXITY, (len(values) - 1) / 3)
    with threadpool_limits(1):  # threads wait for each other at each of a thousand short steps: .3 s became 33 s
        points = TSNE(init="pca", perplexity=perplexity, random_state=SEED).fit_transform(values)
    figure = _figure(11, 5)
    panels = figure.subplots(1, 2)
    emotions = [e for e in classes if e in set(test["emotion"])]
    _scatter(panels[0], points, test["emotion"].to_numpy(), emotions, "emotion")
    _scatter(panels[1], points, test["speaker"].to_numpy(), sorted(set(test["speaker"])), "speaker")
    figure.suptitle(f"{title}: t-SNE of mean latents of test utterances, first fold, perplexity {perplexity:.0f}")
    return figure


def reconstructions(arrays: Mapping[str, np.ndarray], test: pd.DataFrame, classes: Sequence[str], title: str) -> Figure:
    """One row per example: its crop, and reconstruction and difference with the embedding of the true emotion and with
    that of another one, which is the emotion of the other example where that differs."""
    emotions = [test["emotion"].iloc[int(i)] for i in arrays["examples"]]
    frame_rate, rate = arrays["axes"]
    figure = _figure(15, 6)
    rows = figure.subplots(len(emotions), 5, sharex=True, sharey=True, squeeze=False)
    examples = zip(arrays["examples"], arrays["inputs"], arrays["reconstructions"], emotions[::-1], strict=True)
    for row, (position, x, y, other) in zip(rows, examples, strict=True):
        k = classes.index(test["emotion"].iloc[int(position)])
        swapped = classes.index(other) if classes.index(other) != k else (k + 1) % len(classes)
        size = (0, len(x) / frame_rate, 0, rate / 2000)  # seconds, kHz
        bounded = _show(row[0], x, size, f"{test['utterance'].iloc[int(position)]}: input, {classes[k]}")
        for i, (label, name) in enumerate(((k, "its own"), (swapped, "swapped"))):
            _show(row[1 + 2 * i], y[label], size, f"as {classes[label]} ({name})")
            signed = _show(row[2 + 2 * i], y[label] - x, size, "minus input", signed=True)
        row[0].set_ylabel("frequency in kHz")
    for axes in rows[-1]:
        axes.set_xlabel("time in s")
    figure.colorbar(bounded, ax=rows, label="log magnitude", fraction=0.02, pad=0.01)
    figure.colorbar(signed, ax=rows, label="difference", fraction=0.02, pad=0.01)
    figure.suptitle(f"{title}: reconstruction with the embedding of the true emotion and of another one")
    return figure


def pretraining(arrays: Mapping[str, np.ndarray], title: str) -> Figure:
    """Sample reconstructions: what the encoder reads, what is hidden from it, and what it fills in."""
    B, rate = len(arrays["original"]), float(arrays["frame_rate"])
    figure = _figure(14, 1.1 + 2.2 * B)
    rows = figure.subplots(B, len(MASKING), squeeze=False, sharey=True)
    for b, row in enumerate(rows):
        length = min(SHOWN, int(arrays["lengths"][b]))
        x, x_in, y = (arrays[name][b, :length] for name in ("original", "masked", "predicted"))
        hidden = arrays["hidden"][b, :length].astype(bool)
        images = (x, x_in, np.where(hidden[:, None], y, x), np.where(hidden[:, None], np.abs(x - y), 0))
        for axes, image, name in zip(row, images, MASKING, strict=True):
            difference = name == MASKING[-1]
            shown = axes.imshow(
                image.T,
                origin="lower",
                aspect="auto",
                interpolation="nearest",
                cmap="magma" if difference else "viridis",
                vmin=0 if difference else -2.5,
                vmax=2.5,
                extent=(0, length / rate, 0, image.shape[1]),
            )
            for first, last in _stretches(hidden) / rate:
                axes.plot([first, last], [0, 0], color="red", linewidth=4, solid_capstyle="butt", clip_on=False)
            if b == 0:
                axes.set_title(name, fontsize=10)
            if name in MASKING[2:]:
                figure.colorbar(shown, ax=axes, fraction=0.05)
        row[0].set_ylabel("band")
    for axes in rows[-1]:
        axes.set_xlabel("seconds")
    figure.suptitle(title, fontsize=11)
    return figure


def spaces(arrays: Mapping[str, np.ndarray], title: str) -> Figure:
    """Word vectors of speech and text before (left) and after the alignment, in the plane of the two main axes (PCA) of
    text and mapped speech."""
    speech, mapped, text = (arrays[name] for name in ("speech", "mapped", "text"))
    words = [str(word) for word in arrays["words"]]
    middle, axes = plane(np.concatenate([mapped, text]))
    before, after, target = ((rows - middle) @ axes.T for rows in (speech, mapped, text))
    figure = _figure(16, 8.6)
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    for panel, own, name in zip(panels, (before, after), ("before", "after"), strict=True):
        for a, b in zip(own, target, strict=True):
            panel.plot([a[0], b[0]], [a[1], b[1]], color="0.85", linewidth=0.7, zorder=0)
        for points, colour, marker, label in ((target, INK, "o", "text"), (own, SPEECH, "^", "speech")):
            panel.scatter(points[:, 0], points[:, 1], color=colour, marker=marker, s=18, label=label)
            for place, word in zip(points, words, strict=True):
                panel.annotate(
                    word, tuple(place), xytext=(3, 2), textcoords="offset points", fontsize=7.5, color=colour
                )
        panel.set(xlabel="first main axis", ylabel="second main axis")
        panel.set_title(f"{name} alignment", fontsize=11)
    panels[0].legend(loc="upper left", fontsize=9)
    figure.suptitle(title, fontsize=11)
    return figure


def plane(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (d,) of rows (n, d) and their two main axes (2, d), each turned so that its largest part is positive."""
    middle = rows.mean(0)
    axes = np.linalg.svd(rows - middle, full_matrices=False)[2][:2]
    signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])
    return middle, axes * signs[:, None]


def save(figure: Figure, path: str | Path, dpi: int = 100, colours: int | None = None) -> Path:
    """Writes a PNG, reduced to a palette of `colours` where that is given; returns its path."""
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=dpi, metadata={"Software": None})
        if colours:
            from PIL import Image

            with Image.open(temporary) as image:
                reduced = image.convert("RGB").quantize(colours)
            reduced.save(temporary, optimize=True)
    return Path(path)


def mark(result: Result) -> str:
    return marked(bool(result.description.synthetic))


def marked(synthetic: bool) -> str:
    """What a title says of synthetic data."""
    return " (SYNTHETIC data)" if synthetic else ""


def _figure(width: float, height: float, layout: Literal["constrained"] | None = "constrained") -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(made)  # no display, and no global state of pyplot
    return made


def _scatter(axes: Axes, points: np.ndarray, groups: np.ndarray, names: Sequence[str], title: str) -> None:
    import matplotlib

    colors = matplotlib.color_sequences["petroff10"]  # differ for colour-blind readers too
    for i, name in enumerate(names):
        own, marker = points[groups == name], MARKERS[i % len(MARKERS)]
        color = colors[i % len(colors)]
        axes.scatter(own[:, 0], own[:, 1], s=34, color=color, marker=marker, lw=0.3, edgecolors="white", label=name)
    axes.set(title=f"by {title}", xticks=[], yticks=[], xlabel="t-SNE 1", ylabel="t-SNE 2")
    axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))


def _show(axes: Axes, x: np.ndarray, size: tuple[float, float, float, float], title: str, signed: bool = False) -> Any:
    """(T, F) with time to the right; the feature is between 0 and 1, differences are cut at +-0.3 to be visible."""
    low, high, colors = (-0.3, 0.3, "RdBu_r") if signed else (0.0, 1.0, "viridis")
    axes.set_title(title, fontsize=9)
    return axes.imshow(x.T, origin="lower", aspect="auto", extent=size, vmin=low, vmax=high, cmap=colors)


def _stretches(hidden: np.ndarray) -> np.ndarray:
    """First and last + 1 frame of each masked stretch, (n, 2)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], hidden.astype(int), [0]])))
    return edges.reshape(-1, 2)


def _ccc(rows: pd.DataFrame, dimension: str) -> float:
    """Mean over seeds."""
    found = []
    for _, own in rows.groupby("seed"):
        truth = own[TRUTH + dimension].to_numpy()
        found.append(metrics.ccc(own[PREDICTION + dimension], truth, ~np.isnan(truth)))
    return float(np.mean(found))
