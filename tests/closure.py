"""Which project files a stage imports: what a stage's `deps` in dvc.yaml have to cover, or an edit goes unnoticed."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"


def _file(module: str) -> Path | None:
    base = SOURCE.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.exists():
            return path
    return None


def imports(path: Path) -> set[Path]:
    """Project files one file imports anywhere in it, lazy imports inside functions included, TYPE_CHECKING blocks
    not.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for node in ast.walk(block)
    }
    found: set[Path] = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
        for name in names:
            parts = name.split(".")
            if parts[0] == "ser":  # importing a module runs the packages above it
                found |= {f for i in range(1, len(parts) + 1) if (f := _file(".".join(parts[:i])))}
    return found


def closure(roots: Iterable[Path]) -> set[Path]:
    """All project files reached from `roots`, the roots included."""
    todo, seen = list(roots), set()
    while todo:
        path = todo.pop()
        if path not in seen:
            seen.add(path)
            todo += imports(path)
    return seen
