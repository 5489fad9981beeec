"""Any database in audEERING's audformat (https://audeering.github.io/audformat), such as their public ones.

A database is a folder with ``db.yaml``, one file per table (``db.<table>.csv`` or ``.parquet``) and the media that the
tables name. Options say which tables hold the labels and in which columns. A speaker, text or sex that these tables do
not have is looked up by file in the database's other tables; a sex also in the labels of the scheme of the speakers.
The split of a table (train, dev, test) becomes the partition.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from ser.core.errors import SerError, warn
from ser.core.plugins import nearest
from ser.corpora import Card, Utterance, raw_folder, reading
from ser.corpora.download import refuse

MARK = "db.yaml"  # is in a folder that `ser link` accepts
SPLITS = {"train": "train", "dev": "dev", "test": "test"}
SEXES = {"female": "f", "male": "m", "f": "f", "m": "m"}
CARD = Card(
    name="audformat",
    title="a database in audformat",
    licence="that of the database (`license` in its db.yaml)",
    homepage="https://audeering.github.io/audformat",
    citation="",
    language="",
    task="classification",
    access="own",
    steps="Get the database, for instance with the package audb, and run: ser link audformat PATH (PATH holds "
    "db.yaml), or give its folder in params.yaml",
)


@dataclass(frozen=True)
class Config:
    """`folder`: of the database (empty: data/raw/audformat). `tables`: those with the labels (empty: all that have the
    column `emotion`). `emotion`, `speaker`, `text`, `sex`: names of the columns; `classes`: the emotions to keep, in
    report order (empty: all)."""

    folder: str = ""
    tables: tuple[str, ...] = ()
    emotion: str = "emotion"
    speaker: str = "speaker"
    text: str = "transcription"
    sex: str = "gender"
    classes: tuple[str, ...] = ()
    rates: tuple[int, ...] = ()
    assume_rate: int | None = None


def download(root: Path, config: Config = Config()) -> None:
    refuse(CARD)


def place(config: Config, where: str) -> Path:
    """The folder of the database."""
    root = Path(config.folder) if config.folder else raw_folder() / CARD.name
    if not (root / MARK).is_file():
        raise SerError(f"no database in audformat: no {MARK}", root, f"Give its path: {where}.folder. {CARD.steps}")
    return root


def utterances(root: Path, config: Config = Config()) -> Iterator[Utterance]:
    """One utterance per row with a label, sorted by id; rows without a label are dropped and counted in a warning.

    Raises `SerError` for a database that cannot be read, for tables and columns that it does not have, for two rows of
    one utterance, and for an utterance without a speaker.
    """
    root = reading.folder(root, CARD)
    database = _load(root)
    looked_up = {c: _by_file(database, c, root) for c in (config.speaker, config.text, config.sex)}
    sexes = _sexes(database, config.speaker)
    found: dict[str, Utterance] = {}
    unlabelled = 0
    for name in _tables(database, config, root):
        table, partition = _rows(database, name, root), _partition(database, name)
        for (file, start, end), row in table.iterrows():
            where = f"{root}, table {name}"
            emotion = _text(row[config.emotion])
            if not emotion or (config.classes and emotion not in config.classes):
                unlabelled += not emotion
                continue
            speaker, text, sex = (_text(row.get(c)) or looked_up[c].get(file, "") for c in looked_up)
            one = _utterance(reading.inside(file, where), start, end)
            if one.id in found:
                raise SerError(f"two rows are of {one.id!r}", where, "Name the tables to read: the reader's key tables")
            if not speaker:
                hint = "Name the column of speakers: the reader's key speaker"
                raise SerError(f"no speaker of {file!r}", where, hint)
            facts: dict[str, Any] = {"speaker": speaker, "emotion": emotion, "text": text, "partition": partition}
            found[one.id] = Utterance(**{**vars(one), **facts, "sex": SEXES.get(sex or sexes.get(speaker, ""), "")})
    if unlabelled:
        warn(f"{unlabelled} rows without {config.emotion!r} are left out", root)
    yield from sorted(found.values(), key=lambda u: u.id)


def _load(root: Path) -> Any:
    """The database without its tables."""
    import audformat

    if not (root / MARK).is_file():
        raise SerError(f"no database in audformat: no {MARK}", root, CARD.steps)
    try:
        return audformat.Database.load(str(root), load_data=False)
    except Exception as error:  # whatever a damaged header makes the library raise
        raise SerError(f"not a database in audformat: {error}", root / MARK, "Get the database again") from error


def _rows(database: Any, name: str, root: Path) -> pd.DataFrame:
    """A table, its index (file, start, end) for files and segments alike; NaT where a whole file is meant."""
    from audformat import utils

    if (pickle := root / f"db.{name}.pkl").exists():  # the library would prefer it
        raise SerError("a pickled table can run any code and is not read", pickle, "Delete it: db.*.csv holds the same")
    try:
        database[name].load(str(root / f"db.{name}"))
        table = database[name].df
        return table.set_axis(utils.to_segmented_index(table.index, allow_nat=True))
    except Exception as error:
        raise SerError(f"table {name!r} cannot be read: {error}", root, "Get the database again") from error


def _tables(database: Any, config: Config, root: Path) -> list[str]:
    """The tables with the labels."""
    having = [name for name in database.tables if config.emotion in database[name].columns]
    if not having:
        known = {column for name in database.tables for column in database[name].columns}
        hint = f"Name the column of the labels: the reader's key emotion. {nearest(config.emotion, known)}"
        raise SerError(f"no table has a column {config.emotion!r}", root / MARK, hint)
    for name in config.tables:
        if name not in having:
            raise SerError(f"no table {name!r} with a column {config.emotion!r}", root / MARK, nearest(name, having))
    return list(config.tables) or having


def _partition(database: Any, name: str) -> str:
    split = database[name].split_id
    return SPLITS.get(str(database.splits[split].type), "") if split else ""


def _by_file(database: Any, column: str, root: Path) -> dict[str, str]:
    """File -> value of a column in the tables of whole files that have it."""
    found: dict[str, str] = {}
    for name in database.tables:
        if database[name].is_filewise and column in database[name].columns:
            values = _rows(database, name, root)[column]
            found |= {file: _text(v) for file, v in zip(values.index.get_level_values(0), values, strict=True)}
    return found


def _sexes(database: Any, speaker: str) -> dict[str, str]:
    """Speaker -> sex, where the labels of the scheme of the speakers state it."""
    labels = getattr(database.schemes.get(speaker), "labels", None)
    if not isinstance(labels, dict):
        return {}
    return {str(k): str(v.get("gender") or v.get("sex") or "") for k, v in labels.items() if isinstance(v, dict)}


def _utterance(file: str, start: pd.Timedelta, end: pd.Timedelta) -> Utterance:
    """File, times and id of a row."""
    name = str(PurePosixPath(file).with_suffix("")).replace("/", "-")
    begin, stop = (None if pd.isna(t) else t.total_seconds() for t in (start, end))
    whole = stop is None and not begin
    identity = name if whole else f"{name}-{round((begin or 0) * 1000):07d}"
    return Utterance(reading.identifier(identity), file, "", start=None if whole else begin, end=stop)


def _text(value: Any) -> str:
    return "" if value is None or pd.isna(value) else str(value).strip()
