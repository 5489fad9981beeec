"""Reading a YAML file that a user writes: plain data, and the lines of its keys for error messages."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ser.core.errors import SerError


def load(path: str | Path) -> dict[str, Any]:
    """A YAML file as plain data (YAML 1.2, as DVC reads it). Raises `SerError` with the line of a syntax error, and for
    what YAML allows and no settings are: loops, keys that are lists, and numbers or nesting beyond what Python reads.
    """
    from ruamel.yaml import YAML, YAMLError

    path = Path(path)
    if not path.exists():
        raise SerError("no such file", path, "Run this from the repository root")
    raw = path.read_bytes()
    try:
        data = YAML(typ="safe").load(raw.decode("utf-8"))
        json.dumps(data, default=str)
    except UnicodeDecodeError as error:
        where = f"{path}, line {len(raw[: error.start].splitlines()) or 1}"
        raise SerError(f"not UTF-8: byte {raw[error.start]:#04x}", where, "Save the file as UTF-8") from error
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        raise SerError(f"not valid YAML: {getattr(error, 'problem', None) or error}", where) from error
    except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise SerError(f"not plain settings: {str(error)[:200]}", path) from error
    if not isinstance(data, Mapping):
        raise SerError("expected a mapping", path)
    return dict(data)


def lines(path: str | Path) -> Callable[[str], int | None]:
    """A function from a dotted key to its line in a YAML file, or to the line of the innermost block above it."""
    from ruamel.yaml import YAML

    root: Any = None
    with suppress(RecursionError):  # nested too deeply for a parser that keeps lines
        root = YAML().load(Path(path).read_text(encoding="utf-8"))

    def line_of(key: str) -> int | None:
        node, line = root, None
        for part in key.split("."):
            name = part.split("[")[0]
            lines = getattr(getattr(node, "lc", None), "data", None) or {}  # an ordered map has none
            if not isinstance(node, Mapping) or name not in node or name not in lines:
                break
            line = lines[name][0] + 1
            node = node[name]
        return line

    return line_of
