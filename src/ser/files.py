"""Files and folders that are written atomically: each is whole under its name, or not there."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ser.errors import SerError


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`. When the block ends well, the file that it wrote takes the place of
    `path`, and otherwise it is removed.
    """
    path = Path(path)
    temporary = _temporary(path)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """Yields a new temporary folder beside `path`. When the block ends well, it takes the place of `path`, whatever was
    there, and otherwise it is removed.

    Where two processes make the same folder at a time, the later one stays.
    """
    path = Path(path)
    temporary = _temporary(path)
    temporary.mkdir()
    old = temporary.with_suffix(".old")
    try:
        yield temporary
        while True:
            try:
                os.replace(temporary, path)
                return
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                with suppress(FileNotFoundError):  # another process was faster
                    os.replace(path, old)
                shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _temporary(path: Path) -> Path:
    """A name beside `path` that no other process has: containers that share a folder have equal process ids. The suffix
    stays last, because writers such as soundfile choose the format by it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{path.stem}.{os.getpid()}.{secrets.token_hex(4)}.part{path.suffix}")


def write_text(path: str | Path, text: str) -> None:
    """Writes UTF-8."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Writes indented JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: str | Path) -> Any:
    """The value of a JSON file. Raises `SerError` when it is missing or not valid JSON."""
    path = Path(path)
    if not path.exists():
        raise SerError("missing file", path, "Run the stage that makes it: dvc repro")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise SerError(f"not valid JSON: {error}", path) from error


def digest(*parts: object, size: int = 16) -> str:
    """The first `size` hexadecimal digits of a SHA-256 hash of `parts`: bytes as they are, all else as JSON."""
    h = hashlib.sha256()
    for part in parts:
        h.update(part if isinstance(part, bytes) else json.dumps(part, sort_keys=True, ensure_ascii=False).encode())
        h.update(b"\0")
    return h.hexdigest()[:size]
