"""What ``ser predict`` is asked to predict: recordings, or parts of them, from paths, folders, CSV files and lists."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import soundfile

from ser.core.errors import SerError
from ser.corpora import audio, reading

LONGEST = 300.0  # s; ours: longer ones are predicted by windows, which bounds the memory
# of the files that are taken from folders
SUFFIXES = frozenset([".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".au", ".caf", ".w64"])


class Window(NamedTuple):
    """Length and distance of the windows of a long recording, in seconds."""

    size: float
    hop: float


@dataclass(frozen=True)
class Recording:
    """A file, or a part of it in seconds. `columns`: what else the row of the table holds, in its order."""

    path: Path
    file: str  # as the user wrote it
    start: float | None = None
    end: float | None = None
    columns: dict[str, str] = field(default_factory=dict)


def find(paths: Sequence[str]) -> list[Recording]:
    """The recordings of files, folders (all audio files in them, at any depth), CSV files with a column ``file``, and
    ``-``, which stands for a list of paths on stdin. A file that does not exist is reported when it is read.
    """
    found: list[Recording] = []
    for name in paths:
        path = Path(name)
        if name == "-":
            found += find([line.strip() for line in sys.stdin if line.strip()])
        elif path.is_dir():
            inside = [p for p in reading.visible(path.rglob("*")) if p.suffix.lower() in SUFFIXES and p.is_file()]
            if not inside:
                raise SerError("no audio file in this folder", path)
            found += [Recording(p, str(p)) for p in inside]
        elif path.suffix.lower() == ".csv":
            found += _rows(path)
        else:
            found.append(Recording(path, name))
    if not found:
        raise SerError("nothing to predict", ", ".join(paths))
    return found


def _rows(path: Path) -> Iterator[Recording]:
    """The rows of a CSV: ``file`` (from the CSV's folder), and where they are there ``start`` and ``end``."""
    if not path.is_file():
        raise SerError("no such table", path)
    rows = csv.DictReader(io.StringIO(reading.text(path), newline=""))
    if "file" not in (rows.fieldnames or ()):
        raise SerError("this table has no column 'file'", path, "Name the column with the paths of the audio: file")
    for number, row in enumerate(rows, 2):
        where = f"{path}, line {number}"
        if None in row or None in row.values():
            raise SerError("a row has not as many fields as the header", where)
        start, end = (reading.time(row[key], key, where) if key in row else None for key in ("start", "end"))
        rest = {k: v for k, v in row.items() if k not in ("file", "start", "end")}
        yield Recording(path.parent / row["file"], row["file"], start, end, rest)


def parts(recording: Recording, window: Window | None) -> list[tuple[float, float]]:
    """Start and end in seconds of the pieces that are predicted: the whole, or windows every `hop` seconds and one
    aligned to the end.

    Raises `SerError` for a file that cannot be read, and without windows for one longer than `LONGEST`.
    """
    start, end = recording.start or 0.0, recording.end
    if end is None:
        end = duration(recording.path)
    if window is None:
        if end - start > LONGEST:
            what = f"{end - start:.0f} s of audio are too long to be predicted at once"
            raise SerError(what, recording.path, "Give --window and --hop in seconds, such as --window 3 --hop 3")
        return [(start, end)]
    last, starts = end - window.size, [start]
    while starts[-1] < last:
        starts.append(min(start + len(starts) * window.hop, last))
    return [(s, min(s + window.size, end)) for s in starts]


def duration(path: Path) -> float:
    """Seconds of a file by its header. Raises `SerError` where `audio.decode` would."""
    try:
        info = soundfile.info(path)
    except (soundfile.LibsndfileError, OSError):
        signal, rate, _ = audio.decode(path)  # says what is wrong with it
        return len(signal) / rate
    return info.frames / info.samplerate


def columns(recordings: Iterable[Recording]) -> list[str]:
    """The columns of all tables, in the order in which they come first."""
    return list(dict.fromkeys(name for r in recordings for name in r.columns))
