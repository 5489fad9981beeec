"""What `dvc exp show` and `dvc plots show` need of a whole study: one short file of numbers, and the learning curves of
each group of experiments in one table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import pandas as pd

from ser.core.files import file_name, read_csv, remove, write_json, write_text
from ser.core.layout import Layout
from ser.evaluation.results import SHOWN, Result, label

COLUMNS = ["experiment", "evaluation", "train_loss", "dev_score"]
FEWEST = 3  # points of a curve: the two values of C that an SVM compares are none


def write(layout: Layout, experiments: Mapping[str, Mapping[str, Any]], found: Sequence[Result]) -> None:
    """Writes ``summary.json``, and ``plots/<folds>.csv`` for each group of experiments on the same folds.

    DVC makes a column of `dvc exp show` of every number of every file, and fills the terminal from the left. The means
    over the systems come first, so that they are always to be seen, and say at once whether anything changed; they
    compare runs of one study and nothing else.
    """
    write_json(layout.metrics / "summary.json", summary(found))
    remove(layout.metrics / "plots", layout.metrics)
    (layout.metrics / "plots").mkdir()  # also where no experiment has a curve: DVC wants its output
    for folds, table in curves(layout, experiments).items():
        write_text(layout.metrics / "plots" / f"{file_name(folds)}.csv", table.to_csv(index=False))


def summary(found: Sequence[Result]) -> dict[str, float]:
    """``mean UA`` and ``mean CCC`` over the systems of a study, without controls and the majority class."""
    systems = [r for r in found if not r.description.is_control and r.description.model != "majority"]
    values: dict[str, list[float]] = {}
    for result in systems:
        if result.headline.value is not None:
            values.setdefault(f"mean {label(result.description.headline)}", []).append(result.headline.value)
    return {name: round(fmean(values[name]), SHOWN) for name in sorted(values, reverse=True)}


def curves(layout: Layout, experiments: Mapping[str, Mapping[str, Any]]) -> dict[str, pd.DataFrame]:
    """Folds -> the curves of all experiments on them, one row per evaluation. An ensemble has no curve."""
    groups: dict[str, list[pd.DataFrame]] = {}
    for name, own in experiments.items():
        path = layout.curves(name)
        if path.exists() and len(table := read_csv(path)) >= FEWEST:
            groups.setdefault(own["folds"], []).append(table.assign(experiment=name).reindex(columns=COLUMNS))
    return {folds: pd.concat(tables, ignore_index=True) for folds, tables in groups.items()}
