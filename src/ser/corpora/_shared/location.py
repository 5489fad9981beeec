"""Where a corpus lies, and the receipt by which later stages find it again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ser.core.errors import SerError
from ser.core.files import digest
from ser.corpora import raw_folder


@dataclass(frozen=True)
class Location:
    """A corpus's root folder, and whether its speech is synthetic."""

    root: Path
    synthetic: bool


def found(receipt: Mapping[str, Any]) -> Location:
    """The location a receipt tells of. Raises `SerError` when nothing is there any more."""
    places = (raw_folder() / receipt["root"], Path(receipt["root"]))  # below data/raw, or a user's own folder
    root = next((p for p in places if p.is_dir()), None)
    if root is None:
        corpus = receipt["corpus"]
        raise SerError(f"{corpus} is no longer here", places[0], f"Get it again: dvc repro -f download@{corpus}")
    return Location(root, receipt["is_synthetic"])


def receipt(location: Location, corpus: str) -> dict[str, Any]:
    """What lies at a location, for a JSON file: file count, bytes, and a digest of the sorted names and sizes.

    Hidden files and `._*` twins do not count. The root is relative to data/raw where it lies there, so that a moved
    data folder gives the same receipt. Contents are not read: 100 000 files take about a second.
    """
    listing = sorted(_listing(location.root))
    if not listing:
        raise SerError("an empty corpus", location.root, "Link the folder the original archive unpacks to")
    raw = raw_folder().absolute()
    root = location.root.absolute()
    return {
        "corpus": corpus,
        "root": (root.relative_to(raw) if root.is_relative_to(raw) else location.root).as_posix(),
        "is_synthetic": location.synthetic,
        "files": len(listing),
        "bytes": sum(size for _, size in listing),
        "digest": digest(listing),
    }


def _listing(root: Path) -> Iterator[tuple[str, int]]:
    """(POSIX path relative to root, bytes) of every visible file, through symbolic links, each folder once."""
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
                    yield prefix + entry.name, entry.stat().st_size
