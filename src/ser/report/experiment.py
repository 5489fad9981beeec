"""What the report shows of one experiment: numbers, confusions, classes, speakers, folds, calibration, curves, errors.

Letters: R seeds, U units, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from ser.evaluation import intervals, metrics, pooling, results
from ser.evaluation import postprocessing as options
from ser.evaluation.predictions import PREDICTION, SCORE, TRUTH, Predictions
from ser.evaluation.published import published
from ser.evaluation.results import Score
from ser.report import charts, cost
from ser.report.gallery import Picture
from ser.report.sound import Players
from ser.report.study import Experiment
from ser.report.tables import Cell, Table, number, slug

MOST_UNITS = 40  # ours: rows of a table of speakers; the lowest are shown
WORST = 5  # ours: errors shown per experiment
CALIBRATED = {"before": "as the model gives them", "after": "scaled by a temperature"}
DOTS = 400  # ours: points of a scatter plot
CHOSEN = {  # parameters of post-processing: what they are, and their unit
    "delay_s": ("later by", " s"),
    "window_s": ("median of", " s"),
    "factor": ("times", ""),
    "offset": ("plus", ""),
}


@dataclass(frozen=True)
class Part:
    """One heading of the section with its tables, charts and a remark."""

    title: str
    tables: Sequence[Table] = ()
    charts: Sequence[Markup] = ()
    pictures: Sequence[Picture] = ()
    remark: str = ""


@dataclass(frozen=True)
class Section:
    """The whole section, in the order in which a sceptic reads: what it is, how good, for whom, and how it fails."""

    id: str
    name: str
    synthetic: bool
    score: str
    facts: Sequence[str]
    cost: str
    parts: Sequence[Part] = field(default_factory=list)


def section(e: Experiment, players: Players, pictures: Sequence[Picture] = (), missing: str = "") -> Section:
    """`pictures`: its figures; `missing`: a sentence on figures that cannot be drawn here."""
    parts: list[Part | None] = []
    if e.scored is not None:
        parts.append(Part("Headline", [_headline(e)]))
        if e.scored.kind == "classification":
            parts += [
                _confusion(e.scored, e.name),
                _classes(e.scored, e.result.by_class),
                _units(e, "speaker"),
                _folds(e),
                _calibration(e.result.calibration),
            ]
        else:
            parts += [postprocessing(e), _units(e, pooling.unit_of(e.scored)), _folds(e), _scatters(e.scored)]
    parts.append(_curves(e))
    if e.scored is not None:
        parts.append(_worst(e, players))
    if pictures or missing:
        parts.append(Part("Figures", pictures=pictures, remark=missing))
    return Section(
        slug(e.name),
        e.name,
        e.about.synthetic,
        f"{results.label(e.headline)} {results.text(e.result.headline)}",
        _facts(e),
        cost.sentence(e.card, e.cost),
        [part for part in parts if part is not None],
    )


def _facts(e: Experiment) -> list[str]:
    about, card = e.about, e.card
    facts = [
        f"{about.model} on {about.corpus}, {about.protocol}, folds {card.get('folds', '-')}, {about.folds} folds, "
        f"seeds {', '.join(map(str, about.seeds))}; selection: {about.selection}",
        f"features: {', '.join(card['features'])}" if card.get("features") else "",
        _settings("model", card.get("config")),
        _settings("training", card.get("training")),
        "" if e.scored is not None else "No recording has labels: nothing to score.",
    ]
    return [fact for fact in facts if fact] + e.result.notes


def _settings(name: str, values: Mapping[str, Any] | None) -> str:
    return f"{name}: " + ", ".join(f"{k} {v}" for k, v in values.items()) if values else ""


def _headline(e: Experiment) -> Table:
    paper, least = published(e.about.paper), _least(e)
    rows: list[Sequence[object]] = []
    for name, score in e.result.scores.items():
        marks = [] if score.value is None else [score.value]
        bar = charts.bar(marks, score.low, score.high, least)
        printed = paper.numbers.get(name) if paper else None
        rows.append(
            (
                results.label(name),
                results.text(score),
                bar,
                number(score.seed_sd),
                "" if paper is None else number(printed),
            )
        )
    header = ("metric", "value [interval]", f"{least:.0f} to 1", "sd over seeds", "published")
    return Table(f"{e.name}: headline numbers", header, rows)


def _confusion(p: Predictions, name: str) -> Part:
    """Summed over folds and seeds; a cell has the count and the share of its true class."""
    matrix = intervals.confusions(p, "corpus").sum(axis=(0, 1))
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    rows = [
        (label, *(charts.shaded(s, f"{s:.0%} ({n})") for s, n in zip(share[k], matrix[k], strict=True)))
        for k, label in enumerate(p.classes)
    ]
    caption = "Rows are true classes, columns predicted ones; share of the row (count over all seeds)"
    return Part("Confusions", [Table(caption, ("true", *p.classes), rows, "confusion", name)])


def _classes(p: Predictions, by_class: Mapping[str, Score]) -> Part:
    pooled = intervals.confusions(p, "corpus").sum(axis=1)  # (R, K, K)
    recalls, counts = metrics.recalls(pooled), pooled.sum(axis=(0, 2)) / len(pooled)
    rows = []
    for k, name in enumerate(p.classes):
        found = [by_class.get(f"{metric} of {name}", Score()) for metric in ("recall", "precision", "F1")]
        rows.append((name, *map(results.text, found), charts.bar(recalls[:, k].tolist()), f"{counts[k]:.0f}"))
    header = ("class", "recall", "precision", "F1", "recall of each seed, 0 to 1", "utterances")
    return Part("Classes", [Table("Recall, precision and F1 of each class [interval]", header, rows)])


def _units(e: Experiment, unit: str) -> Part:
    """The metrics of each speaker (recording); the lowest where there are many."""
    assert e.scored is not None
    summaries, statistics = pooling.toolbox(e.scored)
    units = summaries(e.scored, unit)  # (R, U, ...)
    names = e.scored.table.groupby(["corpus", unit], sort=True).size().index.get_level_values(unit)
    values = {n: metrics.mean(s(units), axis=0) for n, s in statistics.items()}  # (U,) each
    order: NDArray = np.arange(len(names))
    shown = ""
    if len(names) > MOST_UNITS:
        order = np.argsort(values[e.headline], kind="stable")[:MOST_UNITS]
        shown = f", the lowest {MOST_UNITS} of {len(names)}"
    least, noun = _least(e), pooling.noun(unit)
    rows = [
        (
            names[u],
            *(number(v[u]) for v in values.values()),
            charts.bar([values[e.headline][u]], least=least),
        )
        for u in order
    ]
    header = (noun, *map(results.label, values), f"{results.label(e.headline)}, {least:.0f} to 1")
    return Part(f"{noun.capitalize()}s", [Table(f"Metrics by {noun}{shown}", header, rows, "units")])


def _folds(e: Experiment) -> Part:
    """One tick per fold and seed: the spread that one mean hides."""
    assert e.scored is not None
    summaries, statistics = pooling.toolbox(e.scored)
    folds, least = summaries(e.scored, "fold"), _least(e)
    rows = []
    for name, statistic in statistics.items():
        values = statistic(folds).ravel()
        values = values[~np.isnan(values)]
        sd = f"{values.std(ddof=1):.3f}" if values.size > 1 else "-"
        low, high = (values.min(), values.max()) if values.size else (np.nan, np.nan)
        mean = number(values.mean()) if values.size else "-"
        bar = charts.bar(values.tolist(), least=least)
        rows.append((results.label(name), mean, sd, number(low), number(high), bar))
    scale = f"one tick per fold and seed, {least:.0f} to 1"
    header = ("metric", "mean of folds", "sd", "lowest", "highest", scale)
    return Part("Folds", [Table("Spread over folds and seeds", header, rows)])


def _calibration(found: Mapping[str, Any]) -> Part | None:
    """Errors, reliability and coverage, before and after scaling by a temperature."""
    if not found:
        return None
    kinds = [kind for kind in ("before", "after") if kind in found]
    rows = [(CALIBRATED[kind], *(number(found[kind][name]) for name in ("ece", "nll", "brier"))) for kind in kinds]
    header = ("scores", "calibration error (ECE)", "negative log likelihood", "Brier score")
    drawn = [
        charts.reliability(f"{CALIBRATED[kind]}; dashed: calibrated", *zip(*found[kind]["bins"], strict=True))
        for kind in kinds
    ]
    curves = {CALIBRATED[kind]: np.array([a for _, a, _ in found[kind]["coverage"]]) for kind in kinds}
    drawn.append(charts.lines("answers for the most confident only", curves, "tenths that get an answer", "accuracy"))
    remark = "No temperature: each fold shares its speakers with all other folds, or there is one fold only."
    if "after" in found:
        remark = (
            f"One temperature for all scores, here {number(found['temperature'])}. For this table each fold is scaled "
            "by the temperature that fits the predictions of the other folds for other speakers."
        )
    return Part("Calibration", [Table("Calibration of the scores", header, rows)], drawn, remark=remark)


def _scatters(p: Predictions) -> Part:
    drawn = []
    for name in p.dimensions:
        points = p.table[[TRUTH + name, PREDICTION + name]].dropna().to_numpy()
        points = points[:: max(1, -(-len(points) // DOTS))]
        if len(points):
            span = float(points.min()), float(points.max())
            drawn.append(charts.scatter(f"{name}: every n-th frame; dashed: equal", [(x, y) for x, y in points], span))
    return Part("True and predicted", charts=drawn)


def postprocessing(e: Experiment) -> Part | None:
    """The options of post-processing beside the headline; None where nothing was fitted."""
    found = e.result.postprocessing
    if not found:
        return None
    headline = e.result.scores
    rows: list[Sequence[object]] = [("none (headline)", *(results.text(s) for s in headline.values()), "-")]
    for option, fitted in found.items():
        chosen = Cell(choice(fitted.chosen), kind="text")
        rows.append((option, *(results.text(fitted.scores[n]) for n in headline), chosen))
    header = ("option", *map(results.label, headline), "chosen on dev")
    remark = (
        "Fitted on the dev part of each fold and seed, never on test, and applied to each recording by itself. "
        "all: delay, then median, then rescale (to the mean and spread of the labels of dev). Where a median of 0.1 s "
        "or a delay of 0 s is chosen on dev, nothing is changed."
    )
    return Part("Post-processing", [Table(f"{e.name}: {options.NOTE}", header, rows)], remark=remark)


def choice(chosen: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """``arousal later by 2 s, ...``: the median over folds and seeds, with the least and the most where they differ."""
    sentences = []
    for name in next(iter(chosen.values())):
        values = [f"{CHOSEN[key][0]} {_range(own[name])}{CHOSEN[key][1]}" for key, own in chosen.items()]
        sentences.append(f"{name} {', '.join(values)}")
    return "; ".join(sentences)


def _range(three: Sequence[float]) -> str:
    least, median, most = (f"{v:.3g}" for v in three)
    return median if least == most else f"{median} ({least} to {most})"


def _curves(e: Experiment) -> Part | None:
    table = e.curves.drop(columns=["evaluation", "folds"], errors="ignore")
    columns = {str(c): table[c].to_numpy(float) for c in table.columns if len(table) > 1 and table[c].notna().any()}
    score = {n: v for n, v in columns.items() if n == "dev_score"}
    losses = {n: v for n, v in columns.items() if n not in score}
    drawn = [
        charts.lines(f"{name}, mean over folds and seeds", curves, "evaluation", name)
        for name, curves in (("loss", losses), ("score on dev", score))
        if curves
    ]
    return Part("Learning curves", charts=drawn) if drawn else None


def _worst(e: Experiment, players: Players) -> Part | None:
    assert e.scored is not None
    classes = e.scored.kind == "classification"
    found = worst_classes(e.scored) if classes else worst_recordings(e.scored)
    if found.empty:
        return None
    clips = [players.player(row.corpus, row.utterance) for row in found.itertuples()]
    shown = found.drop(columns="corpus")
    rows = [
        [*(f"{v:.3f}" if isinstance(v, float) else v for v in row), clip or ("-" if any(clips) else "")]
        for row, clip in zip(shown.itertuples(index=False), clips, strict=True)
    ]
    header = [*(str(c).replace("_", " ") for c in shown.columns), "listen"]
    reasons = sorted({players.reasons[c] for c in set(found["corpus"]) if c in players.reasons and not all(clips)})
    caption = "What it was most sure of, and wrong" if classes else "The recordings of the lowest CCC"
    return Part("Worst errors", [Table(caption, header, rows)], remark="; ".join(reasons))


def worst_classes(p: Predictions) -> pd.DataFrame:
    """The utterances whose mean score (over seeds) of a wrong class is highest above that of the true one."""
    scores = p.table.groupby(["corpus", "utterance", "speaker", "truth"], sort=True)[[SCORE + c for c in p.classes]]
    mean = scores.mean()
    values = mean.to_numpy()
    true = metrics.codes(mean.index.get_level_values("truth"), p.classes)
    own, top = values[np.arange(len(values)), true], values.argmax(axis=1)
    gap = values.max(axis=1) - own
    order = [i for i in np.argsort(-gap, kind="stable")[:WORST] if gap[i] > 0]
    out = mean.index.to_frame(index=False).iloc[order]
    predicted = [p.classes[k] for k in top[order]]
    return out.assign(predicted=predicted, score_of_it=values.max(axis=1)[order], score_of_truth=own[order])


def worst_recordings(p: Predictions) -> pd.DataFrame:
    """The recordings of the lowest mean CCC."""
    summaries, statistics = pooling.toolbox(p)
    value = metrics.mean(statistics["ccc"](summaries(p, "utterance")), axis=0)
    keys = p.table.groupby(["corpus", "utterance"], sort=True)["speaker"].first().reset_index()
    keys = keys.assign(ccc=value).sort_values("ccc", kind="stable")
    return keys.head(WORST)


def _least(e: Experiment) -> float:
    """The lowest value of the headline metric: where its scale begins."""
    return -1.0 if e.headline == "ccc" else 0.0
