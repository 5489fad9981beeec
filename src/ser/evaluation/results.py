"""The result of an experiment as typed records, and its two files.

``metrics/<study>/scores/<experiment>.json`` holds the headline numbers alone, flat, as ``dvc metrics show`` prints
them. ``metrics/<study>/details/<experiment>.json`` holds a whole `Result`. Whatever needs more than the headline reads
the details through `read`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from ser.core.errors import SerError
from ser.core.files import read_json, repro, write_json
from ser.core.layout import Layout

SHOWN = 3  # digits in the file for `dvc metrics show`, so that a row stays below 120 characters


def is_biased(selection: object) -> bool:
    """Whether the test part chose the epoch of a system, or that of a member of an ensemble."""
    return "test_oracle" in str(selection)


@dataclass(frozen=True)
class Score:
    """One metric: its value (mean over seeds), the interval over test speakers, and its spread. None: undefined."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    seed_sd: float | None = None
    fold_mean: float | None = None  # over folds and seeds: secondary, because classes may be absent from a fold
    fold_sd: float | None = None


UNDEFINED = Score()


@dataclass(frozen=True)
class Description:
    """What the numbers of an experiment are."""

    experiment: str
    study: str | None = None
    model: str | None = None
    size: str | None = None  # paper, demo or another size of the model
    corpus: str | None = None
    data: str = "unknown"  # real, synthetic or unknown
    protocol: str | None = None
    speaker_independent: bool | None = None
    selection: str | None = None  # what chose the epoch or the hyper-parameters
    transductive: bool | None = None  # statistics of the test speakers' audio were used, without labels
    control: str | None = None
    paper: str | None = None  # key of the published result that the experiment reproduces
    kind: str = "classification"  # or continuous
    labels: tuple[str, ...] = ()  # classes or dimensions
    utterances: int = 0  # scored, over all seeds; recordings for continuous labels
    utterances_by_seed: int = 0
    frames: int | None = None  # of continuous labels, per seed
    speakers: int = 0
    folds: int = 0
    fold: str | None = None  # the name of a single fold, such as that of a corpus's own partition
    seeds: tuple[int, ...] = ()

    @property
    def synthetic(self) -> bool:
        return self.data == "synthetic"

    @property
    def is_control(self) -> bool:
        return self.control not in (None, "none")

    @property
    def is_biased(self) -> bool:
        return is_biased(self.selection)

    @property
    def headline(self) -> str:
        """The metric that systems are ranked by."""
        return "ua" if self.kind == "classification" else "ccc"


@dataclass(frozen=True)
class Interval:
    """How the intervals were computed."""

    method: str
    confidence: float
    draws: int
    unit: str  # speaker or recording
    units: int


@dataclass(frozen=True)
class Across:
    """The headline metric on one corpus of a joint corpus, of the folds that were trained on the corpora `train`."""

    train: tuple[str, ...]
    test: str
    score: Score
    utterances: int
    speakers: int


@dataclass(frozen=True)
class Option:
    """One option of post-processing. `chosen`: parameter -> dimension -> least, median and most over folds, seeds."""

    scores: Mapping[str, Score]
    chosen: Mapping[str, Mapping[str, list[float]]]


@dataclass(frozen=True)
class Result:
    """Everything that was computed from the predictions of one experiment. `scores`: wa, ua, f1, or ccc and
    ccc_<dimension>; all values are None where nothing has labels. Other fields are empty where they do not apply."""

    description: Description
    scores: Mapping[str, Score]
    interval: Interval | None = None
    notes: list[str] = field(default_factory=list)
    by_class: Mapping[str, Score] = field(default_factory=dict)  # by the names of `pooling.by_class`
    spread: Mapping[str, float | None] = field(default_factory=dict)  # of the headline over units: lowest, highest, sd
    classes_per_fold: Mapping[str, int] = field(default_factory=dict)  # that UA and F1 of the fold are averaged over
    mean_of_recordings: Mapping[str, float | None] = field(default_factory=dict)  # CCC by dimension
    partitions: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    dev: Mapping[str, float | None] = field(default_factory=dict)  # pooled metrics of the dev part
    windows: Mapping[str, float] = field(default_factory=dict)  # n, wa, ua of single windows
    postprocessing: Mapping[str, Option] = field(default_factory=dict)
    calibration: Mapping[str, Any] = field(default_factory=dict)  # of class probabilities: `calibration.measure`
    across: list[Across] = field(default_factory=list)  # of a joint corpus: by training and test corpora
    pretraining: Mapping[str, Any] = field(default_factory=dict)  # what the pretrained encoder was trained on
    encoders: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # feature -> encoder and its corpora

    @property
    def headline(self) -> Score:
        return self.scores[self.description.headline]


