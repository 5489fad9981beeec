"""Tables over all systems of a study: what all of them get wrong, speakers, calibration, cost of training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup

from ser.evaluation import metrics, results
from ser.report import charts, cost
from ser.report.explorer import Group
from ser.report.sound import Players
from ser.report.study import Experiment, Study
from ser.report.tables import Cell, Table, number, slug

SHOWN = 12  # ours: utterances that are shown at once; the others are folded
WIDEST = 12  # ours: columns of speakers; more become quantiles
QUANTILES = {"lowest": 0.0, "quarter": 0.25, "median": 0.5, "three quarters": 0.75, "highest": 1.0}


class Missed(NamedTuple):
    """The utterances of a group that every system gets wrong."""

    sentence: str
    first: Table | None
    rest: Table | None
    remark: str


def missed(group: Group, players: Players) -> Missed:
    found = group.misses()
    systems = [s for s in group.systems if not s.baseline]
    if len(systems) < 2:
        return Missed(f"{group.title}: one system only.", None, None, "")
    sentence = (
        f"{group.title}: {len(found)} ({len(found) / len(group.table):.0%}) are wrong in all {len(systems)} systems "
        "(highest mean score over the seeds)."
    )
    corpora = set(group.table["corpus"])
    rows = [_missed(group, int(k), players) for k in found]
    first = _table("Wrong in every system, the surest errors first", rows[:SHOWN])
    rest = _table("The others that are wrong in every system", rows[SHOWN:])
    reasons = sorted({players.reasons[c] for c in corpora if c in players.reasons})
    return Missed(sentence, first, rest, "; ".join(reasons))


def _table(caption: str, rows: Sequence[Sequence[object]]) -> Table | None:
    header = ("utterance", "speaker", "true", "predicted by the systems", "mean score of the true class")
    return Table(caption, (*header, "listen", "spectrogram"), rows, "missed") if rows else None


def _missed(group: Group, k: int, players: Players) -> Sequence[object]:
    row, systems = group.table.iloc[k], [s for s in group.systems if not s.baseline]
    votes = Counter(group.classes[int(s.scores[k].argmax())] for s in systems)
    of_truth = np.mean([s.scores[k, group.truth[k]] for s in systems])
    name = (row["corpus"], row["utterance"])
    return (
        row["utterance"],
        row["speaker"],
        row["truth"],
        Cell(", ".join(f"{label} {n}" for label, n in votes.most_common()), kind="text"),
        f"{of_truth:.2f}",
        players.player(*name) or "",
        players.picture(*name) or "",
    )


def speakers(group: Group) -> Table | None:
    """UA of each system for each speaker, or its quantiles where there are many; None for a single speaker."""
    names = sorted(set(group.table["speaker"]))
    if len(names) < 2:
        return None
    truth, K = group.truth, len(group.classes)
    masks = [(group.table["speaker"] == name).to_numpy() for name in names]
    few, rows = len(names) <= WIDEST, []
    for system in group.systems:
        values = np.array([_ua(system.runs[:, own], truth[own], K) for own in masks])
        shown = values if few else np.nanquantile(values, list(QUANTILES.values()))
        cells = [charts.shaded(v, number(v, 2)) for v in shown]
        rows.append((Cell(system.experiment.name, href=slug(system.experiment.name)), *cells))
    counts = [int(own.sum()) for own in masks]
    header = [f"{n} ({c})" for n, c in zip(names, counts, strict=True)] if few else list(QUANTILES)
    what = "speakers, with their utterances" if few else f"quantiles over {len(names)} speakers"
    return Table(f"{group.title}: UA by speaker; columns are {what}", ("experiment", *header), rows, "heat")


def _ua(runs: np.ndarray, truth: np.ndarray, K: int) -> float:
    """UA of runs (R, n) of one speaker, the mean over runs."""
    values = [metrics.macro_recall(truth[run >= 0], run[run >= 0], K) for run in runs if (run >= 0).any()]
    return float(np.mean(values)) if values else float("nan")


def calibration(study: Study) -> Table | None:
    """Calibration errors of all systems whose scores are probabilities."""
    rows = []
    for e in study.experiments.values():
        found = e.result.calibration
        if not found:
            continue
        pairs = [number(found[k][name]) if k in found else "-" for name in ("ece", "nll") for k in ("before", "after")]
        rows.append((Cell(e.name, href=slug(e.name)), *pairs, number(found.get("temperature"), 2)))
    header = ("experiment", "ECE", "ECE, scaled", "negative log likelihood", "the same, scaled", "temperature")
    return Table("Calibration of the scores", header, rows) if rows else None


class Costs(NamedTuple):
    """What training took, and the curve of score against cost."""

    table: Table
    charts: Sequence[Markup]


def costs(study: Study) -> Costs | None:
    """Core-minutes (time of all folds and seeds times threads) of each training; None where nothing was measured."""
    timed = {name: c for name, c in study.costs.items() if c.get("folds")}
    if not timed:
        return None
    spent = {name: cost.minutes(c) for name, c in timed.items()}
    numbered = {name: k + 1 for k, name in enumerate(sorted(spent, key=spent.__getitem__))}
    rows = [_cost(numbered[name], study.experiments[name], timed[name]) for name in numbered]
    header = ("experiment", "no.", "core-minutes", "score", "memory", "threads", "device", "parameters")
    drawn, groups = [], dict.fromkeys((study.experiments[n].about.corpus, study.experiments[n].headline) for n in timed)
    for corpus, metric in groups:
        own = [study.experiments[n] for n in timed if study.experiments[n].about.corpus == corpus]
        points = [
            charts.Point(spent[e.name], value, str(numbered[e.name]), e.name)
            for e in own
            if e.headline == metric and (value := e.result.headline.value) is not None
        ]
        if len(points) > 1:
            label = results.label(metric)
            drawn.append(charts.frontier(f"{corpus}: {label} against cost", points, "core-minutes", label))
    return Costs(Table("Cost of training, the cheapest first", header, rows, "sortable costs"), drawn)


def _cost(position: int, e: Experiment, spent: Mapping[str, Any]) -> Sequence[object]:
    return (
        Cell(e.name, href=slug(e.name)),
        position,
        cost.core_minutes(spent),
        f"{results.label(e.headline)} {results.text(e.result.headline)}",
        cost.size(spent["peak_bytes"]) if "peak_bytes" in spent else "-",
        spent.get("threads", "-"),
        str(spent.get("device") or "-"),
        cost.parameters(e.card) or "-",
    )
