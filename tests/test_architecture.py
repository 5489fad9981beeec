"""The rooms of `src/ser`, in the order of docs/architecture.md: imports go up that list only, and never in a circle."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.conftest import ROOT

SOURCE = ROOT / "src/ser"
MODULES = {
    ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(SOURCE.rglob("*.py"))
}


def rows() -> list[list[str]]:
    """The rooms of each row of the table; those of one row may import each other."""
    table = (ROOT / "docs/architecture.md").read_text().split("| room | holds |")[1].split("\n\n")[0]
    return [re.findall(r"`(\w+)`", line.split("|")[1]) for line in table.splitlines() if line.startswith("| `")]


LEVEL = {room: level for level, row in enumerate(rows()) for room in row}


def imports(path: Path) -> set[str]:
    """The modules of ser that a file imports anywhere in it, except for type checkers."""
    found = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing = {
        n for i in ast.walk(tree) if isinstance(i, ast.If) and "TYPE_CHECKING" in ast.dump(i.test) for n in ast.walk(i)
    }
    for node in ast.walk(tree):
        if node in typing:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in inner}
    return {name for name in found if name in MODULES}


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_every_room_is_in_the_table():
    rooms = {room(m) for m in MODULES if room(m) not in ("", "__main__")}
    assert rooms == set(LEVEL)


@pytest.mark.parametrize("module", [m for m in MODULES if room(m) in LEVEL])
def test_imports_go_up_the_table_only(module):
    upwards = {i for i in imports(MODULES[module]) if room(i) and LEVEL[room(i)] > LEVEL[room(module)]}
    assert not upwards


def test_no_modules_import_each_other_in_a_circle():
    TopologicalSorter({m: imports(p) - {m} for m, p in MODULES.items()}).prepare()  # raises CycleError


def test_modules_with_an_underscore_stay_in_their_package():
    for module, path in MODULES.items():
        private = {i for i in imports(path) if i.rpartition(".")[2].startswith("_") and not i.endswith("__")}
        assert all(i.rpartition(".")[0] == module.rpartition(".")[0] for i in private), module


def test_neither_package_imports_the_other():
    for path in SOURCE.rglob("*.py"):
        assert not re.search(r"^\s*(?:import|from) ser_synth\b", path.read_text(), flags=re.M), path
    for path in (ROOT / "packages/ser_synth/src").rglob("*.py"):
        assert not re.search(r"^\s*(?:import|from) ser\b", path.read_text(), flags=re.M), path
