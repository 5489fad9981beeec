"""How long the trainings of a study take, by what they cost before: the last line of `ser study status`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from ser.compute import workers
from ser.files import read_json
from ser.layout import Layout

CHECKPOINTS = Path("checkpoints")  # where trainings leave what they cost, outside git and DVC


def estimate(name: str, stages: Iterable[str]) -> list[str]:
    """One line: the minutes of the trainings among `stages` by what they cost before, longest first; none without
    trainings. Other stages leave no times and are not counted."""
    times = {"train": _train_seconds, "pretrain": _pretrain_seconds}
    parts = {stage: stage.partition("@") for stage in stages}
    taken = {stage: times[kind](name, what) for stage, (kind, _, what) in parts.items() if kind in times}
    known = {stage: seconds for stage, seconds in taken.items() if seconds is not None}
    words = []
    if known:
        each = [f"{s} {_minutes(known[s])}" for s in sorted(known, key=lambda s: -known[s])]
        words.append(f"training, by past runs: {_minutes(sum(known.values()))} ({', '.join(each)})")
    if len(known) < len(taken):
        words.append("no past run to time: " + ", ".join(s for s in taken if s not in known))
    return ["; ".join(words)] if words else []


def _minutes(seconds: float) -> str:
    return f"{max(1, round(seconds / 60))} min" if seconds >= 30 else f"{math.ceil(seconds)} s"


def _train_seconds(study: str, experiment: str) -> float | None:
    """Seconds on the clock that an experiment takes: the mean of its last run's folds, in as many rounds as this
    machine's workers need."""
    path = Layout(study).cost(experiment)
    cost = read_json(path) if path.exists() else {}
    if not cost.get("folds"):
        return None
    settings = Layout(study).data / "settings" / "run.json"
    jobs = workers(read_json(settings) if settings.exists() else None, "cpu" if cost["device"] == "cpu" else "cuda")
    return math.ceil(cost["folds"] / jobs) * cost["seconds"] / cost["folds"]


def _pretrain_seconds(study: str, name: str) -> float | None:
    """Seconds of the newest pretraining of as many steps: what a pretraining cost does not say whose it was."""
    from ser.pretraining.settings import Settings

    settings = Layout(study).data / "settings" / "pretrain" / f"{name}.json"
    if not settings.exists():
        return None
    steps = read_json(settings)["settings"].get("steps", Settings.steps)
    paths = sorted((CHECKPOINTS / "pretraining").glob("*/cost.json"), key=lambda p: p.stat().st_mtime)
    same = [cost["seconds"] for cost in map(read_json, paths) if cost["steps"] == steps]
    return same[-1] if same else None
