"""Hand-made corpora of a few files in the originals' layouts, with the oddities that real copies have.

There is one module per corpus, named after it, with a function ``tree(root) -> root`` that writes the files below
`root`. A new corpus needs none: its reader has a function ``example(root)`` instead. The contract tests
(tests/contracts/test_corpora.py) run over every corpus.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from ser.core import plugins


def tree(corpus: str, root: Path, *args: Any, **options: Any) -> Path:
    """Writes the hand-made files of a corpus below `root` and returns `root`: those of its module here, or else of the
    function `example` of its reader."""
    if importlib.util.find_spec(f"{__name__}.{corpus}"):
        return importlib.import_module(f"{__name__}.{corpus}").tree(root, *args, **options)
    reader = plugins.load("corpora", corpus)
    assert hasattr(reader, "example"), f"give ser.corpora.{corpus} a function example(root), as ser.corpora describes"
    return reader.example(root)


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def sound(path: Path, rate: int = 16000, seconds: float = 0.1, channels: int = 1) -> Path:
    """Noise that depends on the file's name only, in 16 bits; all channels equal."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(list(path.name.encode())).integers(-9000, 9000, round(seconds * rate), dtype=np.int16)
    soundfile.write(path, np.repeat(noise[:, None], channels, 1), rate, subtype="PCM_16")
    return path
