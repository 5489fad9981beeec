"""``ser predict``: the predictions of a package for any number of recordings, in bounded memory.

The pieces of all recordings (whole files, or windows of them) are numbered in their order. With ``--out`` each finished
piece is a line of a hidden file beside it, so a second call continues behind the last whole line. The table and the
table of errors are written from it at the end, whole or not at all.
"""

from __future__ import annotations

import csv
import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from ser.core import compute
from ser.core.errors import SerError
from ser.core.files import digest, replacing
from ser.corpora import audio
from ser.corpora.manifest import LABEL_RATE
from ser.packages import recordings
from ser.packages.model import Features, Model
from ser.packages.recordings import Recording, Window

PIECES, SECONDS = 64, 600.0  # ours: of a batch, whichever comes first; what is in memory at a time
DIGITS = 6  # of scores


class Piece(NamedTuple):
    """A part of a recording that is predicted by itself, or the error that the recording gave."""

    number: int  # of the recording
    start: float = 0.0  # s
    end: float = 0.0
    error: str = ""


def run(folder: str, paths: Sequence[str], out: Path | None = None, window: Window | None = None) -> None:
    """Predicts recordings and writes a table to `out`, or to stdout.

    Raises `SerError` for a package or a table that cannot be used, and at the end when a recording could not be
    predicted; the predictions of the others are then written.
    """
    if out is not None:
        _check_out(out, paths)
    found = recordings.find(paths)
    model = Model(folder)
    columns = _columns(model, found)
    if out is None:
        writer, failed = csv.writer(sys.stdout, lineterminator="\n"), set()
        writer.writerow(columns)
        for line in _predicted(model, found, window, 0):
            writer.writerows(_rows(model, found, line, columns))
            failed |= {line["number"]} if "error" in line else set()
    else:
        failed = _to_file(model, found, window, out, columns)
    if failed:
        errors = None if out is None else errors_of(out)
        raise SerError(f"{len(failed)} of {len(found)} recordings could not be predicted", errors)


def _check_out(out: Path, paths: Sequence[str]) -> None:
    """Before hours of work: raises `SerError` for a table that cannot be written, or that would replace an input."""
    if out.is_dir():
        raise SerError("a folder cannot be the table of predictions", out, "Name a file, such as --out predictions.csv")
    if out.resolve() in {Path(path).resolve() for path in paths}:
        raise SerError("the predictions would replace this input", out, "Name another file with --out")


def errors_of(out: Path) -> Path:
    """The table of the recordings that could not be predicted, beside that of the others."""
    return out.with_name(f"{out.stem}.errors.csv")


def _to_file(model: Model, found: list[Recording], window: Window | None, out: Path, columns: list[str]) -> set[int]:
    out.parent.mkdir(parents=True, exist_ok=True)
    asked = [(str(r.path.absolute()), r.start, r.end) for r in found]
    journal = out.with_name(f".{out.name}.{digest(model.contents.digest, asked, window)}.part")
    done = _whole_lines(journal)
    with journal.open("a", encoding="utf-8") as file:
        for line in _predicted(model, found, window, done):
            file.write(json.dumps(line) + "\n")
            file.flush()
    failed = _write_errors(found, journal, errors_of(out))
    with replacing(out) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for line in _lines(journal):
            writer.writerows(_rows(model, found, line, columns))
    for left in out.parent.glob(f".{out.name}.*.part"):
        left.unlink()
    return failed


def _write_errors(found: list[Recording], journal: Path, path: Path) -> set[int]:
    """The numbers of the recordings that could not be predicted, after writing the table of their errors."""
    bad = [line for line in _lines(journal) if "error" in line]
    path.unlink(missing_ok=True)
    if bad:
        with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["file", "start", "end", "error"])
            writer.writerows([found[b["number"]].file, b["start"], b["end"], b["error"]] for b in bad)
    return {line["number"] for line in bad}


def _lines(journal: Path) -> Iterator[dict[str, Any]]:
    with journal.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _whole_lines(journal: Path) -> int:
    """The number of finished pieces; what a killed call left of one more is cut off."""
    if not journal.exists():
        return 0
    with journal.open("r+b") as file:
        count, end = 0, 0
        for line in file:
            if not line.endswith(b"\n"):
                break
            count, end = count + 1, end + len(line)
        file.truncate(end)
    return count


