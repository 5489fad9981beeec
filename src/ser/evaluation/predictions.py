"""The predictions file: the primary artefact of an experiment, the source of all metrics, intervals and plots.

CSV, UTF-8, one header line, one row per utterance (classification) or per frame (continuous labels)::

    utterance,corpus,fold,seed,speaker,truth,prediction,score_<class>...
    utterance,corpus,fold,seed,speaker,time,truth_<dimension>...,prediction_<dimension>...

The order of the score columns is the order of the classes. Rows are sorted by seed, fold, utterance, time; floats are
rounded and written in their shortest exact form, so equal results give equal bytes. An empty truth is an
utterance or a frame without a label, which is not scored. Times are in seconds.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from ser.core.errors import SerError
from ser.core.files import guarded, replacing, repro, unguarded

COMMON = ("utterance", "corpus", "fold", "seed", "speaker")
KEYS = ("seed", "fold", "utterance")  # in sorting order; continuous files add the time
SCORE, TRUTH, PREDICTION = "score_", "truth_", "prediction_"
Kind = Literal["classification", "continuous"]


@dataclass(frozen=True)
class Predictions:
    """A checked predictions file. `classes` is empty for continuous labels, `dimensions` for classification."""

    table: pd.DataFrame
    kind: Kind
    classes: tuple[str, ...] = ()
    dimensions: tuple[str, ...] = ()


def write(table: pd.DataFrame, path: str | Path, decimals: int = 5) -> None:
    """Writes a predictions file: sorted, rounded, atomic.

    The prediction of an utterance is the class of its highest *rounded* score (ties: the lowest class index; papers.md
    2, edge case 6), so that scores and predictions of the file agree. The column ``prediction`` may be left out; if it
    is given, it must have that highest score.

    Args:
        decimals: digits of scores, times and values (ours: 5, finer than any difference that matters).

    Raises:
        SerError: a column is missing or unknown, a label is not a class, a number is not finite, a row occurs twice.
    """
    path = Path(path)
    kind, names = _layout([*table.columns, *({"prediction"} - set(table.columns) if _is_scored(table) else ())], path)
    keys = [*KEYS, "time"] if kind == "continuous" else list(KEYS)
    table = table.sort_values(keys, kind="stable").reset_index(drop=True)
    numbers = _numbers(kind, names)
    # + 0.0 turns -0.0 into 0.0
    table = table.assign(**{c: np.round(table[c].to_numpy(np.float64), decimals) + 0.0 for c in numbers})
    if kind == "classification":
        best = _best(table, names)
        if "prediction" not in table:
            table["prediction"] = best
        else:
            _check_labels(table, "prediction", names, path)
            given = table["prediction"].map({c: i for i, c in enumerate(names)}).to_numpy()
            scores = table[[SCORE + c for c in names]].to_numpy()
            _refuse(
                scores[np.arange(len(table)), given] < scores.max(axis=1),
                path,
                "the prediction is not the class of the highest score",
            )
            table["prediction"] = best
    _check(table, kind, names, path)
    with replacing(path) as temporary:
        guarded(table[_columns(kind, names)]).to_csv(temporary, index=False, lineterminator="\n", encoding="utf-8")


def read(path: str | Path) -> Predictions:
    """Reads and checks a predictions file.

    Raises:
        SerError: the file is not valid; the error names the file and the line.
    """
    path = Path(path)
    if not path.exists():
        raise SerError("no predictions file", path, f"Run the experiment's train stage: {repro(path)}")
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header = next(csv.reader(file), [])
        kind, names = _layout(header, path)
        table = _parse(path, kind, names)
    except UnicodeDecodeError as error:
        raise SerError("not a text file in UTF-8", path) from error
    except pd.errors.ParserError as error:
        raise SerError(f"not a valid CSV file: {error}", path) from error
    if table.empty:
        raise SerError(
            "a predictions file without predictions", path, f"Remove it and train the experiment again: {repro(path)}"
        )
    _check(table, kind, names, path)
    if kind == "classification":
        return Predictions(table, kind, classes=names)
    return Predictions(table, kind, dimensions=names)


def _is_scored(table: pd.DataFrame) -> bool:
    return any(str(c).startswith(SCORE) for c in table.columns)


def _layout(columns: list[str], where: object) -> tuple[Kind, tuple[str, ...]]:
    """Kind and class or dimension names, in file order, of a list of columns."""
    kind: Kind = "classification" if any(c.startswith(SCORE) for c in columns) else "continuous"
    mark = SCORE if kind == "classification" else TRUTH
    names = tuple(c.removeprefix(mark) for c in columns if c.startswith(mark))
    if not names:
        raise SerError("not a predictions file: neither score_ nor truth_ columns", where)
    expected = _columns(kind, names)
    for column in expected:
        if column not in columns:
            raise SerError(f"not a {kind} predictions file: no column {column!r}", where)
    foreign = [c for c in columns if c not in expected]
    if foreign or len(columns) != len(expected):
        raise SerError(f"foreign or double column {(foreign or columns)[0]!r} in a {kind} predictions file", where)
    return kind, names


def _columns(kind: Kind, names: tuple[str, ...]) -> list[str]:
    if kind == "classification":
        return [*COMMON, "truth", "prediction", *(SCORE + n for n in names)]
    return [*COMMON, "time", *(TRUTH + n for n in names), *(PREDICTION + n for n in names)]


def _numbers(kind: Kind, names: tuple[str, ...]) -> list[str]:
    return [c for c in _columns(kind, names) if c == "time" or c.startswith((SCORE, TRUTH, PREDICTION))]


def _parse(path: Path, kind: Kind, names: tuple[str, ...]) -> pd.DataFrame:
    numbers = _numbers(kind, names)
    strings = {c: str for c in _columns(kind, names) if c not in (*numbers, "seed")}
    blank = {c: [""] for c in numbers if c.startswith(TRUTH)}
    try:
        table = pd.read_csv(
            path,
            dtype={**strings, **dict.fromkeys(numbers, np.float64), "seed": np.int64},
            keep_default_na=False,
            na_values=blank,
        )
    except (ValueError, OverflowError) as error:
        if isinstance(error, pd.errors.ParserError):
            raise
        _name_bad_number(path, numbers, blank)
        raise SerError(f"unreadable number: {error}", path) from error
    _check_width(table, path)
    return unguarded(table[_columns(kind, names)])


def _check_width(table: pd.DataFrame, path: Path) -> None:
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes a surplus field in the first row for an index
        raise SerError("a row has more fields than the header", _line(path, 0))


def _name_bad_number(path: Path, numbers: list[str], blank: dict[str, list[str]]) -> None:
    """Reads the file again as text and raises `SerError` for the first field that should be a number and is not."""
    text = pd.read_csv(path, dtype=str, keep_default_na=False).fillna("")
    _check_width(text, path)
    for column in ["seed", *numbers]:
        bad = pd.to_numeric(text[column], errors="coerce").isna()
        if column == "seed":
            bad |= ~text[column].str.fullmatch(r"-?\d+")
        if column in blank:
            bad &= text[column] != ""
        if bad.any():
            row = int(np.argmax(bad))
            raise SerError(f"{column} is {text[column].iloc[row]!r}, not a number", _line(path, row))


def _check(table: pd.DataFrame, kind: Kind, names: tuple[str, ...], path: Path) -> None:
    _refuse(
        (table["utterance"] == "").to_numpy() | table["utterance"].isna().to_numpy(),
        path,
        "an utterance without a name",
    )
    for column in _numbers(kind, names):
        values = table[column].to_numpy()
        bad = np.isinf(values) if column.startswith(TRUTH) else ~np.isfinite(values)
        _refuse(bad, path, f"{column} is not a finite number")
    keys = [*KEYS, "time"] if kind == "continuous" else list(KEYS)
    _refuse(table.duplicated(keys).to_numpy(), path, f"the same {', '.join(keys)} occurs twice")
    if kind == "classification":
        _check_labels(table, "truth", ("", *names), path)
        _check_labels(table, "prediction", names, path)
        _refuse(
            (table["prediction"] != _best(table, names)).to_numpy(),
            path,
            "the prediction is not the class of the highest score (ties: the first class)",
        )


def _check_labels(table: pd.DataFrame, column: str, classes: tuple[str, ...], path: Path) -> None:
    bad = ~table[column].isin(classes).to_numpy()
    if bad.any():
        label = table[column].iloc[int(np.argmax(bad))]
        _refuse(bad, path, f"{column} {label!r} is none of the classes {', '.join(filter(None, classes))}")


def _best(table: pd.DataFrame, classes: tuple[str, ...]) -> np.ndarray:
    scores = table[[SCORE + c for c in classes]].to_numpy()
    return np.asarray(classes, dtype=object)[scores.argmax(axis=1)]


def _refuse(bad: np.ndarray, path: Path, what: str) -> None:
    if bad.any():
        raise SerError(
            what, _line(path, int(np.argmax(bad))), f"Remove it and train the experiment again: {repro(path)}"
        )


def _line(path: Path, row: int) -> str:
    return f"{path}, line {row + 2}"  # line 1 is the header
