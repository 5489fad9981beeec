"""Your own corpus, read from a CSV (or TSV) beside the audio with one row per utterance.

Required columns are file and speaker, and emotion or labels (a file of continuous labels). Optional are utterance,
start, end (seconds, or times such as ``0 days 00:00:01.5``), session, dialogue, partition, text, text_id and sex. The
names of audformat are understood as well. Paths of files are relative to the corpus's root, which is the folder of the
CSV or the option `audio`; a path that is absolute or has ``..`` in it must lead below that root. Without a column
utterance the id is made of the file's path and the start; characters that are not safe in an id become ``_``.

A file of labels is a CSV, too, with a header, a column time (0.1 s apart, from the start of the utterance) and one
column per dimension.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ser.core.errors import SerError
from ser.core.plugins import nearest
from ser.corpora import Card, Utterance, raw_folder, reading
from ser.corpora.download import refuse

_ALIASES = {  # names in audformat tables and other common ones -> ours
    "id": "utterance",
    "path": "file",
    "speaker_id": "speaker",
    "gender": "sex",
    "transcription": "text",
    "transcript": "text",
    "split": "partition",
}
_REST = ("emotion", "session", "dialogue", "text", "text_id")  # used unchanged
_COLUMNS = ("file", "speaker", "utterance", "start", "end", "partition", "sex", "labels", *_REST)
_PARTITIONS = {
    "train": "train",
    "dev": "dev",
    "devel": "dev",
    "validation": "dev",
    "val": "dev",
    "test": "test",
    "": "",
}
_HINTS = {  # for a row or a table that lacks the column
    "emotion": "For continuous labels, name their columns in params.yaml: corpora.table.reader.dimensions",
    "labels": "With corpora.table.reader.dimensions every utterance needs a file of labels",
}
_COMPARED = ("speaker", "emotion", "session", "dialogue", "text_id")  # names that decide about classes and folds
_MISSING = ("nan", "<na>", "n/a", "null", "nat")  # what other programs write for a value that is not there
_SEXES = {"f": "f", "female": "f", "m": "m", "male": "m"}  # anything else becomes unknown
MARK = "table.csv"  # is in a folder that `ser link` accepts
CARD = Card(
    name="table",
    title="a corpus of your own",
    licence="your own",
    homepage="",
    citation="",
    language="",
    task="classification",
    access="own",
    steps="Write a table.csv with columns file, speaker, emotion (or labels) into the folder of the audio, and run: "
    "ser link table PATH (PATH holds table.csv)",
)


@dataclass(frozen=True)
class Config:
    """`csv` is the table, in data/raw/table or at any path with the audio beside it; `audio` is the folder that holds
    all audio, where that is not the folder of the CSV; `classes` are the emotions to keep, in report order (empty:
    all); `dimensions` are columns of the label files (empty: the task is classification). `merge_spellings` makes names
    that differ only in spelling, such as Anna and anna, one name: the first of the table. Without it they are refused.
    """

    csv: str = "table.csv"
    audio: str = ""
    classes: tuple[str, ...] = ()
    dimensions: tuple[str, ...] = ()
    merge_spellings: bool = False
    rates: tuple[int, ...] = ()
    assume_rate: int | None = None

    def __post_init__(self) -> None:
        if self.classes and self.dimensions:
            raise ValueError(
                "classes and dimensions cannot both be given: the task is either classification or continuous"
            )
        taken = {"time", "utterance", "row"}  # columns of the tables the labels go to
        for i, name in enumerate(self.dimensions):
            if name.lower() in taken or not reading.ID.fullmatch(name):
                raise ValueError(f"dimensions[{i}]: {name!r} occurs twice, is reserved or is not a plain name")
            taken.add(name.lower())


def expected(config: Config) -> Card:
    """The card with the task that these options give the table."""
    if not config.dimensions:
        return CARD
    return dataclasses.replace(CARD, task="continuous", dimensions=config.dimensions)


def download(root: Path, config: Config = Config()) -> None:
    refuse(CARD)


def place(config: Config, where: str) -> Path:
    """The folder of the audio that is named; else data/raw/table when that is linked and contains the CSV; else the
    folder of the CSV."""
    linked, path = raw_folder() / CARD.name, Path(config.csv)
    if config.audio and not Path(config.audio).is_dir():
        hint = f"Give the folder that holds all audio in params.yaml: {where}.audio"
        raise SerError("no such folder", config.audio, hint)
    if config.audio and path.is_file():
        return Path(config.audio)
    if not path.is_absolute() and (linked / path).is_file():
        return linked
    if path.is_file():
        return path.parent
    raise SerError("no table of the corpus", path, f"Give its path in params.yaml: {where}.csv")


def utterances(root: Path, config: Config = Config()) -> Iterator[Utterance]:
    """One utterance per row, sorted by id. Raises `SerError` that names the line of the CSV."""
    root = reading.folder(root, CARD)
    # the root is linked and contains the path, or it is the folder of the CSV, or the CSV is elsewhere
    places = root / config.csv, Path(config.csv) if config.audio else root / Path(config.csv).name
    path = next((p for p in places if p.is_file()), places[-1])
    if not path.is_file():
        raise SerError("no table of the corpus", path, CARD.steps)
    found: dict[str, tuple[int, Utterance]] = {}
    for number, row in _rows(path, "labels" if config.dimensions else "emotion"):
        utterance = _utterance(row, root, path.parent, f"{path}:{number}")
        if utterance.id in found:
            raise SerError(
                f"utterance {utterance.id!r} is also in line {found[utterance.id][0]}",
                f"{path}:{number}",
                "Remove the row that is there twice, or add a column utterance with unique ids",
            )
        found[utterance.id] = number, utterance
    rows = _one_spelling(found.values(), path, config.merge_spellings)
    kept = [u for u in rows if not config.classes or u.emotion in config.classes]
    if absent := sorted(set(config.classes) - {u.emotion for u in kept}):
        known = {u.emotion for u in rows}
        raise SerError(f"no row has the emotion {absent[0]!r}", path, nearest(absent[0], known))
    yield from sorted(kept, key=lambda u: u.id)


def _one_spelling(rows: Iterable[tuple[int, Utterance]], path: Path, merge: bool) -> list[Utterance]:
    """The utterances, none of whose names differ only in case, invisible characters or the form of their accents: a
    speaker with two spellings would be in the training and the test part at a time. Such names become the first of
    them with `merge`; otherwise they are refused.
    """
    seen: dict[tuple[str, str], tuple[str, int]] = {}
    utterances = []
    for number, utterance in rows:
        names: dict[str, Any] = {}
        for column in _COMPARED:
            value = getattr(utterance, column)
            names[column], line = seen.setdefault((column, _spelling(value)), (value, number))
            if names[column] != value and not merge:
                what = f"{column} {value!a} is also spelt {names[column]!a} in line {line}"
                hint = "Write one name in the same way everywhere, or set corpora.table.reader.merge_spellings: true"
                raise SerError(what, f"{path}:{number}", hint)
        utterances.append(dataclasses.replace(utterance, **names))
    return utterances


def _spelling(name: str) -> str:
    """What is the same for all spellings of a name. A number that a table has made 1.0 is 1."""
    name = re.sub(r"^(\d+)\.0$", r"\1", name)
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", name).casefold())
    return " ".join("".join(c for c in folded if unicodedata.category(c) != "Cf").split())


def read_labels(path: str | Path, config: Config = Config()) -> tuple[np.ndarray, np.ndarray]:
    """Times (T,) in seconds and values (T, D) in the order of `config.dimensions`; other columns are ignored.

    Raises `SerError` that names the line.
    """
    path = Path(path)
    fields = _fields(path)
    _, head = next(fields, (1, []))
    names = [h.lower() for h in head]
    for name in ("time", *config.dimensions):
        if names.count(name.lower()) != 1:
            fault = f"{'two columns' if name.lower() in names else 'no column'} {name!r}"
            raise SerError(fault, f"{path}:1", f"Columns there: {', '.join(head) or 'none'}")
    places = [names.index(name.lower()) for name in ("time", *config.dimensions)]
    rows = [[reading.seconds(row[i], path, number) for i in places] for number, row in fields]
    if not rows:
        raise SerError("no labels in the file", path)
    table = np.asarray(rows, dtype=np.float64)
    return table[:, 0], table[:, 1:]


def _rows(path: Path, target: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and values by column; every row has a `file`, a `speaker` and the `target` (emotion or labels)."""
    fields = _fields(path)
    columns = [_ALIASES.get(c.lower(), c.lower()) for c in next(fields, (1, []))[1]]
    _check_columns(columns, path, target)
    for number, values in fields:
        row = dict(zip(columns, values, strict=True))
        row |= {c: "" for c in _COLUMNS if c != "text" and row.get(c, "").casefold() in _MISSING}
        for name in ("file", *_COMPARED):
            if any(unicodedata.category(character) == "Cc" for character in row.get(name, "")):
                raise SerError(f"{name} {row[name]!a} has a control character", f"{path}:{number}", "Take it out")
        for needed in ("file", "speaker", target):
            if not row[needed]:
                raise SerError(f"empty {needed}", f"{path}:{number}", _HINTS.get(needed))
        yield number, row