def write(layout: Layout, result: Result) -> None:
    """Writes the scores and the details of one experiment."""
    name = result.description.experiment
    write_json(layout.scores(name), flat(result))
    write_json(layout.details(name), _without_empty(dataclasses.asdict(result)))


def read(layout: Layout, experiment: str) -> Result:
    """The result of one experiment. Raises `SerError` where its file of details is missing or of another version."""
    path = layout.details(experiment)
    return from_json(read_json(path), path)


def from_json(values: Mapping[str, Any], where: object = None) -> Result:
    """A `Result` from the contents of its file of details; `where` is named in errors."""
    try:
        rest = dict(values)
        description = dict(rest.pop("description"))
        fixed: dict[str, Any] = {name: tuple(description.pop(name, ())) for name in ("labels", "seeds")}
        interval = rest.pop("interval", None)
        options = rest.pop("postprocessing", {})
        across = [{**a, "train": tuple(a["train"]), "score": Score(**a["score"])} for a in rest.pop("across", [])]
        by_class = _scores(rest.pop("by_class", {})) or _recalls(rest)
        return Result(
            description=Description(**description, **fixed),
            scores=_scores(rest.pop("scores")),
            interval=Interval(**interval) if interval else None,
            across=[Across(**a) for a in across],
            by_class=by_class,
            postprocessing={n: Option(_scores(o["scores"]), o["chosen"]) for n, o in options.items()},
            **rest,
        )
    except (TypeError, KeyError, AttributeError) as error:
        again = f"Evaluate the study again: {repro(where, 'evaluate')}"
        raise SerError(f"not the details of an experiment: {error}", where, again) from error


def label(metric: str) -> str:
    """A metric as tables name it: ``UA``, ``CCC valence``."""
    return metric.upper() if "_" not in metric else f"CCC {metric.removeprefix('ccc_')}"


def flat(result: Result) -> dict[str, float | None]:
    """The headline numbers, the one that systems are ranked by first; of continuous labels the mean CCC alone, because
    columns for the dimensions would make the rows of ``dvc metrics show`` too long."""
    names = sorted((n for n in result.scores if "_" not in n), key=lambda name: name != result.description.headline)
    values = {label(name): result.scores[name].value for name in names}
    return {name: None if value is None else round(value, SHOWN) for name, value in values.items()}


def table(results: Iterable[Result]) -> pd.DataFrame:
    """The table of scores: one row per experiment, which is the index. Columns are the fields of `Description`, and
    for each metric ``<metric>``, ``<metric>_low`` and ``<metric>_high``; ``units_lowest``, ``units_highest`` and
    ``units_sd`` of the headline over speakers; ``ece_before`` and ``ece_after``, the calibration errors. A column that
    no experiment has is missing."""
    rows = []
    for result in results:
        row = dataclasses.asdict(result.description)
        for name, score in result.scores.items():
            row |= {name: score.value, f"{name}_low": score.low, f"{name}_high": score.high}
        row |= {f"units_{name}": value for name, value in result.spread.items()}
        row |= {f"ece_{when}": found["ece"] for when, found in result.calibration.items() if when != "temperature"}
        rows.append(row)
    frame = pd.DataFrame(rows, dtype=object)  # so that None stays None
    numbers = [c for c in frame if c not in Description.__dataclass_fields__]
    return frame.astype(dict.fromkeys(numbers, float)).set_index("experiment", drop=False)


def text(score: Score, digits: int = 2) -> str:
    """``0.77 [0.70, 0.84]``."""
    if score.value is None:
        return "not available"
    limits = "" if score.low is None else f" [{score.low:.{digits}f}, {score.high:.{digits}f}]"
    return f"{score.value:.{digits}f}{limits}"


def _scores(values: Mapping[str, Mapping[str, float | None]]) -> dict[str, Score]:
    return {name: Score(**numbers) for name, numbers in values.items()}


def _recalls(rest: dict[str, Any]) -> dict[str, Score]:
    """What files of version 0.1.0 have by class: the recall and the weighted F1, without intervals."""
    found = {f"recall of {name}": value for name, value in rest.pop("recall", {}).items()}
    if "weighted_f1" in rest:
        found["weighted F1"] = rest.pop("weighted_f1")
    return {name: Score(value) for name, value in found.items()}


def _without_empty(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without the fields that do not apply, which keeps the files short."""
    kept = {k: v for k, v in values.items() if v not in (None, {}, []) or k == "notes"}
    if "by_class" in kept:
        kept["by_class"] = {name: _there(score) for name, score in kept["by_class"].items()}
    return kept | {"description": _there(values["description"])}


def _there(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in values.items() if v is not None}
