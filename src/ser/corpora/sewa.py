"""SEWA as packaged for AVEC 2017 and for the cross-cultural challenges of 2018 and 2019 (papers.md 1.5).

Layout: ``audio/<id>.wav``, ``labels/<id>.csv``, ``turns/<id>.csv``, ``transcriptions/<id>.csv`` and, made by forced
alignment, ``segmentation/<id>.csv``; separator ``;``, a header in 2019 only. Ids are Train_01, Devel_01, Test_01 or,
with the culture, Train_DE_01. One utterance is one recording of one person; the pair's other voice is audible in it.

True copies have rows that cannot be used: turns that end before they start, line breaks within a sentence, and
sentences that start after the audio. They are dropped and counted in a warning. Labels off the grid of 0.1 s by more
than 1 ms, but by less than half a step, are moved to it. A package without the test audio is read without that part.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ser.core.errors import SerError, warn
from ser.corpora import Card, Utterance, Word, reading
from ser.corpora.download import refuse

STEP, TOLERANCE = 0.1, 0.001  # seconds between two labels, and by which they may be off their place
PARTITIONS = {"Train": "train", "Devel": "dev", "Test": "test"}
CARD = Card(
    name="sewa",
    title="SEWA, German part (AVEC 2017 packaging)",
    licence="academic end-user licence of the SEWA project",
    homepage="https://db.sewaproject.eu/",
    citation="J. Kossaifi et al.: SEWA DB: A Rich Database for Audio-Visual Emotion and Sentiment Research in the "
    "Wild. IEEE TPAMI 43(3), 2021, pp. 1022-1040; F. Ringeval et al.: AVEC 2017. Proc. AVEC 2017, pp. 3-9.",
    language="de",
    task="continuous",
    access="licence",
    dimensions=("arousal", "valence", "liking"),
    utterances=64,
    speakers=64,
    counts={"train": 34, "dev": 14, "test": 16},
    steps="Sign the academic end-user licence at https://db.sewaproject.eu/, ask the AVEC organisers for the challenge "
    "package (audio, labels, turns, transcriptions), then run: ser link sewa PATH (PATH holds the folder audio)",
)
_ID = re.compile(r"(Train|Devel|Test)(?:_([A-Z]{2}))?_\d+")


@dataclass(frozen=True)
class Config:
    """Options of the reader: `cultures` to read (ids without one are German) and `partitions` your package holds."""

    cultures: tuple[str, ...] = ("DE",)
    partitions: tuple[str, ...] = ("train", "dev", "test")
    rates: tuple[int, ...] = ()  # papers.md states none
    assume_rate: int | None = None


def expected(config: Config) -> Card:
    """The card with the counts of these partitions; no counts are known for other cultures."""
    counts = {p: n for p, n in CARD.counts.items() if p in config.partitions} if config.cultures == ("DE",) else {}
    total = sum(counts.values()) or None
    return dataclasses.replace(CARD, counts=counts, utterances=total, speakers=total)


def download(root: Path, config: Config = Config()) -> None:
    refuse(CARD)


def utterances(root: Path, config: Config = Config()) -> Iterator[Utterance]:
    """One utterance per recording; `labels` is empty for a test recording whose labels were not given out.

    Raises `SerError` for a missing corpus, names that are not SEWA's, and train or dev recordings without labels.
    """
    root = reading.folder(root, CARD)
    paths = reading.visible((root / "audio").glob("*.wav"))
    if not paths:
        raise SerError("no recordings of SEWA: no audio/*.wav", root, CARD.steps)
    for path in paths:
        match = _ID.fullmatch(path.stem)
        if not match:
            raise SerError("not a file name of SEWA (like Train_01.wav or Train_DE_01.wav)", path, "Take the file out")
        partition, culture = PARTITIONS[match[1]], match[2] or "DE"
        if culture not in config.cultures or partition not in config.partitions:
            continue
        labels = f"labels/{path.stem}.csv"
        if not (root / labels).exists():
            if partition != "test":
                raise SerError(f"recording {path.stem} has no labels", root / labels, CARD.steps)
            labels = ""
        yield Utterance(id=path.stem, file=f"audio/{path.name}", speaker=path.stem, partition=partition, labels=labels)


def lacking(utterances: Sequence[Utterance], config: Config) -> Config:
    """Without the partition test where a package has none of its audio."""
    if "test" not in config.partitions or any(u.partition == "test" for u in utterances):
        return config
    warn("this package has no audio of the test part, which is left out", CARD.title)
    return dataclasses.replace(config, partitions=tuple(p for p in config.partitions if p != "test"))


def words(root: Path, utterances: Iterable[Utterance]) -> Iterator[tuple[str, list[Word]]]:
    """Words of every recording that has a segmentation; the others are left out."""
    for utterance in utterances:
        path = Path(root) / "segmentation" / f"{utterance.id}.csv"
        if path.exists():
            yield utterance.id, read_segmentation(path)


def turns(root: Path, utterances: Iterable[Utterance]) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    """The subject's own turns in every recording that has a turn file, as start and end in seconds."""
    for utterance in utterances:
        path = Path(root) / "turns" / f"{utterance.id}.csv"
        if path.exists():
            yield utterance.id, read_turns(path)