def _fields(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields, stripped, of the header and of every row that is not blank."""
    text = reading.text(path)
    head = text.lstrip().split("\n", 1)[0]
    # the character that a table of another kind than CSV has in its head, and CSV has not
    separator = next((s for s in "\t;" if s in head and "," not in head), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    columns = 0
    try:
        for row in reader:
            if not any(f.strip() for f in row):
                continue
            columns = columns or len(row)
            if len(row) != columns:
                raise SerError(f"{len(row)} fields under {columns} columns", f"{path}:{reader.line_num}")
            yield reader.line_num, [f.strip() for f in row]
    except csv.Error as error:
        raise SerError(f"not a CSV: {error}", f"{path}:{reader.line_num}") from error


def _check_columns(columns: list[str], path: Path, target: str) -> None:
    known = [c for c in columns if c in _COLUMNS]
    if doubled := sorted({c for c in known if known.count(c) > 1}):
        raise SerError(f"two columns {doubled[0]!r}", f"{path}:1", "Keep one of them")
    for needed in ("file", "speaker", target):
        if needed not in known:
            there = f"Columns there: {', '.join(columns) or 'none'}"
            raise SerError(f"no column {needed!r}", f"{path}:1", f"{there}. {_HINTS.get(needed, '')}")


def _utterance(row: dict[str, str], root: Path, beside: Path, where: str) -> Utterance:
    """The utterance of a row; `beside` is the folder of the CSV."""
    file = _on_disk(root, _inside(row["file"], root, beside, where))
    labels = _on_disk(root, _inside(row["labels"], root, beside, where)) if row.get("labels") else ""
    if labels and not (root / labels).is_file():
        raise SerError(f"no file of labels {labels!r}", where)
    partition = row.get("partition", "").lower()
    if partition not in _PARTITIONS:
        raise SerError(f"partition {partition!r} is none of train, dev, test", where, nearest(partition, _PARTITIONS))
    start, end = (reading.time(row.get(c, ""), c, where) for c in ("start", "end"))
    return Utterance(
        id=_id(row.get("utterance", ""), file, start, where),
        file=file,
        speaker=row["speaker"],
        start=start,
        end=end,
        sex=_SEXES.get(row.get("sex", "").lower(), ""),
        partition=_PARTITIONS[partition],
        labels=labels,
        **{c: row.get(c, "") for c in _REST},
    )


def _id(given: str, file: str, start: float | None, where: str) -> str:
    """The given id, which must be safe; else one made of file and start, with `_` for every unsafe character."""
    if not given:
        segment = f"-{round(start * 1000):07d}" if start is not None else ""
        return reading.identifier(str(PurePosixPath(file).with_suffix("")).replace("/", "-") + segment)
    if not reading.ID.fullmatch(given):
        raise SerError(
            f"utterance id {given!r} is not safe in a CSV or a file name",
            where,
            "Use letters, digits, _ . + - in the column utterance",
        )
    return given


def _inside(file: str, root: Path, beside: Path, where: str) -> str:
    """The path of a file relative to the root. It starts at the root, or, where it leads upwards or to a file that is
    only there, at the folder of the CSV.
    """
    posix = PurePosixPath(file.replace("\\", "/"))
    if "\0" in file or posix == PurePosixPath():
        raise SerError(f"{file!r} is not the name of a file", where)
    if re.match(r"[A-Za-z]:", file):
        raise SerError(f"{file!r} is not below the corpus's folder", where, "Write paths relative to that folder")
    upwards, there = posix.is_absolute() or ".." in posix.parts, beside / posix
    if not upwards and (beside == root or (root / posix).exists() or not there.exists()):
        return str(posix)  # where there is no such file, that is reported when the audio is read
    full = os.path.normpath(there.absolute())
    for top in (root.absolute(), root.resolve()):
        if Path(full).is_relative_to(os.path.normpath(top)):
            return Path(full).relative_to(os.path.normpath(top)).as_posix()
    hint = "Name the folder that holds all audio: ser study new --audio PATH, or corpora.table.reader.audio"
    raise SerError(f"{file!r} is not below the corpus's folder {root}", where, hint)


def _on_disk(root: Path, file: str) -> str:
    """The name as it is on the disk: systems differ in how they write an accent (as one character, or as two)."""
    forms = (file, unicodedata.normalize("NFC", file), unicodedata.normalize("NFD", file))
    return next((form for form in forms if (root / form).exists()), file)
