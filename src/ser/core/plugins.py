"""Plugins are modules that are found by their name: corpora, features, protocols and models. There is no list to edit.

Each plugin module has one frozen dataclass with its parameters, called `Feature` in a feature and `Config` elsewhere.
The fields are the keys that the plugin's block of params.yaml may have. Their defaults are the values that the paper
prints or, where a comment says so, our own choice."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import importlib.util
import json
import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from ser.core.errors import Faults, SerError

PACKAGE = Path(__file__).parents[1]
KINDS = {"corpora": "Config", "synthetic": "Config", "features": "Feature", "protocols": "Config", "models": "Config"}
MARKS = {
    "corpora": "CARD",
    "synthetic": "def jobs",
    "features": "class Feature",
    "protocols": "def folds",
    "models": "class Model",
}

RATES = 1_000, 384_000  # Hz; ours: what recorders make. 1 Hz would become 16000 samples for each one there

T = TypeVar("T")


@cache
def names(kind: str) -> list[str]:
    """Sorted names of the plugins of a kind: the modules of its folder that define the kind's main object (`MARKS`)."""
    mark = re.compile(rf"^{MARKS[kind]}\b", re.MULTILINE)
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
    """Imports one plugin; raises `SerError` with the nearest name when there is no such plugin."""
    check_name(name, names(kind), f"plugin in {kind}", where)
    return importlib.import_module(f"ser_synth.{name}" if kind == "synthetic" else f"ser.{kind}.{name}")


def parameters(kind: str, name: str) -> Any:
    """The dataclass of a plugin's parameters."""
    return getattr(load(kind, name), KINDS[kind])


def keys(kind: str, name: str) -> list[str]:
    """The keys that a plugin's block of params.yaml may have."""
    return [f.name for f in dataclasses.fields(parameters(kind, name))]


def check_name(name: str, known: Iterable[str], what: str, where: object = None) -> None:
    """Raises `SerError` with the nearest known name unless `name` is known."""
    known = [str(k) for k in known]
    if name not in known:
        raise SerError(f"unknown {what} {name!r}", where, nearest(name, known))


def nearest(name: str, known: Iterable[str]) -> str:
    """The hint for a misspelt name: the nearest known name, or the list of all."""
    known = sorted(known)
    same = [k for k in known if k.casefold() == str(name).casefold()]
    if same:
        return f"Upper and lower case count: it is {same[0]!r}"
    close = difflib.get_close_matches(str(name), known, 1, 0.5)
    if close:
        return f"Did you mean {close[0]!r}?"
    return "Known: " + ", ".join(known) if known else "None is known"


def build(cls: type[T], values: Mapping[str, Any] | None, where: str) -> T:
    """A frozen dataclass from a block of params.yaml, validated by pydantic.

    Lists become tuples, whole numbers become floats where a float is asked for, and nested mappings become nested
    dataclasses; nothing else is converted, and NaN, infinity and impossible signs are refused. `where` is the dotted
    key of the block, empty for the whole file. Raises `SerError` for every unknown or missing key and every wrong value
    at once (`CombinedError`); a field's metadata may hold a `hint` for the case that it is missing.
    """
    from pydantic import ValidationError

    block = {"": {} if values is None else values}
    faults = Faults()
    try:
        made: T = _validator(cls).validate_json(json.dumps(block, default=str))[""]  # type: ignore[arg-type]
        faults.found += _impossible(made, where)
        faults.stop()
        return made
    except (ArithmeticError, LookupError) as error:  # of a plugin's own checks, which expect numbers in their range
        raise SerError(f"impossible values: {error}", where) from error
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            faults.found.append(_fault(cls, block, fault, where))
        faults.stop()
        raise


