"""From a predictions file to the metrics file of an experiment: a few headline numbers and, beside them, what they are.

Everything is computed from the predictions alone, on any machine, in about a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.evaluation import intervals, metrics, notes, parts, postprocessing
from ser.evaluation.predictions import Predictions, read
from ser.files import replacing, write_json

DEFINITIONS = {
    "wa": "weighted accuracy: correct utterances / utterances",
    "ua": "unweighted accuracy: mean recall of the classes that have true items",
    "f1": "macro F1: mean F1 of the classes that have true items; 0 for a class never predicted",
    "weighted_f1": "F1 of the classes weighted by their true items",
    "ccc": "concordance correlation coefficient with population moments, mean of the dimensions",
}
DETAILS = (
    "study",
    "experiment",
    "model",
    "size",
    "corpus",
    "protocol",
    "speaker_independent",
    "selection",
    "transductive",
    "control",
    "paper",
)
DIGITS = 4  # of every number in a metrics file (dvc.md, section 5)


def run(
    predictions_path: str | Path,
    details: Mapping[str, Any],
    draws: int,
    metrics_path: str | Path,
    plot_path: str | Path,
    confidence: float = 0.95,
    windows_path: str | Path | None = None,
    dev_path: str | Path | None = None,
) -> dict[str, Any]:
    """Evaluates an experiment and writes its metrics (JSON) and its plot data (CSV); returns the metrics.

    Two files beside the card, where they are: `windows_path`, counts of windows, where the model judged pieces of
    utterances (`windows`); `dev_path`, predictions of the dev part of continuous labels, to which post-processing is
    fitted (`postprocessing`).
    """
    predictions = read(predictions_path)
    details = {"experiment": Path(predictions_path).stem, **details}
    result = score(predictions, details, draws, confidence)
    (about,) = result["about"]
    if pretrained := notes.pretrained(details.get("notes")):
        about["pretraining"] = pretrained
    about["notes"] += notes.of_card(details.get("notes"))
    if windows_path is not None and Path(windows_path).exists():
        about["windows"] = found = windows(pd.read_csv(windows_path), predictions.classes)
        text = "secondary: each of the {n} windows judged by itself, WA {wa:.3f}, UA {ua:.3f}"
        about["notes"].append(text.format(**found))
    if dev_path is not None and Path(dev_path).exists():
        dev = parts.labelled(read(dev_path))[0]
        if not dev.table.empty:
            about["dev"] = _pooled(dev)
            about["notes"].append(notes.of_dev(about["dev"], details.get("selection")))
        processed = postprocessed(predictions, dev, details, draws, confidence)
        if processed:
            about["postprocessing"] = processed
            about["notes"].append(postprocessing.NOTE)
    with replacing(plot_path) as temporary:
        parts.plot_rows(predictions).to_csv(temporary, index=False, lineterminator="\n")
    write_json(metrics_path, result)
    return result


def postprocessed(
    predictions: Predictions, dev: Predictions, details: Mapping[str, Any], draws: int, confidence: float = 0.95
) -> dict[str, Any]:
    """Option -> the headline's numbers after it, scored and resampled as the headline is, and ``chosen``: what dev
    made of it (`postprocessing.run`). `dev`: its labelled part. Empty without one, or without test labels."""
    scored = parts.labelled(predictions)[0]
    if scored.table.empty or scored.kind != "continuous":
        return {}
    test, _ = parts.headline(scored, {"protocol": None, **details})
    out = {}
    for option, (processed, chosen) in postprocessing.run(test, dev).items():
        found = _measure(processed, draws, str(details["experiment"]), confidence)
        out[option] = {**_headline(found.by_seed, found.limits), "chosen": chosen}
    return out


def windows(table: pd.DataFrame, classes: Sequence[str]) -> dict[str, Any]:
    """WA and UA of single windows (crops, segments), the decision P2 may have counted (papers.md 5.1).

    `table`: utterance, truth and ``windows_<class>``, how many windows of the utterance went to each class.
    """
    counts = table[[f"windows_{c}" for c in classes]].to_numpy()
    matrix = np.stack([counts[(table["truth"] == c).to_numpy()].sum(0) for c in classes])
    rounded = {"wa": metrics.wa(matrix), "ua": metrics.ua(matrix)}
    return {"n": int(matrix.sum()), **{name: round(float(value), DIGITS) for name, value in rounded.items()}}


def evaluate(
    predictions_path: str | Path, details: Mapping[str, Any], draws: int, confidence: float = 0.95
) -> dict[str, Any]:
    """Metrics of the experiment whose predictions lie in a file: see `score`. Raises `SerError` for a faulty file."""
    return score(read(predictions_path), {"experiment": Path(predictions_path).stem, **details}, draws, confidence)


def score(
    everything: Predictions, details: Mapping[str, Any], draws: int, confidence: float = 0.95, few_units: int = 8
) -> dict[str, Any]:
    """Metrics of one experiment.

    Args:
        details: the experiment's settings, of which `DETAILS` and ``synthetic`` are used; missing ones stay None.
        draws: bootstrap resamples; 0 for no intervals.
        confidence: nominal coverage of the intervals.
        few_units: below this number of speakers or recordings a note says that the interval is too narrow (ours: 8;
            in simulation a nominal 95 % covers 91 to 93 % at 5 units, and its level from about 8 on).

    Returns:
        ``wa, ua, f1`` or ``ccc, ccc_<dimension>``, each with ``_low`` and ``_high``, and ``n``, the number of
        utterances (recordings) scored; under ``about`` a list with one mapping that says what the numbers are. A list,
        because ``dvc metrics show`` makes a column of every number it finds outside lists. Undefined numbers are None,
        and all are where no recording has labels (the test part of a challenge).
    """
    details = {key: details.get(key) for key in (*DETAILS, "synthetic")}
    scored, unlabelled = parts.labelled(everything)
    if scored.table.empty:
        return _unavailable(everything, details, unlabelled)
    predictions, partitions = parts.headline(scored, details)
    found = _measure(predictions, draws, str(details["experiment"]), confidence)
    unit = parts.unit_of(predictions)
    noun = "recording" if unit == "utterance" else unit
    about = {
        **_settings(details),
        "definitions": {k: v for k, v in DEFINITIONS.items() if (k == "ccc") == (predictions.kind == "continuous")},
        **_counts(predictions),
        **_extras(predictions, found.units),
        "by_fold": _by_fold(predictions, *parts.toolbox(predictions)),
        "seed_sd": {name: _sd(values) for name, values in found.by_seed.items()},
        "interval": {
            "method": f"expanded percentile bootstrap over {noun}s, models held fixed, same resamples for all seeds",
            "confidence": confidence,
            "draws": draws,
            "unit": noun,
            "units": int(found.units.shape[1]),
        },
    }
    if partitions:
        about["partitions"] = {name: _pooled(part) for name, part in partitions.items()}
    # dev predicted beside test comes from the models that dev selected
    beside = everything.table["fold"].nunique() > predictions.table["fold"].nunique()
    on_dev = beside and parts.is_development(predictions.table["fold"].iloc[0])
    about["notes"] = [
        *notes.of_settings(details, on_dev),
        *notes.of_data(predictions, about, few_units),
        *notes.of_unlabelled(unlabelled),
    ]
    return {**_headline(found.by_seed, found.limits), "n": about["utterances"], "data": about["data"], "about": [about]}


def summary(result: Mapping[str, Any]) -> str:
    """The headline numbers of a metrics file on one line, for the end of a command."""
    names = [n for n in result if n not in ("n", "data", "about") and not n.endswith(("_low", "_high"))]
    cells = [
        f"{name.upper()} {result[name]:.3f} [{result[f'{name}_low']:.3f}, {result[f'{name}_high']:.3f}]"
        if result[name] is not None and result[f"{name}_low"] is not None
        else f"{name.upper()} {'n/a' if result[name] is None else format(result[name], '.3f')}"
        for name in names
    ]
    about = result["about"][0]
    return f"{', '.join(cells)}, n {result['n']}, {about['data']} data"


class _Measured(NamedTuple):
    units: NDArray  # (R, U, ...) summaries
    by_seed: dict[str, NDArray]
    limits: dict[str, intervals.Interval | None]


def _measure(predictions: Predictions, draws: int, name: str, confidence: float) -> _Measured:
    """Pooled metrics of each seed, and their intervals; equal names draw equal resamples."""
    summaries, statistics = parts.toolbox(predictions)
    units = summaries(predictions, parts.unit_of(predictions))
    by_seed = {metric: statistic(units.sum(axis=1)) for metric, statistic in statistics.items()}
    return _Measured(units, by_seed, intervals.bootstrap(units, statistics, draws, name, confidence))


def _headline(
    by_seed: Mapping[str, NDArray], limits: Mapping[str, intervals.Interval | None]
) -> dict[str, float | None]:
    out = {}
    for name, values in by_seed.items():
        low, high = limits[name] or (np.nan, np.nan)
        for key, value in ((name, metrics.mean(values, axis=0)), (f"{name}_low", low), (f"{name}_high", high)):
            out[key] = _round(value)
    return out


def _settings(details: Mapping[str, Any]) -> dict[str, Any]:
    data = {True: "synthetic", False: "real", None: "unknown"}[details["synthetic"]]
    return {**{key: details[key] for key in DETAILS}, "data": data}


def _unavailable(predictions: Predictions, details: Mapping[str, Any], unlabelled: list[str]) -> dict[str, Any]:
    """The metrics of predictions without any label: names without numbers, so that the study runs to its end."""
    names = [name + end for name in parts.toolbox(predictions)[1] for end in ("", "_low", "_high")]
    remarks = [*notes.of_settings(details), *notes.of_unlabelled(unlabelled)]
    about = {**_settings(details), **_counts(predictions), "notes": remarks}
    return {**dict.fromkeys(names), "n": 0, "about": [about]}


def _pooled(predictions: Predictions) -> dict[str, float | None]:
    """The metrics of a part, pooled over its rows, mean over seeds."""
    summaries, statistics = parts.toolbox(predictions)
    sums = summaries(predictions, "corpus").sum(axis=1)
    return {name: _round(metrics.mean(statistic(sums), axis=0)) for name, statistic in statistics.items()}


def _counts(predictions: Predictions) -> dict[str, Any]:
    table = predictions.table
    folds = sorted(set(table["fold"]))
    return {
        "classes" if predictions.classes else "dimensions": list(predictions.classes or predictions.dimensions),
        "pooling": "all test folds of a seed pooled, then the mean over seeds",
        "utterances": int(table["utterance"].nunique()),
        "utterances_by_seed": int(table.groupby("seed")["utterance"].nunique().mean()),
        "speakers": len(table[["corpus", "speaker"]].drop_duplicates()),
        "folds": len(folds),
        **({"fold": folds[0]} if len(folds) == 1 else {}),  # which of the corpus's own partitions, say
        "seeds": [int(s) for s in sorted(set(table["seed"]))],
    }


def _extras(predictions: Predictions, units: NDArray) -> dict[str, Any]:
    """Secondary numbers of the kind of labels, from summaries (R, U, ...) of the units."""
    if predictions.kind == "classification":
        pooled = units.sum(axis=1)
        recall = metrics.mean(metrics.recalls(pooled), axis=0)
        return {
            "weighted_f1": _round(metrics.mean(metrics.weighted_f1(pooled), axis=0)),
            "recall": dict(zip(predictions.classes, map(_round, recall), strict=True)),
        }
    recordings = metrics.ccc_from_moments(intervals.moments(predictions, "utterance"))  # (R, U, D)
    mean = metrics.mean(metrics.mean(recordings, axis=1), axis=0)
    return {
        "frames": int(len(predictions.table) / predictions.table["seed"].nunique()),
        "mean_of_recordings": {n: _round(v) for n, v in zip(predictions.dimensions, mean, strict=True)},
    }


def _by_fold(
    predictions: Predictions, summaries: Callable, statistics: Mapping[str, intervals.Statistic]
) -> dict[str, Any]:
    """Mean and standard deviation over folds and seeds: secondary, because classes may be absent from a fold."""
    folds = summaries(predictions, "fold")  # (R, F, ...)
    out: dict[str, Any] = {}
    for name, statistic in statistics.items():
        values = statistic(folds).ravel()
        out[name] = {"mean": _round(metrics.mean(values, axis=0)), "sd": _sd(values)}
    if predictions.kind == "classification":
        averaged = metrics.classes_averaged(folds)
        least = np.where(averaged > 0, averaged, len(predictions.classes)).min(axis=0)
        names = sorted(set(predictions.table["fold"]))
        out["classes_averaged"] = dict(zip(names, map(int, least), strict=True))
    return out


def _sd(values: NDArray) -> float | None:
    values = values[~np.isnan(values)]
    return _round(values.std(ddof=1)) if values.size > 1 else None


def _round(value: Any) -> float | None:
    return None if np.isnan(value) else round(float(value), DIGITS) + 0.0
