"""Files: written atomically, so that each is whole under its name or not there; read so that damage is one line that
names the file; named so that no name of a speaker or an experiment leads out of its folder.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser.core.errors import FULL, SerError, warn

if TYPE_CHECKING:
    import pandas as pd

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,199}")
_FORMULA = re.compile(r"'*[=+\-@\t\r]")  # what a spreadsheet computes, and what was already quoted
_ROOM = 1 << 20  # bytes; ours: with less on the disk, a library that could not write had no room
_FORGOTTEN = 7 * 24 * 3600.0  # seconds; ours: no file takes a week to write


def file_name(name: object) -> str:
    """A name (of a speaker, a fold, an experiment) as the name of a file or folder. Plain names stay as they are.
    Others get a hash after a `~`, which no plain name contains, so different names never meet and none leads to
    another folder.
    """
    text = str(name)
    if _PLAIN.fullmatch(text):
        return text
    return re.sub(r"[^A-Za-z0-9_+-]", "_", text)[:40] + "~" + digest(text, size=12)


def remove(path: str | Path, inside: str | Path) -> None:
    """Removes a file or a folder if it is there; of a symbolic link only the link. Raises `SerError` when it is not
    below the folder `inside`.
    """
    path, folder = Path(path), Path(inside).resolve()
    if path.name == ".." or folder not in (path.parent.resolve() / path.name).parents:
        raise SerError(f"will not be removed: it is not inside {folder}", path)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`. When the block ends well, the file that it wrote takes the place of
    `path`, and otherwise it is removed.
    """
    path = Path(path)
    temporary = _temporary(path)
    try:
        with _named(path):
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
        with _named(path):
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


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Names the file in an error of writing: a full disk does not say what was written, and many libraries do not say
    that it was the disk.
    """
    try:
        yield
    except SerError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            if error.filename is None:
                error.filename = str(path)
            raise
        number = next((n for n in FULL if os.strerror(n) in str(error)), errno.ENOSPC)
        if os.strerror(number) in str(error) or shutil.disk_usage(path.parent).free < _ROOM:
            raise OSError(number, os.strerror(number), str(path)) from error
        raise


def _temporary(path: Path) -> Path:
    """A name beside `path` that no other process has: containers that share a folder have equal process ids. The suffix
    stays last, because writers such as soundfile choose the format by it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    return path.with_name(f".{path.stem}.{_machine()}-{os.getpid()}.{secrets.token_hex(4)}.part{path.suffix}")


def _sweep(path: Path) -> None:
    """Removes what dead processes left of earlier attempts to write `path`."""
    mark = re.compile(rf"\.{re.escape(path.stem)}\.(\w+)-(\d+)\.[0-9a-f]{{8}}\.(part{re.escape(path.suffix)}|old|part)")
    for name in os.listdir(path.parent):
        if (match := mark.fullmatch(name)) and _is_forgotten(path.with_name(name), match[1], int(match[2])):
            remove(path.with_name(name), path.parent)


def _is_forgotten(path: Path, machine: str, pid: int) -> bool:
    if machine == _machine():
        return not is_alive(pid)
    with suppress(FileNotFoundError):  # of another machine nothing but the age is known
        return time.time() - path.stat().st_mtime > _FORGOTTEN
    return False


@cache
def _machine() -> str:
    """A short name of what gives out the process ids: a machine, or a container on it."""
    namespace = Path("/proc/self/ns/pid")
    return digest(socket.gethostname(), os.readlink(namespace) if namespace.exists() else "", size=8)


