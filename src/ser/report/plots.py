"""Pictures of a study as PNG: confusion matrices, and the headline metric of all experiments with its intervals.

Equal inputs give equal bytes: the files carry neither date nor software.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ser.evaluation import intervals, metrics
from ser.evaluation.predictions import Predictions, read
from ser.report import canvas, traces
from ser.report.canvas import INK, SOFT


def draw(
    study: str,
    experiments: Mapping[str, Mapping[str, Any]],
    predictions: Mapping[str, str | Path | Predictions],
    folder: str | Path,
) -> list[Path]:
    """All plots of a study in `folder`: ``ua.png``, ``ccc.png``, ``confusion-<experiment>.png``,
    ``traces-<experiment>.png``; returns their paths.

    `experiments`: name -> metrics file; `predictions`: name -> its predictions, or the path of their file.
    """
    paths = []
    for metric in ("ua", "ccc"):
        shown = {n: m for n, m in experiments.items() if m.get(metric) is not None}
        if shown:
            paths.append(interval_plot(study, shown, Path(folder) / f"{metric}.png", metric))
    for name, given in predictions.items():
        found = given if isinstance(given, Predictions) else read(given)
        synthetic = experiments[name]["about"][0]["data"] == "synthetic"
        if found.kind == "classification":
            paths.append(confusion_plot(found, Path(folder) / f"confusion-{name}.png", name, synthetic))
        else:
            drawn = traces.traces_plot(found, Path(folder) / f"traces-{name}.png", name, synthetic)
            paths += [drawn] if drawn else []
    return paths


def confusion_plot(predictions: Predictions, path: str | Path, title: str, synthetic: bool) -> Path:
    """Confusion matrix summed over folds and seeds; colour and upper number: share of the true class, lower: count."""
    by_seed = intervals.confusions(predictions, "corpus").sum(axis=1)  # (R, K, K)
    matrix, seeds, K = by_seed.sum(axis=0), len(by_seed), len(predictions.classes)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    # placed by hand: matplotlib's constrained layout draws every figure twice, half of a report's time
    names = 0.4 + 0.09 * max(map(len, predictions.classes))  # inches the names take
    width, height = names + 0.3 + 0.8 * K, names + 0.9 + 0.7 * K
    figure = canvas.figure(width, height, layout=None)
    axes = figure.add_axes((names / width, names / height, 0.8 * K / width, 0.7 * K / height))
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for i, j in np.ndindex(K, K):
        color = "white" if share[i, j] > 0.5 else "black"
        axes.text(j, i, f"{share[i, j]:.0%}\n{matrix[i, j]}", ha="center", va="center", color=color, fontsize=8)
    axes.set_xticks(range(K), predictions.classes, rotation=40, ha="right")
    axes.set_yticks(range(K), predictions.classes)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    wa, ua = metrics.wa(by_seed).mean(), metrics.ua(by_seed).mean()
    note = f", mean of {seeds} seeds; counts are their sum" if seeds > 1 else ""
    axes.set_title(f"{title}{canvas.mark(synthetic)}\nWA {wa:.2f}, UA {ua:.2f}{note}", fontsize=10)
    return canvas.save(figure, path)


def interval_plot(
    study: str, experiments: Mapping[str, Mapping[str, Any]], path: str | Path, metric: str = "ua"
) -> Path:
    """One metric of all experiments with intervals; hollow: speaker-dependent; tick: chance, 1 / number of classes."""
    figure = canvas.figure(8.5, 1.5 + 0.34 * len(experiments))
    axes = figure.add_subplot()
    labels, synthetic, interval = [], False, None
    for y, (name, numbers) in enumerate(experiments.items()):
        (about,) = numbers["about"]
        value, low, high = numbers[metric], numbers.get(f"{metric}_low"), numbers.get(f"{metric}_high")
        if low is not None and high is not None:
            axes.plot([low, high], [y, y], color=INK, linewidth=2)
        fill = "white" if about.get("speaker_independent") is False else INK
        axes.plot(value, y, "o", color=INK, markerfacecolor=fill, markersize=7)
        if metric == "ua" and about.get("classes"):
            axes.plot(1 / len(about["classes"]), y, "|", color=SOFT, markersize=10)
        labels.append(name + (" [SYNTHETIC]" if about["data"] == "synthetic" else ""))
        synthetic |= about["data"] == "synthetic"
        interval = interval or about.get("interval")
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlim(min(0, axes.get_xlim()[0]), 1)
    axes.grid(axis="x", color="#dddddd")
    axes.set_axisbelow(True)
    bars = metric.upper()
    if interval:
        bars += f", {interval['confidence']:.0%} interval over test {interval['unit']}s"
    extra = "; hollow: speaker-dependent" + ("; grey tick: chance" if metric == "ua" else "")
    axes.set_xlabel(bars + extra, fontsize=8, x=1.0, ha="right")  # flush right: long labels leave the axes little width
    axes.set_title(f"Study {study}{canvas.mark(synthetic)}", fontsize=10)
    return canvas.save(figure, path)
