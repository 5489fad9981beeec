"""`ser new`: a file that keeps the contract of its kind, to start from, and the block of params.yaml that uses it."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from ser.core import plugins
from ser.core.errors import SerError
from ser.core.files import write_text

SKELETONS = Path(__file__).with_name("skeletons")
KINDS = {"model": "models", "classifier": "models", "feature": "features", "protocol": "protocols", "corpus": "corpora"}
BLOCKS = {
    "model": """\
models:
  NAME:
    hidden: 64
    training:
      epochs: 5
      lr: 0.002
experiments:
  NAME-emodb-groups:
    model: NAME
    corpus: emodb
    folds: groups
    feature: logmel""",
    "classifier": """\
models:
  NAME:
    C: 0.01
experiments:
  NAME-emodb-loso:
    model: NAME
    corpus: emodb
    folds: loso
    feature: is10""",
    "feature": """\
features:
  emodb-NAME:
    corpus: emodb
    feature: NAME""",
    "protocol": """\
folds:
  emodb-NAME:
    corpus: emodb
    protocol: NAME
    seed: 1""",
    "corpus": """\
corpora:
  NAME:
    source: real
audio:
  NAME:
    rate: 16000""",
}


def new(kind: str, name: str) -> str:
    """Writes ``src/ser/<kind>/<name>.py``; returns what to do with it. Raises `SerError` for a name that is no name of
    a module, or is taken.
    """
    folder = plugins.PACKAGE / KINDS[kind]
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise SerError(f"not a name for a file of Python: {name!r}", "ser new", "Use lower-case letters, digits and _")
    path = folder / f"{name}.py"
    if path.exists() or (folder / name).exists():
        raise SerError("this name is taken", path, "Choose another name")
    write_text(path, (SKELETONS / f"{kind}.txt").read_text(encoding="utf-8").replace("NAME", name))
    test = f"python -m pytest tests/contracts/test_{KINDS[kind]}.py -k {name}"
    lines = [f"{_shown(path)}: fill it in. It keeps the contract already: {test}"]
    lines += ["Add to params.yaml, below the keys that are there:", "", BLOCKS[kind].replace("NAME", name)]
    if kind == "corpus":
        lines += ["", f"A study of its own: ser link {name} PATH, then ser study new mine --corpora {name}"]
    return "\n".join(lines)


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
