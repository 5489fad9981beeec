"""From predictions to the result of an experiment, and the evaluation of a whole study.

Everything is computed from predictions and cards alone, on any machine, in about a second per experiment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.core import compute
from ser.core.errors import end_with_parent
from ser.core.files import read_csv, read_json, remove
from ser.core.layout import Layout
from ser.evaluation import (
    calibration,
    ensembles,
    intervals,
    metrics,
    notes,
    overview,
    pooling,
    postprocessing,
    results,
)
from ser.evaluation.predictions import Predictions, read
from ser.evaluation.results import Across, Description, Interval, Option, Result, Score

DIGITS = 4  # of every number in a file of details (dvc.md, section 5)
FEW_UNITS = 8  # ours: in simulation a nominal 95 % covers 91 to 93 % at 5 units, and its level from about 8 on


def run_study(layout: Layout, settings: Mapping[str, Any], jobs: int = 1) -> pd.DataFrame:
    """Evaluates all experiments of a study, writes their scores, their details and the overviews, and prints a table.

    Files of experiments that the study no longer has are removed.

    Args:
        settings: ``experiments``, name -> its settings (model, corpus, protocol, selection, control, size, paper, and
            the ``members`` of an ensemble); ``draws``, bootstrap resamples; ``confidence``, nominal coverage of the
            intervals.
        jobs: experiments that are evaluated at once, each in a process of its own.

    Returns:
        The table of scores (`results.table`). Raises `SerError` naming a missing or faulty file.
    """
    import joblib

    experiments, draws, confidence = settings["experiments"], settings["draws"], settings["confidence"]
    remove(layout.metrics / "details" / "ensembles", layout.metrics)
    for name, own in experiments.items():
        if own.get("members"):
            ensembles.write(layout, name, own["members"])
    calls = [
        joblib.delayed(run)(layout, name, {"study": settings["study"], **own}, draws, confidence)
        for name, own in experiments.items()
    ]
    compute.sweep_shared_memory()
    found: list[Result] = joblib.Parallel(n_jobs=min(jobs, max(len(calls), 1)))(calls)
    for folder in (layout.metrics / "scores", layout.metrics / "details"):
        for path in folder.glob("*.json"):
            if path.stem not in experiments:
                remove(path, folder)
    for result in found:
        results.write(layout, result)
    overview.write(layout, experiments, found)
    print(summary(found))
    return results.table(found)


def run(layout: Layout, experiment: str, settings: Mapping[str, Any], draws: int, confidence: float = 0.95) -> Result:
    """The result of one experiment from its predictions, its card and the files beside the card.

    ``windows.csv`` counts windows where the model judges pieces of utterances (`windows`). ``dev.csv`` holds
    predictions of the dev part of continuous labels, to which post-processing is fitted (`postprocessing`). What the
    card says of the training has precedence over the settings.
    """
    end_with_parent()
    path, beside = layout.evidence(experiment)
    predictions, card = read(path), read_json(beside)
    description = describe({**settings, **card, "experiment": experiment})
    result = score(predictions, description, draws, confidence)
    extra = list(notes.of_card(card.get("notes")))
    extra += notes.of_beside(card.get("beside") or {}, card.get("one_class_speakers") or [])
    extra += notes.of_encoders(card.get("encoders"), set(predictions.table["corpus"]))
    if members := card.get("members"):
        extra.append(notes.of_members(members))
    more: dict[str, Any] = {"pretraining": notes.pretrained(card.get("notes")), "encoders": card.get("encoders") or {}}
    if trained_on := card.get("trained_on"):
        more["across"] = across(predictions, trained_on, description, draws, confidence)
    if (path := beside.with_name("windows.csv")).exists():
        more["windows"] = found = windows(read_csv(path), predictions.classes)
        text = "secondary: each of the {n} windows judged by itself, WA {wa:.3f}, UA {ua:.3f}"
        extra.append(text.format(**found))
    if (path := beside.with_name("dev.csv")).exists():
        dev = pooling.labelled(read(path))[0]
        if not dev.table.empty:
            more["dev"] = _pooled(dev)
            extra.append(notes.of_dev(more["dev"], description.selection))
        if processed := postprocessed(predictions, dev, description, draws, confidence):
            more["postprocessing"] = processed
            extra.append(postprocessing.NOTE)
    return replace(result, notes=[*result.notes, *extra], **more)


def describe(details: Mapping[str, Any]) -> Description:
    """The part of a description that settings and card give; `score` adds what the predictions say."""
    data = {True: "synthetic", False: "real", None: "unknown"}[details.get("synthetic")]
    names = ["experiment", "study", "model", "size", "corpus", "protocol", "speaker_independent", "selection"]
    names += ["transductive", "control", "paper"]
    known: dict[str, Any] = {name: details.get(name) for name in names}
    return Description(data=data, **known)


def score(
    everything: Predictions, description: Description, draws: int, confidence: float = 0.95, few_units: int = FEW_UNITS
) -> Result:
    """The result of one experiment from its predictions.

    Args:
        description: what `describe` made of settings and card; its counts are filled in here.
        draws: bootstrap resamples; 0 for no intervals.
        confidence: nominal coverage of the intervals.
        few_units: below this number of speakers or recordings a note says that the interval is too narrow.

    All values are None where no recording has labels (the test part of a challenge).
    """
    scored, unlabelled = pooling.labelled(everything)
    if scored.table.empty:
        return _unavailable(everything, description, unlabelled)
    predictions, partitions = pooling.headline(scored, description.protocol)
    description = _counted(description, predictions)
    measured = _measure(predictions, draws, description.experiment, confidence)
    # dev predicted beside test comes from the models that dev selected
    beside = everything.table["fold"].nunique() > predictions.table["fold"].nunique()
    on_dev = beside and pooling.is_development(predictions.table["fold"].iloc[0])
    result = Result(
        description,
        _spread(measured, predictions),
        _interval(predictions, measured, draws, confidence),
        partitions={name: _pooled(part) for name, part in partitions.items()},
        by_class=_by_class(predictions, measured.units, draws, confidence, description.experiment),
        spread=_units(measured.units, pooling.toolbox(predictions)[1][description.headline]),
        **_extras(predictions, measured.units),
    )
    remarks = [
        *notes.of_settings(description, on_dev),
        *notes.of_data(predictions, result, few_units),
        *notes.of_unlabelled(unlabelled),
    ]
    return replace(result, notes=remarks)


def postprocessed(
    predictions: Predictions, dev: Predictions, description: Description, draws: int, confidence: float = 0.95
) -> dict[str, Option]:
    """Each option of post-processing, scored and resampled as the headline is, and what was chosen on dev.

    `dev` is the labelled dev part. Empty without one, or without labels of the test part.
    """
    scored = pooling.labelled(predictions)[0]
    if scored.table.empty or scored.kind != "continuous":
        return {}
    test, _ = pooling.headline(scored, description.protocol)
    out = {}
    for option, (processed, chosen) in postprocessing.run(test, dev).items():
        measured = _measure(processed, draws, description.experiment, confidence)
        out[option] = Option(_headline(measured), chosen)
    return out


def across(
    predictions: Predictions,
    trained_on: Mapping[str, Sequence[str]],
    description: Description,
    draws: int,
    confidence: float = 0.95,
) -> list[Across]:
    """The headline metric of each test corpus, apart for each set of corpora that folds were trained on (`trained_on`,
    by fold), with an interval over the speakers of the test corpus."""
    table, found = predictions.table, []
    names = table["fold"].map(lambda fold: "+".join(trained_on[fold]))
    for (train, test), rows in table.groupby([names, "corpus"], sort=True):
        measured = _measure(
            replace(predictions, table=rows.reset_index(drop=True)),
            draws,
            f"{description.experiment}: {train} to {test}",
            confidence,
        )
        speakers = int(rows["speaker"].nunique())
        score = _headline(measured)["ua" if predictions.kind == "classification" else "ccc"]
        found.append(Across(tuple(str(train).split("+")), str(test), score, rows["utterance"].nunique(), speakers))
    return found


def windows(table: pd.DataFrame, classes: Sequence[str]) -> dict[str, Any]:
    """WA and UA of single windows (crops, segments), the decision that P2 may have counted (papers.md 5.1).

    `table`: utterance, truth and ``windows_<class>``, how many windows of the utterance were classified so.
    """
    counts = table[[f"windows_{c}" for c in classes]].to_numpy()
    matrix = np.stack([counts[(table["truth"] == c).to_numpy()].sum(0) for c in classes])
    return {"n": int(matrix.sum()), "wa": _round(metrics.wa(matrix)), "ua": _round(metrics.ua(matrix))}


def summary(found: Sequence[Result]) -> str:
    """One line per experiment with the headline and its interval, for the end of the stage."""
    rows = []
    for result in found:
        about, own = result.description, {results.label(n): s.value for n, s in result.scores.items()}
        own.pop(results.label(about.headline))
        others = ", ".join(f"{n} {'-' if v is None else format(v, '.3f')}" for n, v in own.items())
        score = f"{results.label(about.headline)} {results.text(result.headline, 3)}"
        rows.append((about.experiment, score, others, f"n {about.utterances}", f"{about.data} data"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


class _Measured(NamedTuple):
    units: NDArray  # (R, U, ...) summaries
    by_seed: dict[str, NDArray]
    limits: dict[str, intervals.Interval | None]


def _measure(predictions: Predictions, draws: int, name: str, confidence: float) -> _Measured:
    """Pooled metrics of each seed, and their intervals; equal names draw equal resamples."""
    summaries, statistics = pooling.toolbox(predictions)
    units = summaries(predictions, pooling.unit_of(predictions))
    by_seed = {metric: statistic(units.sum(axis=1)) for metric, statistic in statistics.items()}
    return _Measured(units, by_seed, intervals.bootstrap(units, statistics, draws, name, confidence))


def _headline(measured: _Measured) -> dict[str, Score]:
    out = {}
    for name, values in measured.by_seed.items():
        low, high = measured.limits[name] or (np.nan, np.nan)
        out[name] = Score(_round(metrics.mean(values, axis=0)), _round(low), _round(high), _sd(values))
    return out


def _spread(measured: _Measured, predictions: Predictions) -> dict[str, Score]:
    """The headline with mean and standard deviation over folds and seeds."""
    summaries, statistics = pooling.toolbox(predictions)
    folds = summaries(predictions, "fold")  # (R, F, ...)
    out = _headline(measured)
    for name, statistic in statistics.items():
        values = statistic(folds).ravel()
        out[name] = replace(out[name], fold_mean=_round(metrics.mean(values, axis=0)), fold_sd=_sd(values))
    return out


def _interval(predictions: Predictions, measured: _Measured, draws: int, confidence: float) -> Interval:
    noun = pooling.noun(pooling.unit_of(predictions))
    method = f"expanded percentile bootstrap over {noun}s, models held fixed, same resamples for all seeds"
    return Interval(method, confidence, draws, noun, int(measured.units.shape[1]))


def _unavailable(predictions: Predictions, description: Description, unlabelled: list[str]) -> Result:
    """The result of predictions without any label: no numbers, so that the study runs to its end."""
    remarks = [*notes.of_settings(description), *notes.of_unlabelled(unlabelled)]
    counted = replace(_counted(description, predictions), utterances=0)
    return Result(counted, {name: Score() for name in pooling.toolbox(predictions)[1]}, notes=remarks)


def _pooled(predictions: Predictions) -> dict[str, float | None]:
    """The metrics of a part, pooled over its rows, mean over seeds."""
    summaries, statistics = pooling.toolbox(predictions)
    sums = summaries(predictions, "corpus").sum(axis=1)
    return {name: _round(metrics.mean(statistic(sums), axis=0)) for name, statistic in statistics.items()}


def _counted(description: Description, predictions: Predictions) -> Description:
    table, seeds = predictions.table, predictions.table["seed"].nunique()
    folds = sorted(set(table["fold"]))
    return replace(
        description,
        kind=predictions.kind,
        labels=predictions.classes or predictions.dimensions,
        utterances=int(table["utterance"].nunique()),
        utterances_by_seed=int(table.groupby("seed")["utterance"].nunique().mean()),
        frames=None if predictions.classes else int(len(table) / seeds),
        speakers=len(table[["corpus", "speaker"]].drop_duplicates()),
        folds=len(folds),
        fold=folds[0] if len(folds) == 1 else None,
        seeds=tuple(int(s) for s in sorted(set(table["seed"]))),
    )


def _extras(predictions: Predictions, units: NDArray) -> dict[str, Any]:
    """Secondary numbers of the kind of labels, from summaries (R, U, ...) of the units."""
    if predictions.kind == "classification":
        averaged = metrics.classes_averaged(intervals.confusions(predictions, "fold"))  # (R, F)
        least = np.where(averaged > 0, averaged, len(predictions.classes)).min(axis=0)
        names = sorted(set(predictions.table["fold"]))
        return {
            "classes_per_fold": dict(zip(names, map(int, least), strict=True)),
            "calibration": calibration.measure(predictions),
        }
    recordings = metrics.ccc_from_moments(intervals.moments(predictions, "utterance"))  # (R, U, D)
    mean = metrics.mean(metrics.mean(recordings, axis=1), axis=0)
    return {"mean_of_recordings": dict(zip(predictions.dimensions, map(_round, mean), strict=True))}


def _by_class(predictions: Predictions, units: NDArray, draws: int, confidence: float, name: str) -> dict[str, Score]:
    """Numbers by class of the pooled matrices, mean over seeds, with intervals over the resamples of the headline."""
    statistics = pooling.by_class(predictions.classes)
    limits = intervals.bootstrap(units, statistics, draws, name, confidence) if predictions.classes else {}
    pooled, out = units.sum(axis=1), {}
    for own, found in limits.items():
        low, high = found or (np.nan, np.nan)
        if low == high:  # no resample changes it, such as a mistake that nobody makes: that is no certainty
            low, high = np.nan, np.nan
        value = metrics.mean(statistics[own](pooled), axis=0)
        out[own] = Score(_round(value), _round(low), _round(high))
    return out


def _units(units: NDArray, statistic: intervals.Statistic) -> dict[str, float | None]:
    """How a metric varies over units (R, U, ...), each the mean over seeds; empty with fewer than two."""
    values = metrics.mean(statistic(units), axis=0)
    values = values[~np.isnan(values)]
    if values.size < 2:
        return {}
    return {"lowest": _round(values.min()), "highest": _round(values.max()), "sd": _sd(values)}


def _sd(values: NDArray) -> float | None:
    values = values[~np.isnan(values)]
    return _round(values.std(ddof=1)) if values.size > 1 else None


def _round(value: Any) -> float | None:
    return None if np.isnan(value) else round(float(value), DIGITS) + 0.0
