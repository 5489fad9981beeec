"""Predicted against gold traces of one recording, a panel a dimension, as PNG. Equal inputs give equal bytes.

Letters: N frames of the recording, D dimensions.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ser.evaluation import metrics
from ser.evaluation.pooling import labelled
from ser.evaluation.predictions import PREDICTION, TRUTH, Predictions
from ser.report import canvas
from ser.report.canvas import INK

GOLD = "#c2571a"  # apart from the blue of the predictions also for those who see no red


def traces_plot(
    predictions: Predictions, path: str | Path, title: str, synthetic: bool, recording: str | None = None
) -> Path | None:
    """Draws `recording`, by default the one whose CCC is the middle one of all (`typical`); a line a seed. Returns the
    path, None for predictions without any label."""
    found = labelled(predictions)[0]
    if found.table.empty:
        return None
    name = typical(found) if recording is None else recording
    rows = found.table[found.table["utterance"] == name]
    several = f", {rows['seed'].nunique()} seeds" if rows["seed"].nunique() > 1 else ""
    figure = canvas.figure(9, 0.8 + 1.5 * len(found.dimensions))
    panels = figure.subplots(len(found.dimensions), 1, sharex=True, squeeze=False)[:, 0]
    for panel, dimension in zip(panels, found.dimensions, strict=True):
        first = rows[rows["seed"] == rows["seed"].iloc[0]]
        panel.plot(first["time"], first[TRUTH + dimension], color=GOLD, linewidth=1.6, label="gold")
        for seed, own in rows.groupby("seed"):
            label = f"predicted{several}" if seed == first["seed"].iloc[0] else None
            panel.plot(own["time"], own[PREDICTION + dimension], color=INK, linewidth=0.8, alpha=0.7, label=label)
        low, high = panel.dataLim.intervaly
        panel.set_ylim(min(low, -1), max(high, 1))  # labels of another scale than [-1, 1] stay in sight
        panel.set_ylabel(f"{dimension}\nCCC {_ccc(rows, dimension):.2f}", fontsize=9)
        panel.grid(axis="y", color="#dddddd")
    panels[0].legend(loc="upper left", fontsize=7, ncols=2)
    panels[-1].set_xlabel("seconds", fontsize=9)
    which = f" (middle CCC of {found.table['utterance'].nunique()})" if recording is None else ""
    panels[0].set_title(f"{title}{canvas.mark(synthetic)}, recording {name}{which}", fontsize=10)
    return canvas.save(figure, path)


def typical(predictions: Predictions) -> str:
    """The recording whose CCC, mean over dimensions and seeds, is the middle one (the upper of two; equal ones by
    name): neither the best nor the worst stands for the rest."""
    values = {
        str(name): float(np.mean([_ccc(rows, d) for d in predictions.dimensions]))
        for name, rows in predictions.table.groupby("utterance")
    }
    ordered = sorted(values, key=lambda name: (values[name], name))
    return ordered[len(ordered) // 2]


def _ccc(rows: pd.DataFrame, dimension: str) -> float:
    """Mean over seeds."""
    found = []
    for _, own in rows.groupby("seed"):
        truth = own[TRUTH + dimension].to_numpy()
        found.append(metrics.ccc(own[PREDICTION + dimension], truth, ~np.isnan(truth)))
    return float(np.mean(found))
