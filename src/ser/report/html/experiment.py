"""The section on one experiment: numbers, confusions, classes, speakers, folds, calibration, curves, worst errors.

Letters: R seeds, U units, K classes.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.evaluation import intervals, metrics, pooling, results
from ser.evaluation.predictions import PREDICTION, SCORE, TRUTH, Predictions
from ser.evaluation.published import published
from ser.report import summary as report
from ser.report.html import affect, cost
from ser.report.html.charts import lines, reliability, scatter, shaded, track
from ser.report.html.markup import Html, bullets, slug, table, tag
from ser.report.html.sound import Players
from ser.report.html.study import Experiment

MOST_UNITS = 40  # ours: rows of a table of speakers; the lowest are shown
WORST = 5  # ours: errors shown an experiment
BINS = 10  # ours: of the calibration; finer ones are empty at EMO-DB's 535 utterances
DOTS = 400  # ours: points of a scatter plot
PICTURE = 500_000  # bytes of one embedded figure (ours: sixty experiments with a few figures stay below 15 MB)


def experiment(e: Experiment, players: Players) -> Html:
    """The whole section, in an order in which a sceptic reads: what it is, how good, for whom, how it fails."""
    mark = tag("span", " SYNTHETIC data", class_="mark") if e.synthetic else None
    title = tag("h3", tag("span", e.name, report.marks(e.about)), mark)
    body: list[Html | None] = [_identity(e)]
    if e.scored is None:
        body.append(tag("p", "No recording has labels: nothing to score."))
    else:
        body.append(_headline(e))
        if e.scored.kind == "classification":
            body += [_confusion(e.scored), _beside(_classes(e.scored), _units(e, "speaker"))]
            body.append(_beside(_strip(e), _calibration(e.scored)))
        else:
            body += [
                affect.postprocessing(e),
                _beside(_units(e, pooling.unit_of(e.scored)), _strip(e)),
                _scatters(e.scored),
            ]
    body.append(_curves(e))
    if e.scored is not None:
        body.append(_worst(e, players))
    body += [_figures(e.figures, e.name, e.synthetic), cost.paragraph(e.card, e.cost)]
    return tag("section", title, *body, id=slug(e.name), aria_label=e.name)


def _beside(*children: Html | None) -> Html:
    return tag("div", *children, class_="row")


def _identity(e: Experiment) -> Html | None:
    about, card = e.about, e.card
    seeds = about.get("seeds") or []
    items = [
        f"{about.get('model')} on {about.get('corpus')}, {about.get('protocol')}, folds {card.get('folds', '-')}, "
        f"{about.get('folds')} folds, seeds {', '.join(map(str, seeds))}; selection: {about.get('selection')}",
        f"features: {', '.join(card.get('features', []))}" if card.get("features") else None,
        _settings("model", card.get("config")),
        _settings("training", card.get("training")),
        *(about.get("notes") or []),
    ]
    return bullets(i for i in items if i)


def _settings(what: str, values: Mapping[str, Any] | None) -> str | None:
    return f"{what}: " + ", ".join(f"{k} {v}" for k, v in values.items()) if values else None


def _headline(e: Experiment) -> Html:
    names = [k for k in e.metrics if f"{k}_low" in e.metrics]
    seed_sd = e.about.get("seed_sd") or {}
    paper = published(e.about.get("paper"))
    least = _least(e)
    rows: list[Sequence[object]] = []
    for name in names:
        value, low, high = (e.metrics.get(name + end) for end in ("", "_low", "_high"))
        printed = paper.get(name) if paper else None
        sd = seed_sd.get(name)
        rows.append(
            (
                results.label(name),
                report.cell(e.metrics, name),
                track([] if value is None else [value], low, high, least),
                "-" if sd is None else f"{sd:.3f}",
                "-" if printed is None else f"{printed:.3f}",
            )
        )
    header = ("metric", "value [interval]", f"{least:.0f} to 1", "sd over seeds", "published")
    return table(f"{e.name}: headline numbers", header, rows)


def _confusion(p: Predictions) -> Html:
    """Summed over folds and seeds; a cell has the count and the share of its true class."""
    matrix = intervals.confusions(p, "corpus").sum(axis=(0, 1))
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    rows = [
        (name, *(shaded(s, f"{s:.0%} ({n})") for s, n in zip(share[k], matrix[k], strict=True)))
        for k, name in enumerate(p.classes)
    ]
    caption = "Confusions: rows are true classes, columns predicted ones; share of the row (count over all seeds)"
    return tag("div", tag("h4", "Confusions"), table(caption, ("true", *p.classes), rows, "confusion"))


def _classes(p: Predictions) -> Html:
    pooled = intervals.confusions(p, "corpus").sum(axis=1)  # (R, K, K)
    columns = (metrics.recalls(pooled), metrics.precision(pooled), metrics.f1_scores(pooled))
    means = [metrics.mean(c, axis=0) for c in columns]
    counts = pooled.sum(axis=(0, 2)) / len(pooled)
    rows = [
        (name, *(_number(m[k]) for m in means), track(columns[0][:, k].tolist()), f"{counts[k]:.0f}")
        for k, name in enumerate(p.classes)
    ]
    header = ("class", "recall", "precision", "F1", "recall of each seed, 0 to 1", "utterances")
    return tag("div", tag("h4", "Classes"), table("Recall, precision and F1 of each class", header, rows))


def _units(e: Experiment, unit: str) -> Html:
    """Each speaker's (recording's) own value of the metrics; the lowest where there are many."""
    assert e.scored is not None
    summaries, statistics = pooling.toolbox(e.scored)
    units = summaries(e.scored, unit)  # (R, U, ...)
    names = e.scored.table.groupby(["corpus", unit], sort=True).size().index.get_level_values(unit)
    values = {n: metrics.mean(s(units), axis=0) for n, s in statistics.items()}  # (U,) each
    order = np.arange(len(names))
    shown = ""
    if len(names) > MOST_UNITS:
        order = np.argsort(values[e.headline], kind="stable")[:MOST_UNITS]
        shown = f", the lowest {MOST_UNITS} of {len(names)}"
    least = _least(e)
    rows = [
        (names[u], *(_number(v[u]) for v in values.values()), track([values[e.headline][u]], least=least))
        for u in order
    ]
    noun = "recording" if unit == "utterance" else unit
    scale = f"{results.label(e.headline)}, {least:.0f} to 1"
    header = (noun, *map(results.label, values), scale)
    return tag("div", tag("h4", f"{noun.capitalize()}s"), table(f"Metrics by {noun}{shown}", header, rows))


def _strip(e: Experiment) -> Html:
    """One tick a fold and seed: the spread that one mean hides."""
    assert e.scored is not None
    summaries, statistics = pooling.toolbox(e.scored)
    folds = summaries(e.scored, "fold")
    least = _least(e)
    rows = []
    for name, statistic in statistics.items():
        values = statistic(folds).ravel()
        values = values[~np.isnan(values)]
        sd = f"{values.std(ddof=1):.3f}" if values.size > 1 else "-"
        low, high = (values.min(), values.max()) if values.size else (np.nan, np.nan)
        cells = (_number(values.mean()) if values.size else "-", sd, _number(low), _number(high))
        rows.append((results.label(name), *cells, track(values.tolist(), least=least)))
    scale = f"a tick a fold and seed, {least:.0f} to 1"
    header = ("metric", "mean of folds", "sd", "lowest", "highest", scale)
    return tag("div", tag("h4", "Folds"), table("Spread over folds and seeds", header, rows))


def calibration(p: Predictions) -> tuple[np.ndarray, np.ndarray, np.ndarray, float] | None:
    """Mean confidence, accuracy and count of each filled bin, and the expected calibration error: the mean gap of the
    two, weighted by counts (C. Guo et al., ICML 2017). None where the scores are no probabilities.
    """
    scores = p.table[[SCORE + c for c in p.classes]].to_numpy()
    if scores.min() < 0 or np.abs(scores.sum(axis=1) - 1).max() > 0.01:
        return None
    top, hit = scores.max(axis=1), (p.table["truth"] == p.table["prediction"]).to_numpy(float)
    bins = np.minimum((top * BINS).astype(int), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    full = counts > 0
    sums = [np.bincount(bins, v, BINS)[full] / counts[full] for v in (top, hit)]
    error = float((np.abs(sums[0] - sums[1]) * counts[full]).sum() / counts.sum())
    return sums[0], sums[1], counts[full], error


def _calibration(p: Predictions) -> Html | None:
    found = calibration(p)
    if found is None:
        return None
    confidence, accuracy, counts, error = found
    title = f"Calibration: expected calibration error {error:.3f} in {BINS} bins; dashed: calibrated"
    drawn = reliability(title, confidence.tolist(), accuracy.tolist(), counts.tolist())
    return tag("div", tag("h4", "Calibration"), drawn)


def _scatters(p: Predictions) -> Html:
    drawn = []
    for name in p.dimensions:
        points = p.table[[TRUTH + name, PREDICTION + name]].dropna().to_numpy()
        points = points[:: max(1, -(-len(points) // DOTS))]
        if len(points):
            span = float(points.min()), float(points.max())
            drawn.append(scatter(f"{name}: every n-th frame; dashed: equal", [(x, y) for x, y in points], span))
    return tag("div", tag("h4", "True and predicted"), _beside(*drawn))


def _curves(e: Experiment) -> Html | None:
    table_ = e.curves.drop(columns=["evaluation", "folds"], errors="ignore")
    columns = {str(c): table_[c].to_numpy(float) for c in table_.columns if len(table_) > 1 and table_[c].notna().any()}
    score = {n: v for n, v in columns.items() if n == "dev_score"}
    losses = {n: v for n, v in columns.items() if n not in score}
    drawn = [
        lines(f"{what}, mean over folds and seeds", curves, "evaluation", what)
        for what, curves in (("loss", losses), ("score on dev", score))
        if curves
    ]
    return tag("div", tag("h4", "Learning curves"), _beside(*drawn)) if drawn else None


def _worst(e: Experiment, players: Players) -> Html | None:
    assert e.scored is not None
    found = worst_classes(e.scored) if e.scored.kind == "classification" else worst_recordings(e.scored)
    if found.empty:
        return None
    heard = [players.player(row.corpus, row.utterance) for row in found.itertuples()]
    shown = found.drop(columns="corpus")
    header = [str(c).replace("_", " ") for c in shown.columns] + (["listen"] if any(heard) else [])
    rows = [
        [*(f"{v:.3f}" if isinstance(v, float) else v for v in row), *([clip or "-"] if any(heard) else [])]
        for row, clip in zip(shown.itertuples(index=False), heard, strict=True)
    ]
    said = sorted({players.said[c] for c in set(found["corpus"]) if c in players.said and not all(heard)})
    why = tag("p", "; ".join(said), class_="soft") if said else None
    named = e.scored.kind == "classification"
    caption = "What it was most sure of, and wrong" if named else "The recordings of the lowest CCC"
    return tag("div", tag("h4", "Worst errors"), table(caption, header, rows), why)


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


def _figures(paths: Sequence[Path], name: str, synthetic: bool) -> Html | None:
    there = [path for path in paths if path.exists()]  # traces are drawn with the report
    titles = [path.stem.removesuffix(f"-{name}").replace("_", " ").replace("-", " ") for path in there]
    made = [figure(path, f"{name}: {title}", synthetic) for path, title in zip(there, titles, strict=True)]
    return tag("div", tag("h4", "Figures"), *made, class_="wide") if made else None


def figure(path: Path, title: str, synthetic: bool) -> Html:
    """A picture from the experiment's card, inside the page; one too large is named instead."""
    content = path.read_bytes()
    if len(content) > PICTURE:
        return tag("p", f"{title}: {path.as_posix()}, {len(content) / 1e6:.1f} MB, is too large to be shown here")
    source = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    caption = title + (" (SYNTHETIC data)" if synthetic else "")
    return tag("figure", tag("img", src=source, alt=caption, loading="lazy"), tag("figcaption", caption))


def _least(e: Experiment) -> float:
    """The lowest value of the headline metric: where its scale begins."""
    return -1.0 if e.headline == "ccc" else 0.0


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"
