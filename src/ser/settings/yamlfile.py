"""Reading a YAML file a user writes: plain data, and the line of a key for error messages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ser.errors import SerError


def load(path: str | Path) -> dict[str, Any]:
    """A YAML file as plain data (YAML 1.2, as DVC reads it). Raises `SerError` with the line of a syntax error."""
    from ruamel.yaml import YAML, YAMLError

    path = Path(path)
    if not path.exists():
        raise SerError("no such file", path, "Run this from the repository root")
    raw = path.read_bytes()
    try:
        data = YAML(typ="safe").load(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        where = f"{path}, line {len(raw[: error.start].splitlines()) or 1}"
        raise SerError(f"not UTF-8: byte {raw[error.start]:#04x}", where, "Save the file as UTF-8") from error
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        raise SerError(f"not valid YAML: {getattr(error, 'problem', None) or error}", where) from error
    if not isinstance(data, Mapping):
        raise SerError("expected a mapping", path)
    return dict(data)


def line_of(path: str | Path, key: str) -> int | None:
    """Line of a dotted key in a YAML file, or of the innermost block there that would hold it."""
    from ruamel.yaml import YAML

    node: Any = YAML().load(Path(path).read_text(encoding="utf-8"))
    line = None
    for part in key.split("."):
        part = part.split("[")[0]
        if not isinstance(node, Mapping) or part not in node:
            break
        line = node.lc.key(part)[0] + 1  # type: ignore[attr-defined]
        node = node[part]
    return line
