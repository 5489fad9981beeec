"""What a cached result depends on, computed from the code and never listed by hand.

A result may be used again only if nothing that it was made from has changed: the code (every project file that the
responsible module imports, at any depth), the settings, the contents of the inputs, the versions of the libraries that
this code imports, and the device. `fingerprint` turns all of them into one name. Finished folds, encoders, word
vectors, synthetic corpora and packed features are kept under that name. The `settings` stage writes the digest of the
code of each stage into the file that the stage depends on, so DVC and the cache always agree.

Comments, docstrings and blank lines do not count: after an explanation was rewritten, nothing is made again.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import metadata, util
from pathlib import Path
from typing import Any

from ser.core.files import digest

CHECKPOINTS = Path("checkpoints")  # finished results and running trainings; outside DVC's outputs, which DVC deletes
PROJECT = ("ser", "ser_synth")  # the packages of this repository
_RENAMED = {"sklearn": "scikit-learn"}  # a distribution whose import name is another one


def fingerprint(
    *modules: str | Path,
    settings: Any = None,
    inputs: Mapping[str, str | bytes | Path] | None = None,
    device: str = "cpu",
) -> str:
    """The name of a result: 16 hexadecimal digits that change whenever anything it depends on changes.

    Parameters
    ----------
    modules
        The modules that make the result, such as ``"ser.training.fold"`` and the plugin ``"ser.models.cnns"`` (plugins
        are found by name, so no import leads to them), or script files. All that they import belongs to them.
    settings
        Plain values (whatever JSON can hold) that the result depends on.
    inputs
        What was read: a digest or the bytes themselves, or the path of a file or folder whose contents count.
    device
        ``cpu`` or the name of the GPU; they give different last digits.
    """
    contents = {name: _content(value) for name, value in sorted((inputs or {}).items())}
    return digest(code(*modules), versions(*modules), settings, contents, device)


def code(*modules: str | Path) -> str:
    """Digest of the project code of `modules` and of all that they import."""
    return digest(*((_name(file), _statements(file)) for file in closure(*modules)))


def versions(*modules: str | Path) -> dict[str, str]:
    """Name and version of every installed library that the code of `modules` imports."""
    libraries = {name[0] for file in closure(*modules) for name in _imports(file)} - set(PROJECT)
    found = {d for name in libraries for d in _providers(name)}
    return {name: _version(name) for name in sorted(found)}


def closure(*modules: str | Path) -> list[Path]:
    """Every project file that is read when `modules` run, sorted.

    These are the modules, what they import at any depth (imports inside functions included, imports for type checkers
    not), the packages above them, and data files beside a module that it names in a string. Raises `ValueError` for a
    module that does not exist.
    """
    todo: list[Path] = []
    for module in modules:
        files = [module] if isinstance(module, Path) else _files(tuple(module.split(".")))
        missing = not module.is_file() if isinstance(module, Path) else len(files) != len(module.split("."))
        if missing:
            raise ValueError(f"there is no module {module}")
        todo += [file.resolve() for file in files]
    seen: set[Path] = set()
    while todo:
        file = todo.pop()
        if file not in seen:
            seen.add(file)
            todo += _reached(file)
    return sorted(seen)


@cache
def _reached(file: Path) -> list[Path]:
    """The project files that one file imports or names."""
    if file.suffix != ".py":
        return []
    return sorted({f.resolve() for name in _imports(file) for f in _files(name)} | {f.resolve() for f in _data(file)})


def _content(value: str | bytes | Path) -> str:
    if isinstance(value, bytes):
        return digest(value, size=64)
    if isinstance(value, str):
        return value
    files = [value] if value.is_file() else sorted(p for p in value.rglob("*") if p.is_file())
    if not files:
        raise ValueError(f"no file at {value}")
    return digest(*(part for f in files for part in (str(f.relative_to(value)), f.read_bytes())), size=64)


def _name(file: Path) -> str:
    """A file's name relative to the repository or to where its package is installed: the same on every machine."""
    parts = file.parts
    for package in (*PROJECT, "stages"):
        if package in parts:
            return "/".join(parts[len(parts) - 1 - parts[::-1].index(package) :])
    return file.name


@cache
def _roots() -> dict[str, Path]:
    """Package name -> its folder. `ser` is this package; `ser_synth` may be absent."""
    roots = {"ser": Path(__file__).parents[1]}
    for package in PROJECT[1:]:
        spec = util.find_spec(package)
        if spec and spec.submodule_search_locations:
            roots[package] = Path(spec.submodule_search_locations[0])
    return roots


