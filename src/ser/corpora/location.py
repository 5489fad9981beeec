"""Where a corpus is, and the receipt by which later stages find it again and notice that it has changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ser.core.errors import SerError
from ser.core.files import digest, repro
from ser.corpora import raw_folder

WHOLE = 2 << 30  # bytes of a corpus up to which all contents are read; ours: some ten seconds
SMALL = 1_000_000  # bytes up to which files of a larger corpus are read; ours: labels and transcripts are smaller


@dataclass(frozen=True)
class Location:
    """A corpus's root folder, whether its speech is synthetic, and a table of it that is outside the root."""

    root: Path
    synthetic: bool
    table: Path | None = None


class _File(NamedTuple):
    name: str  # POSIX, relative to the root
    size: int  # bytes
    mtime_ns: int


def found(receipt: Mapping[str, Any], study: str = "demo") -> Location:
    """The location of a receipt's corpus; `study` is the one that reads it, for the command in the error.

    Raises `SerError` when the corpus is gone, or when the number of its files or bytes has changed. That is quick;
    `changed` also compares contents.
    """
    corpus = receipt["corpus"]
    again = repro(Path("data") / study / "receipts", f"download@{corpus}")
    root = _root(receipt)
    if root is None:
        raise SerError(f"{corpus} is no longer here", raw_folder() / str(receipt["root"]), f"Get it again: {again}")
    listing = list(_listing(root))
    now, then = (len(listing), sum(f.size for f in listing)), (receipt["files"], receipt["bytes"])
    if now != then:
        raise SerError(
            f"corpus {corpus} changed since it was checked: {now[0]} files of {now[1]} bytes, "
            f"then {then[0]} files of {then[1]} bytes",
            root,
            f"Check it again: {again}",
        )
    return Location(root, receipt["is_synthetic"])


def changed(receipt: Mapping[str, Any]) -> bool:
    """Whether a receipt's corpus, or one of a joint corpus, is gone or has other files or contents now. Reads as much
    as `receipt`."""
    if "parts" in receipt:
        return any(changed(part) for part in receipt["parts"].values())
    root, table = _root(receipt), receipt.get("table")
    if root is None or (table and not Path(table["path"]).is_file()):
        return True
    if table and _contents(Path(table["path"])) != table["digest"]:
        return True
    return any(receipt.get(key) != value for key, value in _facts(root).items())


def receipt(location: Location, corpus: str) -> dict[str, Any]:
    """What is at a location, for a JSON file: number of files, bytes, and a digest of names and contents.

    Hidden files and `._*` twins do not count. A root below data/raw is written relative to it, so that a moved data
    folder gives the same receipt. In a corpus of more than `WHOLE` bytes, the time of change replaces the contents of
    files above `SMALL` bytes, because reading 60 GB at every check would take minutes.
    """
    if Path.cwd().resolve().is_relative_to(location.root.resolve()):  # our own outputs would change it at every run
        raise SerError(
            f"the folder of {corpus} contains this whole project", location.root, "Move the corpus to its own folder"
        )
    facts: dict[str, Any] = _facts(location.root)
    if not facts["files"]:
        raise SerError("an empty corpus", location.root, "Link the folder the original archive unpacks to")
    raw, root = raw_folder().absolute(), location.root.absolute()
    if location.table is not None:
        facts["table"] = {"path": location.table.as_posix(), "digest": _contents(location.table)}
    return {
        "corpus": corpus,
        "root": (root.relative_to(raw) if root.is_relative_to(raw) else location.root).as_posix(),
        "is_synthetic": location.synthetic,
        **facts,
    }


def _root(receipt: Mapping[str, Any]) -> Path | None:
    places = (raw_folder() / str(receipt["root"]), Path(str(receipt["root"])))  # below data/raw, or a user's own folder
    return next((p for p in places if p.is_dir()), None)


def _facts(root: Path) -> dict[str, Any]:
    listing = sorted(_listing(root))
    total = sum(f.size for f in listing)
    seen = [
        (f.name, f.size, _contents(root / f.name) if total <= WHOLE or f.size <= SMALL else f.mtime_ns) for f in listing
    ]
    return {"files": len(listing), "bytes": total, "digest": digest(seen)}


def _contents(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SerError(f"cannot be read: {error.strerror}", path, "Repair the file or its permissions") from error


def _listing(root: Path) -> Iterator[_File]:
    """Every visible file below `root`, through symbolic links, each folder once."""
    seen: set[tuple[int, int]] = set()
    folders = [(str(root), "")]
    while folders:
        folder, prefix = folders.pop()
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:  # a link that leads back
            continue
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    folders.append((entry.path, f"{prefix}{entry.name}/"))
                elif entry.is_file():
                    status = entry.stat()
                    yield _File(prefix + entry.name, status.st_size, status.st_mtime_ns)
