"""Plugins are modules found by name: corpora, features, protocols, models. There is no registry to edit.

Every plugin module has one frozen dataclass that holds its parameters: `Feature` in a feature, `Config` elsewhere. Its
fields are the keys allowed in the plugin's block of params.yaml, its defaults what the paper prints (or, marked as
ours, what we chose)."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import importlib
import importlib.util
import re
import types
import typing
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from ser.errors import SerError

PACKAGE = Path(__file__).parent
KINDS = {
    "corpora": "Config",
    "synthetic": "Config",
    "features": "Feature",
    "protocols": "Config",
    "models": "Config",
}

T = TypeVar("T")


MARKS = {"corpora": "CARD", "synthetic": "jobs", "features": "Feature", "protocols": "folds", "models": "Model"}


@cache
def names(kind: str) -> list[str]:
    """Sorted names of the plugins of a kind: the modules of its folder that define the kind's main object (`MARKS`)."""
    mark = re.compile(rf"^(class |def )?{MARKS[kind]}\b", re.MULTILINE)
    return sorted(p.stem for p in path(kind).glob("*.py") if mark.search(p.read_text(encoding="utf-8")))


def path(kind: str) -> Path:
    """The folder of a kind. Look-alikes (`synthetic`) are the modules of the package `ser_synth`, which nothing here
    imports statically; raises `SerError` when it is not installed."""
    if kind != "synthetic":
        return PACKAGE / kind
    spec = importlib.util.find_spec("ser_synth")
    if spec is None or not spec.submodule_search_locations:
        hint = "Install it: pip install --no-deps --editable packages/ser_synth, and pip install espeakng-loader"
        raise SerError("look-alike corpora need the package ser_synth, which is not installed", None, hint)
    return Path(spec.submodule_search_locations[0])


def load(kind: str, name: str, where: object = None) -> types.ModuleType:
    """Imports one plugin; raises `SerError` naming the nearest plugin when there is none of that name."""
    check_name(name, names(kind), f"{kind} plugin", where)
    return importlib.import_module(f"ser_synth.{name}" if kind == "synthetic" else f"ser.{kind}.{name}")


def check_name(name: str, known: Iterable[str], what: str, where: object = None) -> None:
    known = [str(k) for k in known]
    if name not in known:
        raise SerError(f"unknown {what} {name!r}", where, nearest(name, known))


def nearest(name: str, known: Iterable[str]) -> str:
    """The hint for a misspelt name: the nearest known one, or the list."""
    known = sorted(known)
    close = difflib.get_close_matches(str(name), known, 1, 0.5)
    if close:
        return f"Did you mean {close[0]!r}?"
    return "Known: " + ", ".join(known) if known else "None is known"


def keys(kind: str, name: str) -> list[str]:
    """Field names of a plugin's parameters, read from its source: checking params.yaml imports no torch."""
    return list(_annotations(kind, name))


def check_values(kind: str, name: str, values: Mapping[str, Any], where: str) -> None:
    """Types of a plugin's values from the annotations in its source, as `keys` does; values of an annotation that is
    not built of `_TYPES` are left for `build`. Raises `SerError` that names the key."""
    annotations = _annotations(kind, name)
    for key, value in values.items():
        check_name(str(key), annotations, f"key of {name}", f"{where}.{key}")
        code = compile(ast.Expression(annotations[key]), f"{name}.{key}", "eval")
        try:
            hint = eval(code, {"__builtins__": {}}, _TYPES)  # an annotation of our own source
        except (NameError, AttributeError, TypeError):
            continue
        _convert(value, hint, f"{where}.{key}")


_TYPES = {t.__name__: t for t in (int, float, str, bool, tuple, dict)} | {"Literal": typing.Literal, "Any": Any}


def sources(kind: str, name: str) -> list[Path]:
    """The source of a plugin and of the shared parts of its kind that it imports, however deep; sorted.

    A result is filed under these: an edit of another model's part leaves it standing."""
    package, todo, seen = f"ser.{kind}", [path(kind) / f"{name}.py"], set()
    while todo:
        file = todo.pop()
        if file in seen:
            continue
        seen.add(file)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(package):
                found = [node.module or "", *(f"{node.module}.{a.name}" for a in node.names)]
                parts = [m.removeprefix(package).strip(".").replace(".", "/") for m in found]
                todo += [f for p in parts if p and (f := path(kind) / f"{p}.py").is_file()]
    return sorted(seen)


def _annotations(kind: str, name: str) -> dict[str, ast.expr]:
    """Field names of a plugin's dataclass and their annotations, in the order of the source."""
    check_name(name, names(kind), f"{kind} plugin")
    tree = ast.parse((path(kind) / f"{name}.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == KINDS[kind]:
            return {
                s.target.id: s.annotation
                for s in node.body
                if isinstance(s, ast.AnnAssign)
                and isinstance(s.target, ast.Name)
                and "ClassVar" not in ast.dump(s.annotation)
            }
    return {}


def build(cls: type[T], values: Mapping[str, Any] | None, where: str) -> T:
    """A frozen dataclass from a block of params.yaml.

    Unknown keys, missing keys and values of the wrong type raise `SerError` that names the key and the nearest known
    one. Lists become tuples, ints become floats where a float is asked for, nested dataclasses are built from nested
    mappings. `where` is the dotted key of the block, empty at the top; a field's metadata may hold the `hint` of its
    absence."""
    prefix = f"{where}." if where else ""
    values = {} if values is None else values
    if not isinstance(values, Mapping):
        raise SerError(f"expected a mapping, got {values!r}", where)
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
    for key in values:
        check_name(str(key), fields, "key", f"{prefix}{key}")
    missing = [
        n
        for n, f in fields.items()
        if n not in values and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        hint = fields[missing[0]].metadata.get("hint", f"Keys: {', '.join(fields)}")
        raise SerError(f"missing key {missing[0]!r}", where, hint)
    try:
        return cls(**{k: _convert(v, hints[k], f"{prefix}{k}") for k, v in values.items()})
    except ValueError as error:
        raise SerError(str(error), where) from error


def _convert(value: Any, hint: Any, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        failures = []
        for option in args:
            if option is type(None):
                continue
            try:
                return _convert(value, option, where)
            except SerError as error:
                failures.append(error)
        raise failures[0]
    if origin is typing.Literal:
        if value not in args:
            raise SerError(f"{value!r} is not one of the allowed values", where, nearest(str(value), map(str, args)))
        return value
    if origin is tuple:
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise SerError(f"expected a list, got {value!r}", where)
        items = list(value)
        if len(args) == 2 and args[1] is Ellipsis:
            return tuple(_convert(v, args[0], f"{where}[{i}]") for i, v in enumerate(items))
        if len(items) != len(args):
            raise SerError(f"expected {len(args)} values, got {len(items)}", where)
        return tuple(_convert(v, a, f"{where}[{i}]") for i, (v, a) in enumerate(zip(items, args, strict=True)))
    if dataclasses.is_dataclass(hint):
        return build(hint, value, where)  # type: ignore[arg-type]
    if origin in (dict, Mapping) or hint is dict:
        if not isinstance(value, Mapping):
            raise SerError(f"expected a mapping, got {value!r}", where)
        return dict(value)
    if hint is Any:
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and (not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool)):
        raise SerError(f"expected {hint.__name__}, got {value!r}", where)
    return value