def _predicted(model: Model, found: list[Recording], window: Window | None, done: int) -> Iterator[dict[str, Any]]:
    """One line per piece behind the first `done`: number, start, end, and scores or error."""
    pieces = itertools.islice(_pieces(found, window), done, None)
    with (
        ThreadPoolExecutor(compute.workers()) as pool,
        tqdm(total=len(found), desc="predict", unit="file", disable=None) as bar,
    ):
        for batch in _batches(pieces):
            read = list(pool.map(lambda piece: _read(model, found[piece.number], piece), batch))
            inputs = [r for r in read if not isinstance(r, str)]
            seconds = [p.end - p.start for p, r in zip(batch, read, strict=True) if not isinstance(r, str)]
            scores = iter(model.predict(inputs, seconds) if inputs else ())
            for piece, result in zip(batch, read, strict=True):
                line: dict[str, Any] = {"number": piece.number, "start": piece.start, "end": piece.end}
                if isinstance(result, str):
                    tqdm.write(f"error: {result}", file=sys.stderr)
                    yield {**line, "error": result}
                else:
                    yield {**line, "scores": next(scores).round(DIGITS).tolist()}
            bar.update(batch[-1].number - bar.n)
        bar.update(len(found) - bar.n)


def _pieces(found: list[Recording], window: Window | None) -> Iterator[Piece]:
    for number, recording in enumerate(found):
        try:
            parts = recordings.parts(recording, window)
        except SerError as error:
            yield Piece(number, error=str(error))
            continue
        yield from (Piece(number, round(start, 6), round(end, 6)) for start, end in parts)


def _batches(pieces: Iterator[Piece]) -> Iterator[list[Piece]]:
    batch: list[Piece] = []
    for piece in pieces:
        batch.append(piece)
        if len(batch) == PIECES or sum(p.end - p.start for p in batch) > SECONDS:
            yield batch
            batch = []
    if batch:
        yield batch


def _read(model: Model, recording: Recording, piece: Piece) -> Features | str:
    """The inputs of the model, or what is wrong with the recording."""
    if piece.error:
        return piece.error
    try:
        signal, rate, _ = audio.decode(recording.path, piece.start, piece.end)
        try:
            return model.read(signal, rate)
        except SerError as error:
            raise SerError(error.what, recording.path, error.hint) from error
    except (SerError, OSError) as error:
        return " ".join(str(error).split())


def _columns(model: Model, found: list[Recording]) -> list[str]:
    """file, start, end, the columns of the tables, then those of the predictions."""
    outputs = list(model.contents.outputs)
    own = outputs
    if model.contents.kind == "classification":
        own = ["class", "confidence", *(f"score_{name}" for name in outputs)]
    theirs = recordings.columns(found)
    if both := [name for name in theirs if name in own]:
        raise SerError(f"a table has the column {both[0]!r}, which is written here", None, "Rename that column")
    return ["file", "start", "end", *theirs, *own]


def _rows(model: Model, found: list[Recording], line: dict[str, Any], columns: list[str]) -> Iterator[list[Any]]:
    """The rows of a piece: one, or for continuous labels one every 0.1 s; none for an error."""
    if "error" in line:
        return
    recording, outputs = found[line["number"]], model.contents.outputs
    theirs = [recording.columns.get(name, "") for name in columns[3 : len(columns) - _own(model)]]
    if model.contents.kind == "classification":
        scores = line["scores"]
        best = max(range(len(scores)), key=scores.__getitem__)
        yield [recording.file, line["start"], line["end"], *theirs, outputs[best], scores[best], *scores]
        return
    for k, values in enumerate(line["scores"]):
        start = round(line["start"] + k / LABEL_RATE, 6)
        yield [recording.file, start, round(start + 1 / LABEL_RATE, 6), *theirs, *values]


def _own(model: Model) -> int:
    return len(model.contents.outputs) + 2 * (model.contents.kind == "classification")
