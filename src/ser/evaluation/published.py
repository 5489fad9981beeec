"""What the papers print, cell by cell: `paper_results.yaml` in our names and units."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ser.errors import SerError
from ser.plugins import check_name

RESULTS = Path(__file__).with_name("paper_results.yaml")
METRICS = ("wa", "ua", "f1", "ccc")  # published names that are ours; CCC has its dimensions beside it
MEANS = ("weighted", "unweighted", "overall")  # lines of a table by class that are means of its classes
PROPOSED = "proposed"  # the paper's own line in a table of others' numbers; it stands among the paper's own


@functools.cache
def papers() -> dict[str, Any]:
    """The whole of `paper_results.yaml`: ``protocols`` in words, ``corpora``, and ``papers``."""
    from ruamel.yaml import YAML

    return YAML(typ="safe").load(RESULTS.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Cell:
    """The numbers a paper prints in one place: of one system on one corpus under one protocol, as fractions or CCC.

    `kind`: its own; its own by class, as ``recall of anger`` or ``unweighted recall``; or cited from others. `key` is
    what an experiment's `paper` calls it, empty for numbers by class. `column`: corpus/protocol. `flagged`: the paper
    contradicts itself there.
    """

    kind: Literal["own", "class", "cited"]
    paper: str
    table: str
    system: str
    column: str
    numbers: Mapping[str, float]
    flagged: bool
    key: str = ""


def cells() -> Iterator[Cell]:
    """All cells of all papers, in the order of `paper_results.yaml`. What two tables both print by class stands once,
    as do numbers of a paper's summary."""
    for paper in papers()["papers"]:
        made = [*_of_tables(paper), *_of_statements(paper)]
        known = {(c.system, c.column, *n) for c in made if c.kind == "class" for n in c.numbers.items()}
        yield from made
        yield from (c for c in _of_confusions(paper, known) if c.numbers)


def cell(key: str) -> Cell:
    """The cell an experiment answers to: see `published`, whose errors it raises."""
    found = published(key)
    assert found is not None
    names = key.removeprefix("papers.").split(".")
    return Cell(
        kind=found["kind"],
        paper=names[0],
        table=names[2] if names[1] == "tables" else names[1],
        system=names[-2],
        column=names[-1],
        numbers={n: v for n, v in found.items() if (n in METRICS or n.startswith("ccc_")) and v is not None},
        flagged=bool(found["flags"]),
        key=".".join(names),
    )


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
    context: dict[str, Any] = {"units": {}, "kind": "own", "flags": [], "cited_rows": ()}
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
    kind = "cited" if set(parts) & set(context["cited_rows"]) else context["kind"]
    return {**values, "source": source, "kind": kind, "protocol": protocol, "flags": list(context["flags"])}


def _unified(name: str, value: float | None, unit: str | None) -> tuple[str, float | None]:
    """Our name and unit of a published number; shares above 1 without a unit are percent."""
    if unit == "ccc":
        return ("ccc" if name == "avg" else f"ccc_{name}"), value
    if value is not None and (unit == "percent" or (unit is None and value > 1)):
        value = round(value / 100, 6)
    return name, value


def _of_tables(paper: str) -> Iterator[Cell]:
    """The cells of all tables; those of the paper's summary that no table of its own has; those by class."""
    content = papers()["papers"][paper]
    seen = set()
    for table, block in content["tables"].items():
        for row, columns in block["rows"].items():
            for column, values in columns.items():
                if any(isinstance(v, Mapping) for v in values.values()):
                    numbers = dict(_by_class(values, block["units"]))
                    yield Cell("class", paper, table, row, column, numbers, bool(block.get("flags")))
                elif row != PROPOSED:
                    found = cell(f"{paper}.tables.{table}.rows.{row}.{column}")
                    yield found
                    seen |= {(row, column)} if found.kind == "own" else set()
    for row, columns in content.get("headline", {}).items():
        yield from (cell(f"{paper}.headline.{row}.{column}") for column in columns if (row, column) not in seen)


def _by_class(values: Mapping[str, Mapping[str, float]], units: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    for name, measures in values.items():
        for measure, value in measures.items():
            _, number = _unified(measure, value, units.get(measure))
            said = measure.replace("f1", "F1")
            if number is not None:
                yield (f"{name} {said}" if name in MEANS else f"{said} of {name}"), number


def _of_statements(paper: str) -> Iterator[Cell]:
    """Recalls of classes that a paper's text prints, in percent; what it only compares is no number."""
    for column, said in papers()["papers"][paper].get("per_class_statements", {}).items():
        for system, values in said.items():
            if isinstance(values, Mapping) and system != "implied":
                numbers = {f"recall of {c}": v / 100 for c, v in values.items() if isinstance(v, int | float)}
                if numbers:
                    yield Cell("class", paper, "text", system, column, numbers, bool(said.get("flags")))


def _of_confusions(paper: str, known: set[tuple[str, str, str, float]]) -> Iterator[Cell]:
    """Recalls, the diagonals of confusion matrices, where they are other than those already `known`."""
    for table, block in (papers()["papers"][paper].get("confusions") or {}).items():
        system, column = block["model"], block["corpus_protocol"]
        shares = {
            f"recall of {c}": round(row[k] / 100, 6)
            for k, (c, row) in enumerate(zip(block["labels"], block["matrix"], strict=True))
        }
        numbers = {n: v for n, v in shares.items() if (system, column, n, v) not in known}
        yield Cell("class", paper, table, system, column, numbers, bool(block.get("flags")))