@cache
def _files(name: tuple[str, ...]) -> list[Path]:
    """The files that importing a dotted name runs: its packages from the top down, then the module itself."""
    if name[0] not in _roots():
        return []
    found = []
    folder = _roots()[name[0]]
    for part in (None, *name[1:]):
        base = folder if part is None else folder / part
        file = next((f for f in (base / "__init__.py", base.with_suffix(".py")) if f.is_file()), None)
        if file is None:
            break  # the last part is an attribute of the module
        found.append(file)
        folder = base
    return found


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


@cache
def _imports(file: Path) -> frozenset[tuple[str, ...]]:
    """Dotted names that a file imports anywhere in it, as tuples; the standard library left out."""
    if file.suffix != ".py":
        return frozenset()
    found: set[tuple[str, ...]] = set()
    for node in _nested(_tree(file)):
        if isinstance(node, ast.Import):
            found |= {tuple(a.name.split(".")) for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = tuple((node.module or "").split(".")) if node.module else ()
            base = _package(file)[: len(_package(file)) - node.level + 1] + module if node.level else module
            found |= {base, *((*base, a.name) for a in node.names)}
    return frozenset(name for name in found if name and name[0] not in sys.stdlib_module_names)


def _nested(tree: ast.AST) -> Iterator[ast.AST]:
    """The tree and its statements at any depth, but those under ``if TYPE_CHECKING``, which never run. Expressions,
    most of a file's nodes, are not visited.
    """
    todo = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            todo += getattr(node, name, ())


def _package(file: Path) -> tuple[str, ...]:
    """The package a file belongs to, for relative imports."""
    for name, root in _roots().items():
        if root in file.parents:
            return (name, *file.parent.relative_to(root).parts)
    return ()


def _data(file: Path) -> Iterable[Path]:
    """Files beside a module, and files in folders beside it, that it names in a string: tables, templates."""
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and 0 < len(node.value) < 100:
            path = file.parent / node.value
            if "/" in node.value or "\0" in node.value or node.value.startswith(".") or path.suffix == ".py":
                continue
            if path.is_file():
                yield path
            elif path.is_dir() and not any(path.rglob("*.py")):
                yield from (p for p in path.rglob("*") if p.is_file())


@cache
def _statements(file: Path) -> str:
    """The text of a file without comments, docstrings and blank lines. The same under every version of Python, which
    `ast.unparse` would not be. Data files count whole."""
    text = file.read_text(encoding="utf-8")
    if file.suffix != ".py":
        return text
    lines, verbatim = text.splitlines(), set()  # verbatim: lines inside a string, where every space counts
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        (row, column), last = token.start, token.end[0]
        if token.type == tokenize.COMMENT:
            lines[row - 1] = lines[row - 1][:column]
        elif last > row and token.type not in (tokenize.NEWLINE, tokenize.NL):
            verbatim |= set(range(row, last + 1))
    for row in _docstring_rows(file, lines):
        lines[row - 1] = ""
        verbatim.discard(row)
    return "\n".join(
        line if row in verbatim else line.rstrip()
        for row, line in enumerate(lines, 1)
        if row in verbatim or line.strip()
    )


def _docstring_rows(file: Path, lines: list[str]) -> Iterator[int]:
    """The line numbers of all docstrings that have their lines to themselves."""
    for node in _nested(_tree(file)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                alone = not lines[first.lineno - 1][: first.col_offset].strip()
                if alone and isinstance(first.value.value, str):
                    yield from range(first.lineno, (first.end_lineno or first.lineno) + 1)


@cache
def _version(distribution: str) -> str:
    return metadata.version(distribution)


@cache
def _providers(library: str) -> tuple[str, ...]:
    """The distributions that provide an import name: the one of that name, or else what all installed ones say, which
    takes about a second to read."""
    if library in sys.stdlib_module_names:
        return ()
    name = _RENAMED.get(library, library)
    try:
        return (metadata.distribution(name).name,)
    except metadata.PackageNotFoundError:
        return tuple(_distributions().get(library, ()))


@cache
def _distributions() -> Mapping[str, list[str]]:
    """Import name -> distributions that provide it."""
    return metadata.packages_distributions()
