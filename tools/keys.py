"""Writes docs/parameters.md, the keys of every block of params.yaml, from the dataclasses that check them.

A key's explanation is the comment on its field in the source. Run it by `make docs`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from ser.files import write_text

PAGE = Path("docs/parameters.md")
HEAD = """# The keys of params.yaml

This page is generated from the source by `make docs`. A key that a study does not name has the default shown here. An
unknown key is an error that names the nearest known one. `dvc exp run -S` sets any of them, such as
`models.cnns.training.lr=0.002`; a key that the file leaves at its default takes a plus: `+models.cnns.dropout=0.2`."""
SOURCES = {  # file or pattern below src/ser -> heading; {} is the name of the file
    "settings/schema.py": "The blocks, and experiments",
    "recipe.py": "`models.<name>.training`, and `training` of an experiment",
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
        for path in sorted(p for p in Path("src/ser").glob(pattern) if not p.stem.startswith("_")):
            text = path.read_text(encoding="utf-8")
            tables = [t for node in ast.parse(text).body for t in table(text.splitlines(), node)]
            found += [f"## {heading.format(path.stem)}", *tables] if tables else []
    return "\n\n".join(found) + "\n"


def table(lines: list[str], node: ast.stmt) -> Iterator[str]:
    """The fields of a dataclass as a table; nothing for any other statement."""
    if isinstance(node, ast.ClassDef) and any("dataclass" in ast.unparse(d) for d in node.decorator_list):
        fields = [f for f in node.body if isinstance(f, ast.AnnAssign) and "ClassVar" not in ast.unparse(f.annotation)]
        rows = [row(lines, f) for f in fields if "init=False" not in ast.unparse(f)]
        text = " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())
        if rows:
            yield "\n".join(
                [f"**{node.name}.** {text}\n", "| key | default | type | |", "| --- | --- | --- | --- |", *rows]
            )


def row(lines: list[str], field: ast.AnnAssign) -> str:
    value = ast.unparse(field.value) if field.value else "field()"
    default = re.sub(r"^field\((?:default_factory=(\w+))?.*\)$", r"\1", value)
    default = {"": "required", "dict": "{}", "list": "[]"}.get(default, default)
    cells = (
        f"`{ast.unparse(field.target)}`",
        f"`{default}`",
        f"`{ast.unparse(field.annotation)}`",
        comment(lines, field),
    )
    return "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"


def comment(lines: list[str], field: ast.AnnAssign) -> str:
    """The comment on the lines of a field, and its continuation on the lines below."""
    last = field.end_lineno or field.lineno
    found = [line.partition("  # ")[2] for line in lines[field.lineno - 1 : last]]
    while any(found) and lines[last].strip().startswith("# "):
        found.append(lines[last].strip()[2:])
        last += 1
    return " ".join(f for f in found if f)


if __name__ == "__main__":
    write_text(PAGE, page())