def is_alive(pid: int) -> bool:
    """Whether a process of this machine runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


@contextmanager
def claim(path: str | Path, wait: bool = False) -> Iterator[bool]:
    """Yields whether this process, alone among all that share the folder, may make what `path` is named after; with
    `wait`, as soon as it may. The file says who has it. The operating system frees the claim of a process however that
    process ends. Where a file system has no locks, every process may.
    """
    import fcntl

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("a", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            except OSError:
                yield True
                return
            if not path.exists() or os.fstat(file.fileno()).st_ino != path.stat().st_ino:
                continue  # whoever had it has removed the file
            with suppress(OSError):  # a full disk: the claim is the lock, and the text only says whose it is
                file.truncate(0)
                who = f"{socket.gethostname()} {os.getpid()} {time.strftime('%Y-%m-%d %H:%M:%S')}\n"
                os.write(file.fileno(), who.encode())
            try:
                yield True
            finally:
                path.unlink(missing_ok=True)
            return


def write_text(path: str | Path, text: str) -> None:
    """Writes UTF-8."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Writes indented JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: str | Path) -> Any:
    """The mapping of a JSON file. Raises `SerError` when it is missing or damaged, and for a key that it lacks."""
    path = Path(path)
    if not path.exists():
        raise SerError("missing file", path, f"Run the stage that makes it: {repro(path)}")

    def mapping(values: dict[str, Any]) -> _Mapping:
        made = _Mapping(values)
        made.path = path
        return made

    with reading(path):
        value = json.loads(path.read_text(encoding="utf-8"), object_hook=mapping)
        if not isinstance(value, dict):
            raise ValueError("it holds no mapping")
        return value


class _Mapping(dict[str, Any]):
    """A mapping of a JSON file, which names the file when a key is missing."""

    path: Path | None = None

    def __missing__(self, key: str) -> Any:
        raise SerError(f"damaged file: no {key!r}", self.path, f"Remove it and make it again: {repro(self.path)}")

    def __reduce__(self) -> tuple[type, tuple[dict[str, Any]]]:
        return dict, (dict(self),)


@contextmanager
def reading(path: str | Path, hint: str | None = None) -> Iterator[None]:
    """Makes one line, a `SerError`, of whatever a damaged file causes in the block that reads it."""
    try:
        yield
    except SerError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.filename:
            raise
        what = f"no {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
        raise SerError(
            f"damaged file: {what[:200]}", path, hint or f"Remove it and make it again: {repro(path)}"
        ) from error


def set_aside(path: Path, error: SerError) -> None:
    """Renames a damaged file that can be made again, and says so in one line."""
    aside = path.with_name(f"{path.name}.damaged")
    os.replace(path, aside)
    warn(error.what, path, f"It is called {aside.name} now, and its work is done again")


def repro(path: object, stage: str = "") -> str:
    """The command that makes a file of a study again, or that runs one `stage` of its study alone, whatever changed."""
    parts = Path(str(path)).parts
    study = parts[1] if len(parts) > 1 and parts[0] in ("data", "metrics", "reports") else "demo"
    graph = "" if study == "demo" else f"studies/{study}/dvc.yaml"
    return " ".join(filter(None, ("dvc repro -f -s" if stage else "dvc repro", ":".join(filter(None, (graph, stage))))))


def guarded(table: pd.DataFrame) -> pd.DataFrame:
    """A table whose texts no spreadsheet takes for formulas: a `'` comes before those that begin with = + - @. Numbers
    stay as they are, and `unguarded` gives the same table back.
    """
    return _map_texts(table, lambda text: f"'{text}" if _FORMULA.match(text) else text)


def unguarded(table: pd.DataFrame) -> pd.DataFrame:
    """The table that was `guarded`."""
    return _map_texts(table, lambda text: text[1:] if text[:1] == "'" and _FORMULA.match(text) else text)


def read_csv(path: str | Path, **options: Any) -> pd.DataFrame:
    """A table that was `guarded`, by `pandas.read_csv`. Raises `SerError` for a damaged file."""
    import pandas as pd

    with reading(path):
        return unguarded(pd.read_csv(path, **options))


def _map_texts(table: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    changed = {}
    for name, column in table.items():
        if column.dtype.kind not in "biufcmM":
            new = {v: change(v) for v in column.unique() if isinstance(v, str)}
            if any(old != text for old, text in new.items()):
                changed[name] = column.map(lambda v, new=new: new.get(v, v) if isinstance(v, str) else v)
    return table.assign(**changed) if changed else table


def digest(*parts: object, size: int = 16) -> str:
    """The first `size` hexadecimal digits of a SHA-256 hash of `parts`: bytes as they are, all else as JSON."""
    h = hashlib.sha256()
    for part in parts:
        h.update(part if isinstance(part, bytes) else json.dumps(part, sort_keys=True, ensure_ascii=False).encode())
        h.update(b"\0")
    return h.hexdigest()[:size]
