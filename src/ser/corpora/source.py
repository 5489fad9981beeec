"""Makes sure that the files of a corpus are there: downloaded, linked, a user's own, or synthesized."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from ser.core import caching, plugins
from ser.core.compute import workers
from ser.core.errors import SerError
from ser.corpora import MARKER, raw_folder, reading
from ser.corpora.location import Location
from ser.corpora.location import receipt as receipt_of


def ensure(
    corpus: str,
    source: Literal["real", "synthetic", "real_or_synthetic"],
    reader_config: Mapping[str, Any] | None = None,
    synthetic_config: Mapping[str, Any] | None = None,
    processes: int | None = None,
    reader: str = "",
) -> Location:
    """The corpus's root, after downloading or synthesizing what is not there yet.

    A real corpus is in data/raw/CORPUS, which may be a symbolic link. A look-alike is in data/raw/synthetic, in a
    folder named after its fingerprint. A user's own corpus (`table` and others) is where its options say. `reader` is
    the module of `ser.corpora` that reads the corpus (default: that called like it), `reader_config` and
    `synthetic_config` are blocks of params.yaml; `processes` is the number of processes that synthesize (default: one
    per worker). Raises `SerError` when the user has to do something to get the corpus.
    """
    reader = reader or corpus
    if source == "real_or_synthetic":  # real when a copy is here; it is never downloaded
        source = "real" if _here(raw_folder() / reader) else "synthetic"
    if source == "synthetic":
        return Location(_synthetic_root(reader, synthetic_config, processes or workers()), True)
    module = plugins.load("corpora", reader, f"corpora.{corpus}")
    config = plugins.build(module.Config, reader_config, f"corpora.{corpus}.reader")
    own = module.CARD.access == "own"
    root = module.place(config, f"corpora.{corpus}.reader") if own else _real_root(module, config)
    table = Path(config.csv) if getattr(config, "audio", "") else None
    return Location(root, (root / MARKER).exists(), table)


def receipt(corpus: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Makes sure that a corpus is here (`ensure`) and returns its receipt, with the values of its block that read it.

    `settings`: ``format``, ``source``, ``reader`` and ``synthetic`` of the block."""
    own = {key: settings[key] for key in ("format", "source", "reader", "synthetic")}
    location = ensure(corpus, own["source"], own["reader"], own["synthetic"], reader=own["format"])
    return own | receipt_of(location, corpus)


def _synthetic_root(corpus: str, settings: Mapping[str, Any] | None, processes: int) -> Path:
    """The folder of a look-alike; its name holds the fingerprint of its settings and of the code that makes it."""
    module = plugins.load("synthetic", corpus, f"corpora.{corpus}.source")
    config = plugins.build(module.Config, settings, f"corpora.{corpus}.synthetic")
    values = dataclasses.asdict(config)
    fingerprint = caching.fingerprint(f"ser_synth.{corpus}", settings=values)
    root = raw_folder() / "synthetic" / f"{corpus}-{fingerprint}"
    if not (root / MARKER).is_file():
        _synthesize(corpus, root, values, processes)
    return root


def _synthesize(corpus: str, root: Path, values: Mapping[str, Any], processes: int) -> None:
    """Runs `ser_synth` as a program of its own, which shows its progress on standard error."""
    command = [sys.executable, "-m", "ser_synth", corpus, str(root)]
    command += ["--settings", json.dumps(values), "--jobs", str(processes), "--parent", str(os.getpid())]
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if finished.returncode:
        raise SerError(finished.stdout.strip() or f"ser_synth ended with status {finished.returncode}")


def _real_root(module: Any, config: Any) -> Path:
    card = module.CARD
    root = raw_folder() / card.name
    if root.is_symlink() and not root.exists():
        hint = f"Mount it, or link again: ser link {card.name} PATH"
        raise SerError(f"the link to {card.title} leads to {os.readlink(root)}, which does not exist", root, hint)
    if root.exists() and not root.is_dir():
        hint = f"Move it away, unpack it elsewhere and run: ser link {card.name} PATH"
        raise SerError(f"{card.title} must be a folder, but this is a file", root, hint)
    here = _here(root)
    if card.access == "download":
        ours = not root.is_symlink() and any([*root.glob(".*.done"), *root.glob(f".*{reading.PART}")])
        if ours or not here:  # an archive that is complete is not downloaded again
            module.download(root, config)
    elif not here:
        raise SerError(f"{card.title} is not here", root, card.steps)
    return root


def _here(root: Path) -> bool:
    return root.is_dir() and bool(reading.visible(root.iterdir()))
