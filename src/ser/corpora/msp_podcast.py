"""MSP-Podcast: spontaneous speech of podcasts, English, with the corpus's own partitions.

Layout: ``Labels/labels_consensus.csv`` (FileName, EmoClass, EmoAct, EmoVal, EmoDom, SpkrID, Gender, Split_Set) and the
audio in ``Audios`` or ``Audio``. Two tasks: the consensus emotion, or arousal, valence and dominance, one value each
per utterance. These are repeated every 0.1 s, so that the models and metrics of continuous labels take them, and mapped
from 1..7 to -1..1 (ours).
"""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np

from ser.core.errors import SerError
from ser.corpora import Card, Utterance, reading
from ser.corpora.download import refuse

EMOTIONS = {
    "N": "neutral",
    "H": "happiness",
    "S": "sadness",
    "A": "anger",
    "U": "surprise",
    "F": "fear",
    "D": "disgust",
    "C": "contempt",
}  # O (other) and X (no agreement) are not classes
DIMENSIONS = {"arousal": "EmoAct", "valence": "EmoVal", "dominance": "EmoDom"}
PARTITIONS = {"Train": "train", "Development": "dev"}  # and the test set that the options choose
SEXES = {"Female": "f", "Male": "m"}
TABLE = "Labels/labels_consensus.csv"
COLUMNS = ("FileName", "EmoClass", *DIMENSIONS.values(), "SpkrID", "Gender", "Split_Set")
CARD = Card(
    name="msp_podcast",
    title="MSP-Podcast",
    licence="academic licence of the University of Texas at Dallas, signed by the institution",
    homepage="https://ecs.utdallas.edu/research/researchlabs/msp-lab/MSP-Podcast.html",
    citation="R. Lotfian, C. Busso: Building Naturalistic Emotionally Balanced Speech Corpus by Retrieving Emotional "
    "Speech from Existing Podcast Recordings. IEEE Transactions on Affective Computing 10(4), 2019, pp. 471-483.",
    language="en",
    task="classification",
    access="licence",
    classes=tuple(EMOTIONS.values()),  # counts differ between the releases, so that none are asserted
    steps="Apply for the academic licence at the homepage, unpack a release, then run: ser link msp_podcast PATH (PATH "
    f"holds {TABLE} and the folder Audios)",
)


@dataclass(frozen=True)
class Config:
    """`task`: the consensus emotion, or arousal, valence and dominance. `classes`: the emotions to keep. `test`: the
    set that is the test part; the other test sets are left out."""

    task: Literal["classification", "continuous"] = "classification"
    classes: tuple[str, ...] = tuple(EMOTIONS.values())
    test: Literal["Test1", "Test2"] = "Test1"
    rates: tuple[int, ...] = (16_000,)
    assume_rate: int | None = None

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.classes) - set(EMOTIONS.values())):
            raise ValueError(f"unknown class {unknown[0]!r}, known: {', '.join(EMOTIONS.values())}")

    @property
    def dimensions(self) -> tuple[str, ...]:
        return tuple(DIMENSIONS) if self.task == "continuous" else ()


def expected(config: Config) -> Card:
    """The card with the task that the options choose."""
    if config.task == "classification":
        return dataclasses.replace(CARD, classes=config.classes)
    return dataclasses.replace(CARD, task="continuous", classes=(), dimensions=config.dimensions)


def download(root: Path, config: Config = Config()) -> None:
    refuse(CARD)


def utterances(root: Path, config: Config = Config()) -> Iterator[Utterance]:
    """One utterance per row of the partitions that are read, sorted by id. An utterance of an unknown speaker is a
    speaker of its own. Raises `SerError` that names the line."""
    root = reading.folder(root, CARD)
    if not (root / TABLE).is_file():
        raise SerError(f"no labels of MSP-Podcast: no {TABLE}", root, CARD.steps)
    audio = next((name for name in ("Audios", "Audio") if (root / name).is_dir()), "Audios")
    partitions = {**PARTITIONS, config.test: "test"}
    found = []
    for where, row in _rows(root / TABLE):
        emotion = EMOTIONS.get(row["EmoClass"], "")
        if row["Split_Set"] not in partitions or (config.task == "classification" and emotion not in config.classes):
            continue
        file, name = f"{audio}/{reading.inside(row['FileName'], where)}", Path(row["FileName"]).stem
        known = row["SpkrID"] not in ("", "Unknown")
        found.append(
            Utterance(
                id=name,
                file=file,
                speaker=row["SpkrID"] if known else f"unknown-{name}",
                emotion="" if config.task == "continuous" else emotion,
                sex=SEXES.get(row["Gender"], ""),
                session=name.rsplit("_", 1)[0],  # the podcast
                partition=partitions[row["Split_Set"]],
                labels=file if config.task == "continuous" else "",
            )
        )
    yield from sorted(found, key=lambda u: u.id)


def read_labels(path: str | Path, config: Config = Config()) -> tuple[np.ndarray, np.ndarray]:
    """Times (T,) in seconds, every 0.1 s of the audio file `path`, and its values (T, 3), all rows equal."""
    path = Path(path)
    values = _values(path.parents[1] / TABLE)[path.name]
    rows = max(1, int(reading.duration(path) * 10))
    return np.arange(rows) / 10, np.tile(values, (rows, 1))


@cache
def _values(path: Path) -> dict[str, np.ndarray]:
    """File name -> its values (3,) in -1..1."""
    made = {}
    for where, row in _rows(path):
        numbers = [reading.seconds(row[c], path, int(where.rsplit(":", 1)[1])) for c in DIMENSIONS.values()]
        made[row["FileName"]] = (np.asarray(numbers) - 4) / 3
    return made


def _rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Place and values of every row of the consensus labels."""
    lines = reading.lines(path)
    head = next(csv.reader([next(lines, (1, ""))[1]]), [])
    if missing := [c for c in COLUMNS if c not in head]:
        raise SerError(f"no column {missing[0]!r}", f"{path}:1", f"Columns there: {', '.join(head) or 'none'}")
    for number, line in lines:
        values = next(csv.reader([line]))
        if len(values) != len(head):
            raise SerError(f"{len(values)} fields under {len(head)} columns", f"{path}:{number}")
        yield f"{path}:{number}", dict(zip(head, (v.strip() for v in values), strict=True))
