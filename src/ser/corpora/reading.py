"""What the corpus readers share: folders, text files of any encoding, numbers and words of label files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from ser.core.errors import SerError
from ser.core.files import reading
from ser.corpora import Card, Word

ID = re.compile(r"\w[\w.+-]*")  # an utterance id that is safe in a CSV, a spreadsheet and a file name
PART = ".part"  # suffix of everything that a download has not finished


def folder(root: str | Path, card: Card) -> Path:
    """`root` as a path; raises `SerError` unless it is a folder that no interrupted download has left half-filled."""
    root = Path(root)
    if not root.is_dir():
        raise SerError(f"{card.title} is not here", root, card.steps)
    unfinished = sorted(root.glob(f".*{PART}"))
    if unfinished:
        hint = "Download it again: the download continues where it stopped"
        raise SerError(f"unfinished download of {card.name}", unfinished[0], hint)
    return root


def visible(paths: Iterable[Path]) -> list[Path]:
    """The paths in order, without hidden files and the `._*` twins that macOS leaves in archives."""
    return sorted(p for p in paths if not p.name.startswith("."))


def text(path: Path) -> str:
    """The content of a text file in UTF-8 (with or without mark), UTF-16 with its mark, or else ISO-8859-1."""
    content = path.read_bytes()
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        with reading(path, "Save the file as UTF-8"):
            return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("iso-8859-1")


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number (from 1) and text of every line that is not blank."""
    # not splitlines(): it also breaks at form feeds and Unicode separators, which shifts the numbers an editor shows
    for number, line in enumerate(text(path).replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        if line.strip():
            yield number, line


def seconds(value: str, path: Path, number: int) -> float:
    """A finite number of a label file; raises `SerError` that names file and line."""
    value = value.strip().strip("'\"")
    try:
        result = float(value)
    except ValueError:
        raise SerError(f"{value!r} is not a number", f"{path}:{number}") from None
    if result != result or abs(result) == float("inf"):
        raise SerError(f"{value!r} is not a finite number", f"{path}:{number}")
    return result


def time(value: str, column: str, where: str) -> float | None:
    """Seconds; accepts numbers and time spans such as `0 days 00:00:01.5`; empty and NaT: None."""
    if value in ("", "NaT"):
        return None
    match = re.fullmatch(r"(?:(\d+) days? )?(\d+):(\d+):(\d+(?:\.\d+)?)", value)
    if match:
        days, hours, minutes = (int(g or 0) for g in match.groups()[:3])
        return (days * 24 + hours) * 3600.0 + minutes * 60 + float(match[4])
    try:
        found = float(value)
    except ValueError:
        found = -1.0
    if not 0 <= found < float("inf"):
        raise SerError(f"{column} {value!r} is not a time in seconds", where)
    return found


def word(start: float, end: float, token: str, path: Path, number: int) -> Word:
    """A word of an alignment with its times in seconds; raises `SerError` that names file and line when it ends before
    it starts."""
    if not 0 <= start <= end:
        raise SerError(f"word {token!r} lasts from {start} s to {end} s", f"{path}:{number}")
    return Word(round(start, 6), round(end, 6), token)


def identifier(text: str) -> str:
    """`text` as an utterance id: `_` for every character that is not safe in one."""
    return re.sub(r"^[.+-]|[^\w.+-]", "_", text)


def inside(file: str, where: str) -> str:
    """A path of a table as a POSIX path relative to the corpus's root; raises `SerError` for one that leads out of
    it."""
    posix = PurePosixPath(file.replace("\\", "/"))
    if "\0" in file or posix == PurePosixPath():
        raise SerError(f"{file!r} is not the name of a file", where)
    if posix.is_absolute() or ".." in posix.parts or re.match(r"[A-Za-z]:", file):
        raise SerError(f"{file!r} is not below the corpus's folder", where, "Write paths relative to that folder")
    return str(posix)


def duration(path: Path) -> float:
    """Seconds of an audio file, by its header. Raises `SerError` for a file that is none."""
    import soundfile

    with reading(path, "Get this file again"):
        return float(soundfile.info(path).duration)
