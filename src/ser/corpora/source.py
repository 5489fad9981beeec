"""Where a corpus's files are (downloaded, linked, a user's own, synthesized), and the receipt that tells which."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from ser import caching, plugins
from ser.compute import workers
from ser.corpora import MARKER, raw_folder
from ser.corpora.reading import read as _read
from ser.corpora.reading.location import Location
from ser.errors import SerError


def ensure(
    corpus: str,
    source: Literal["real", "synthetic", "real_or_synthetic"],
    reader_config: Mapping[str, Any] | None = None,
    synthetic_config: Mapping[str, Any] | None = None,
    processes: int | None = None,
) -> Location:
    """The corpus's root, after downloading or synthesizing what is not there yet.

    Real corpora lie in data/raw/CORPUS, which may be a symbolic link; look-alikes in data/raw/synthetic, under a name
    that holds a digest of their parameters; a corpus `table` in the folder of its CSV. `reader_config` and
    `synthetic_config` are the blocks of params.yaml; `processes` is how many synthesize (default:
    `ser.compute.workers`). Raises `SerError` when the corpus cannot be had without the user.
    """
    if source == "real_or_synthetic":  # a copy that is here, never a download
        source = "real" if _here(raw_folder() / corpus) else "synthetic"
    if source == "synthetic":
        return Location(_synthetic_root(corpus, synthetic_config, processes or workers()), True)
    module = plugins.load("corpora", corpus, f"corpora.{corpus}")
    config = plugins.build(module.Config, reader_config, f"corpora.{corpus}.reader")
    root = _table_root(module, config) if module.CARD.access == "own" else _real_root(module, config)
    return Location(root, (root / MARKER).exists())


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
    command += ["--settings", json.dumps(values), "--jobs", str(processes)]
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if finished.returncode:
        raise SerError(finished.stdout.strip() or f"ser_synth ended with status {finished.returncode}")


def _real_root(module: Any, config: Any) -> Path:
    card = module.CARD
    root = raw_folder() / card.name
    if root.is_symlink() and not root.exists():
        hint = f"Mount it, or link again: ser link {card.name} PATH"
        raise SerError(f"the link to {card.title} leads to {os.readlink(root)}, which is not there", root, hint)
    if root.exists() and not root.is_dir():
        hint = f"Move it away, unpack it elsewhere and run: ser link {card.name} PATH"
        raise SerError(f"{card.title} must be a folder, and this is a file", root, hint)
    here = _here(root)
    if card.access == "download":
        ours = not root.is_symlink() and any([*root.glob(".*.done"), *root.glob(f".*{_read.PART}")])
        if ours or not here:  # an archive that is whole is not fetched again
            module.download(root, config)
    elif not here:
        raise SerError(f"{card.title} is not here", root, card.steps)
    return root


def _here(root: Path) -> bool:
    return root.is_dir() and bool(_read.visible(root.iterdir()))


def _table_root(module: Any, config: Any) -> Path:
    """data/raw/table when that is linked and holds the CSV, else the folder of the CSV at a path of its own."""
    linked, csv = raw_folder() / module.CARD.name, Path(config.csv)
    if not csv.is_absolute() and (linked / csv).is_file():
        return linked
    if csv.is_file():
        return csv.parent
    raise SerError("no table of the corpus", csv, "Give its path in params.yaml: corpora.table.reader.csv")