def _impossible(made: Any, where: str) -> Iterator[SerError]:
    """What no parameter may be, whatever it means: a rate that nothing records, and a negative number where the default
    is not negative. Levels in dB and biases may have either sign.
    """
    for field in dataclasses.fields(made):
        value, key = getattr(made, field.name), _dotted(where, [field.name])
        values = value if isinstance(value, tuple) else (value,)
        numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
        if dataclasses.is_dataclass(value):
            yield from _impossible(value, key)
        elif field.name in ("rate", "rates", "assume_rate"):
            wrong = [v for v in numbers if not RATES[0] <= v <= RATES[1]]
            yield from (SerError(f"a rate is between {RATES[0]} and {RATES[1]} Hz, not {v}", key) for v in wrong)
        elif not field.name.endswith(("_db", "bias")) and _is_positive(field.default):
            yield from (SerError(f"must not be negative, got {v}", key) for v in numbers if v < 0)


def _is_positive(default: Any) -> bool:
    values = default if isinstance(default, tuple) else (default,)
    return all(isinstance(v, int | float) and not isinstance(v, bool) and v >= 0 for v in values)


@cache
def _validator(cls: Any) -> Any:
    # A plain dataclass cannot be given a pydantic configuration, but it takes that of the mapping around it.
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(dict[str, cls], config=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False))


EXPECTED = {
    "bool_type": "true or false",
    "dataclass_type": "a mapping",
    "dict_type": "a mapping",
    "finite_number": "a finite number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "string_type": "text",
    "tuple_type": "a list",
}


def _fault(cls: type, block: Any, fault: Mapping[str, Any], where: str) -> SerError:
    """One error of pydantic as a `SerError` with the dotted key, in the words of params.yaml."""
    kind, value = fault["type"], fault["input"]
    path = _path(block, fault["loc"])
    key = _dotted(where, path)
    if kind == "unexpected_keyword_argument":
        fields = {f.name: f for f in dataclasses.fields(_type_at(cls, path[:-1]))}
        known = [name for name, f in fields.items() if f.init]
        hint = fields[path[-1]].metadata.get("hint") if path[-1] in fields else nearest(str(path[-1]), known)
        return SerError(f"unknown key {path[-1]!r}", key, hint)
    if kind == "missing":
        fields = {f.name: f for f in dataclasses.fields(_type_at(cls, path[:-1]))}
        hint = fields[path[-1]].metadata.get("hint", f"Keys: {', '.join(n for n, f in fields.items() if f.init)}")
        return SerError(f"missing key {path[-1]!r}", _dotted(where, path[:-1]), hint)
    if kind == "value_error":
        return SerError(str(fault["ctx"]["error"]), key)
    if kind == "literal_error":
        known = re.findall(r"'([^']*)'", fault["ctx"]["expected"])
        return SerError(f"{value!r} is not one of the allowed values", key, nearest(str(value), known))
    if kind in EXPECTED:
        return SerError(f"expected {EXPECTED[kind]}, got {value!r}", key)
    return SerError(f"{fault['msg'][:1].lower()}{fault['msg'][1:]}, got {value!r}", key)


def _path(block: Any, location: Sequence[Any]) -> list[Any]:
    """The keys and positions that lead to a faulty value; pydantic also names the options of a union, which are no
    keys."""
    path, node = [], block
    for step, part in enumerate(location):
        if (isinstance(node, Mapping) and part in node) or (isinstance(node, list | tuple) and isinstance(part, int)):
            node = node[part]
            path.append(part)
        elif isinstance(node, Mapping) and step == len(location) - 1:
            path.append(part)  # a missing key
    return path[1:]


def _dotted(where: str, path: Sequence[Any]) -> str:
    text = where
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _type_at(cls: Any, path: Sequence[Any]) -> Any:
    """The dataclass at a path of field names, keys of mappings and positions below `cls`."""
    for part in path:
        # either a field of a dataclass, or the values of a mapping or list
        cls = typing.get_type_hints(cls)[part] if dataclasses.is_dataclass(cls) else typing.get_args(cls)[-1]
        options = [a for a in typing.get_args(cls) if dataclasses.is_dataclass(a)]
        if typing.get_origin(cls) in (typing.Union, types.UnionType) and options:
            cls = options[0]
    return cls
