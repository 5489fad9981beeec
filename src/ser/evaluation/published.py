"""What the papers print, cell by cell: `paper_results.yaml` in our names and units."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ser.core.errors import SerError
from ser.core.plugins import check_name

RESULTS = Path(__file__).with_name("paper_results.yaml")


@functools.cache
def papers() -> dict[str, Any]:
    """The whole of `paper_results.yaml`: ``protocols`` in words, ``corpora``, and ``papers``."""
    from ruamel.yaml import YAML

    return YAML(typ="safe").load(RESULTS.read_text(encoding="utf-8"))


def published(key: str | None) -> dict[str, Any] | None:
    """What a paper prints for one cell of `paper_results.yaml`.

    Args:
        key: dotted name of the cell, ``fusion_convbert.tables.table_4.rows.cnns.emodb/speaker_independent``.

    Returns:
        wa, ua, f1 as fractions, or ccc and ccc_<dimension>, None where the paper prints nothing; beside them
        ``source``, ``kind`` (own or cited), ``protocol`` in words, and ``flags``. None for an empty key.

    Raises:
        SerError: there is no such cell; names the nearest.
    """
    if not key:
        return None
    parts = key.removeprefix("papers.").split(".")
    node: Any = papers()["papers"]
    context: dict[str, Any] = {"units": {}, "kind": "own", "flags": []}
    for part in parts:
        if not isinstance(node, Mapping):
            raise SerError(f"{part!r} is below a number of the published results", f"paper: {key}", "Shorten the key")
        check_name(part, node, "part of a published result", f"paper: {key}")
        node = node[part]
        if isinstance(node, Mapping):
            context |= {name: node[name] for name in context if name in node}
    if not isinstance(node, Mapping) or not all(v is None or isinstance(v, int | float) for v in node.values()):
        raise SerError("not a cell of the published results", f"paper: {key}", "Name paper, table, row and protocol")
    values = dict(_unified(name, value, context["units"].get(name)) for name, value in node.items())
    source = ", ".join(p.replace("_", " ") for p in parts if p not in ("tables", "rows"))
    protocol = papers()["protocols"].get(parts[-1], parts[-1])
    return {**values, "source": source, "kind": context["kind"], "protocol": protocol, "flags": list(context["flags"])}


def _unified(name: str, value: float | None, unit: str | None) -> tuple[str, float | None]:
    """Our name and unit of a published number; shares above 1 without a unit are percent."""
    if unit == "ccc":
        return ("ccc" if name == "avg" else f"ccc_{name}"), value
    if value is not None and (unit == "percent" or (unit is None and value > 1)):
        value = round(value / 100, 6)
    return name, value
