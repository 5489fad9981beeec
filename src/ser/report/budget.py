"""Score against cost: what the dev part says after a part of a training's core-minutes.

Every network that is evaluated on a dev part leaves a learning curve, so that nothing has to be trained again with
fewer steps. Only the schedule of the learning rate makes a difference: a shorter training would have lowered it sooner.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ser.report import cost
from ser.report.tables import Table

PARTS = (0.125, 0.25, 0.5, 1.0)  # ours: of the cost of a training


def table(curves: Mapping[str, pd.DataFrame], costs: Mapping[str, Mapping[str, Any]]) -> Table | None:
    """One row per training with a curve on dev and a known cost: the mean score on dev over folds and seeds after each
    part of it, and the core-minutes up to there. None where no training has both."""
    rows = []
    for name, curve in curves.items():
        known = costs.get(name, {})
        if "dev_score" not in curve or curve["dev_score"].notna().sum() < 1 / PARTS[0] or not known.get("folds"):
            continue
        there = curve.dropna(subset="dev_score")
        last = there["evaluation"].max()
        after = [there[there["evaluation"] <= part * last].iloc[-1] for part in PARTS]
        cells = [
            f"{row['dev_score']:.2f} ({cost.core_minutes(known, part)})" for part, row in zip(PARTS, after, strict=True)
        ]
        rows.append((name, *cells, f"{there['dev_score'].max():.2f}"))
    header = ("experiment", *(f"{part:.1%} of the training".replace(".0%", "%") for part in PARTS), "best on dev")
    return Table("Score against cost", header, rows) if rows else None