def sentences(root: Path, utterances: Iterable[Utterance]) -> Iterator[tuple[str, list[tuple[float, float, str]]]]:
    """The sentences of every recording that has a transcript, as start and end in seconds and text."""
    for utterance in utterances:
        path = Path(root) / "transcriptions" / f"{utterance.id}.csv"
        if path.exists():
            found, duration = read_transcription(path), reading.duration(Path(root) / utterance.file)
            kept = [sentence for sentence in found if sentence[0] < duration]
            _report(path, "start after the audio", len(found) - len(kept))
            yield utterance.id, kept


def read_labels(path: str | Path, config: Config = Config()) -> tuple[np.ndarray, np.ndarray]:
    """Times (T,) in seconds and gold standard (T, 3) arousal, valence, liking in [-1, 1] of `labels/<id>.csv`.

    Rows are ``'name';time;arousal;valence;liking``; the name may be missing, there may be a header, and fields may be
    separated by ``,``. Rows off the grid are moved to it. Raises `SerError` that names the line.
    """
    rows = [numbers for _, numbers, _ in _rows(Path(path), 4, 1)]
    if not rows:
        raise SerError("no labels in the file", path)
    table = np.asarray(rows, dtype=np.float64)
    return _on_grid(table[:, 0], Path(path)), table[:, 1:]


def _on_grid(times: np.ndarray, path: Path) -> np.ndarray:
    """Times (T,) with those that are off the grid by more than 1 ms moved to it. Times that are off by half a step or
    more are left as they are, because they are labels of another rate, which is an error."""
    grid = times[0] + STEP * np.arange(len(times))
    distance = np.abs(times - grid)
    off = int((distance > TOLERANCE + 1e-9).sum())
    if not off or (distance >= STEP / 2).any():
        return times
    warn(f"{off} of {len(times)} rows of labels are off the grid of {STEP:g} s and were moved to it", path)
    return grid


def read_segmentation(path: Path) -> list[Word]:
    """Words of `segmentation/<id>.csv`: `segment;start;end;word`, times in seconds of the recording."""
    words = []
    for number, line in reading.lines(path):
        fields = line.split(";", 3)
        if len(fields) != 4:
            raise SerError("expected: segment;start;end;word", f"{path}:{number}")
        if number == 1 and not any(c.isdigit() for c in fields[1] + fields[2]):
            continue  # a header
        start, end = (reading.seconds(f, path, number) for f in fields[1:3])
        if token := fields[3].strip().strip("'\""):
            words.append(reading.word(start, end, token, path, number))
    return words


def read_turns(path: str | Path) -> list[tuple[float, float]]:
    """Start and end in seconds of the subject's own turns, from `turns/<id>.csv`; turns that end before they start are
    dropped with a warning. Raises `SerError` that names the line."""
    return [span for span, _ in _spans(Path(path))]


def read_transcription(path: str | Path) -> list[tuple[float, float, str]]:
    """Start and end in seconds and text of each sentence, with its tags such as ``<laughter>``. Lines without times,
    which a line break in a sentence leaves, and sentences that end before they start are dropped with a warning."""
    return [(*span, text.strip().strip("'\"")) for span, text in _spans(Path(path), broken=True)]


def _spans(path: Path, broken: bool = False) -> list[tuple[tuple[float, float], str]]:
    """Start, end and the text after them of the rows that can be used; `broken`: lines without times are dropped."""
    rows = list(_rows(path, 2, broken=broken))
    kept = [((start, end), text) for _, (start, end), text in rows if 0 <= start <= end]
    _report(path, "end before they start", len(rows) - len(kept))
    return kept


def _report(path: Path, why: str, count: int) -> None:
    if count:
        warn(f"{count} rows that {why} are left out", path)


def _rows(path: Path, count: int, names: int = 0, broken: bool = False) -> Iterator[tuple[int, list[float], str]]:
    """Number, `count` numbers, and the text after them, of every row; up to `names` leading fields are skipped.
    `broken`: rows that do not begin with numbers are dropped and counted."""
    if not path.exists():
        raise SerError("missing file of SEWA", path)
    lines = list(reading.lines(path))
    if broken:
        whole = [k == 0 or _begins_with(count, line) for k, (_, line) in enumerate(lines)]
        _report(path, "have no times", whole.count(False))
        lines = [line for line, kept in zip(lines, whole, strict=True) if kept]
    for row, (number, line) in enumerate(lines):
        separator = ";" if ";" in line else ","
        fields = line.split(separator)
        if row == 0 and not any(_is_number(f) for f in fields):
            continue  # a header
        if names and len(fields) == count + names:
            fields = fields[names:]
        if len(fields) < count or (names and len(fields) != count):
            raise SerError(f"expected {count} numbers, got {len(fields)} fields", f"{path}:{number}")
        yield number, [reading.seconds(f, path, number) for f in fields[:count]], separator.join(fields[count:])


def _begins_with(count: int, line: str) -> bool:
    fields = line.split(";" if ";" in line else ",")
    return len(fields) >= count and all(map(_is_number, fields[:count]))


def _is_number(field: str) -> bool:
    try:
        float(field.strip().strip("'\""))
    except ValueError:
        return False
    return True
