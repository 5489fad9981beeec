"""Writes docs/parameters.md, the keys of every block of params.yaml, from the dataclasses that check them.

A key's explanation is the comment on its field in the source. Run it by `make docs`.
"""

from __future__ import annotations

import ast
import re
from itertools import takewhile
from pathlib import Path

from ser.core.files import write_text

PAGE = Path("docs/parameters.md")
HEAD = """# The keys of params.yaml

This page is generated from the source by `make docs`. A key that a study does not name has the default shown here. An
unknown key is an error that names the nearest known one. `dvc exp run -S` sets any of them, such as
`models.cnns.training.lr=0.002`; a key that the file leaves at its default takes a plus: `+models.cnns.dropout=0.2`."""
SOURCES = {  # files below src/ser -> heading, with the name of the file
    "settings/schema.py": "The blocks, and experiments",
    "core/recipe.py": "`models.<name>.training`, and `training` of an experiment",
    "models/*.py": "`models.{}`",
    "features/*.py": "`features.<corpus>-<name>` with `feature: {}`",
    "protocols/*.py": "`folds.<corpus>-<name>` with `protocol: {}`",
    "corpora/*.py": "`corpora.{}.reader`",
    "pretraining/settings.py": "`pretraining.<name>`",
    "words/config.py": "`words.<name>`",
}


def page() -> str:
    found = [HEAD]
    for pattern, heading in SOURCES.items():
        for path in sorted(Path("src/ser").glob(pattern)):
            text = path.read_text(encoding="utf-8")
            classes = [n for n in ast.parse(text).body if isinstance(n, ast.ClassDef)]
            wanted = [n for n in classes if "*" not in pattern or n.name in ("Config", "Feature")]
            tables = [t for n in wanted if (t := table(text.splitlines(), n))]
            found += [f"## {heading.format(path.stem)}", *tables] if tables else []
    return "\n\n".join(found) + "\n"


def table(lines: list[str], node: ast.ClassDef) -> str:
    """The fields of a dataclass as a table; empty if it has none."""
    fields = [f for f in node.body if isinstance(f, ast.AnnAssign) and "ClassVar" not in ast.unparse(f.annotation)]
    rows = [row(lines, f) for f in fields if "init=False" not in ast.unparse(f)]
    text = " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())
    head = [f"**{node.name}.** {text}".rstrip(), "", "| key | default | type | |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *rows]) if rows else ""


def row(lines: list[str], field: ast.AnnAssign) -> str:
    value = ast.unparse(field.value) if field.value else "field()"
    default = re.sub(r"^field\((?:default_factory=(\w+))?.*\)$", r"\1", value)
    default = {"": "required", "dict": "{}", "list": "[]"}.get(default, default)
    cells = [f"`{cell}`" for cell in (ast.unparse(field.target), default, ast.unparse(field.annotation))]
    return "| " + " | ".join(c.replace("|", "\\|") for c in (*cells, comment(lines, field))) + " |"


def comment(lines: list[str], field: ast.AnnAssign) -> str:
    """The comment on a field's lines, with its continuation below; or else the comment above."""
    first, last = field.lineno - 1, field.end_lineno or field.lineno
    own = [line.partition("  # ")[2] for line in lines[first:last]]
    above = [*takewhile(is_comment, reversed(lines[:first]))][::-1]
    below = [*takewhile(is_comment, lines[last:])]
    after = lines[last + len(below)] if last + len(below) < len(lines) else ""
    next_has_none = ": " in after and "# " not in after  # then the comment below belongs to the next field
    found = own + below * (not next_has_none) if any(own) or not above else above
    return " ".join(f.strip().removeprefix("# ") for f in found if f)


def is_comment(line: str) -> bool:
    return line.strip().startswith("# ")


if __name__ == "__main__":
    write_text(PAGE, page())
