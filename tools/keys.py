"""Writes docs/parameters.md, the keys of every block of params.yaml, from the dataclasses that check them.

    python tools/keys.py [--check]

A key's explanation is the comment on its field in the source. `--check` writes nothing; it fails if the page is stale.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from ser.errors import SerError, run_command
from ser.files import write_text

PAGE = Path("docs/parameters.md")
HEAD = """# The keys of params.yaml

This page is generated from the source by `make docs`. A key that a study does not name has the default shown here. An
unknown key is an error that names the nearest known one. `dvc exp run -S` sets any of them, such as
`models.cnns.training.lr=0.002`; a key that the file leaves at its default takes a plus (`-S +models.cnns.dropout=0.2`).
"""
SOURCES = (  # heading, file or pattern below src/ser; {} is the name of the file
    ("Experiments, features, folds and the other blocks", "settings/schema.py"),
    ("`models.<name>.training`, and `training` of an experiment", "recipe.py"),
    ("`models.{}`", "models/*.py"),
    ("`features.<corpus>-<name>` with `feature: {}`", "features/*.py"),
    ("`folds.<corpus>-<name>` with `protocol: {}`", "protocols/*.py"),
    ("`corpora.{}.reader`", "corpora/*.py"),
    ("`pretraining.<name>`", "pretraining/settings.py"),
    ("`words.<name>`", "words/settings.py"),
)


def page() -> str:
    parts = [HEAD.rstrip()]
    for heading, pattern in SOURCES:
        for path in sorted(Path("src/ser").glob(pattern)):
            tables = [t for node in ast.parse(path.read_text(encoding="utf-8")).body for t in table(path, node)]
            if tables and not path.stem.startswith("_"):
                parts += [f"## {heading.format(path.stem)}", *tables]
    return "\n\n".join(parts) + "\n"


def table(path: Path, node: ast.stmt) -> Iterator[str]:
    """The fields of one dataclass as a table; none for anything else."""
    if not isinstance(node, ast.ClassDef) or not any("dataclass" in ast.unparse(d) for d in node.decorator_list):
        return
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = []
    for field in node.body:
        if isinstance(field, ast.AnnAssign) and "ClassVar" not in ast.unparse(field.annotation):
            default = ast.unparse(field.value) if field.value else "required"
            cells = (f"`{ast.unparse(field.target)}`", f"`{default}`", f"`{ast.unparse(field.annotation)}`")
            rows.append("| " + " | ".join(c.replace("|", "\\|") for c in (*cells, comment(lines, field))) + " |")
    if rows:
        text = " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())
        yield (
            f"**{node.name}.** {text}".rstrip()
            + "\n\n"
            + "\n".join(["| key | default | type | |", "| --- | --- | --- | --- |", *rows])
        )


def comment(lines: list[str], field: ast.AnnAssign) -> str:
    """The comment on the field's lines and the lines of comment that follow."""
    found = [line.partition("  # ")[2] for line in lines[field.lineno - 1 : field.end_lineno]]
    for line in lines[field.end_lineno or 0 :]:
        if not (found[-1] and line.strip().startswith("# ")):
            break
        found.append(line.strip().removeprefix("# "))
    return " ".join(f for f in found if f)


def main() -> None:
    if "--check" in sys.argv and PAGE.read_text(encoding="utf-8") != page():
        raise SerError("the page is out of date", PAGE, "Run: make docs")
    write_text(PAGE, page())


if __name__ == "__main__":
    run_command(main)
