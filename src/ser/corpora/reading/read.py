"""Shared by the readers: corpus folders, text files of any encoding, listings without the litter of other systems."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from ser.corpora import Card
from ser.errors import SerError

ID = re.compile(r"\w[\w.+-]*")  # an utterance id that is safe in a CSV, a spreadsheet and a file name
PART = ".part"  # suffix of everything that a download has not finished


def folder(root: str | Path, card: Card) -> Path:
    """`root`, checked: there, a folder, and not left half-filled by a stopped download."""
    root = Path(root)
    if not root.is_dir():
        raise SerError(f"{card.title} is not here", root, card.steps)
    unfinished = sorted(root.glob(f".*{PART}"))
    if unfinished:
        raise SerError(
            f"unfinished download of {card.name}", unfinished[0], "Download again: it continues where it stopped"
        )
    return root


def visible(paths: Iterable[Path]) -> list[Path]:
    """Sorted, without hidden files and the `._*` twins that macOS leaves in archives."""
    return sorted(p for p in paths if not p.name.startswith("."))


def text(path: Path) -> str:
    """A text file in UTF-8 (with or without mark), UTF-16 with its mark, or ISO-8859-1, whichever it is."""
    data = path.read_bytes()
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("iso-8859-1")


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number (from 1) and text of every line that is not blank."""
    # not splitlines(): it also breaks at form feeds and Unicode separators, which shifts the numbers an editor shows
    for number, line in enumerate(text(path).replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        if line.strip():
            yield number, line


def seconds(value: str, path: Path, number: int) -> float:
    """A number of a label file; raises `SerError` naming file and line."""
    value = value.strip().strip("'\"")
    try:
        result = float(value)
    except ValueError:
        raise SerError(f"{value!r} is not a number", f"{path}:{number}") from None
    if result != result or abs(result) == float("inf"):
        raise SerError(f"{value!r} is not a finite number", f"{path}:{number}")
    return result
