"""`ser corpora` and `ser link`: which corpora are here, under which licence, and how to get the others."""

from __future__ import annotations

import importlib.util
import os
import shutil
import textwrap
from pathlib import Path

from ser.core import plugins
from ser.core.errors import SerError
from ser.core.files import read_json, remove
from ser.corpora import MARKER, Card, raw_folder

ACCESS = {
    "download": "downloaded by `dvc repro`",
    "licence": "by licence, then `ser link`",
    "own": "your own copy, named in params.yaml",
}


def state(corpus: str) -> str:
    """What is in data/raw: "here", "linked", "broken link to ...", "SYNTHETIC" or "not here"."""
    root = raw_folder() / corpus
    if root.is_symlink() and not root.exists():
        return f"broken link to {os.readlink(root)}"
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return "not here"
    if (root / MARKER).exists():
        return "SYNTHETIC"
    return "linked" if root.is_symlink() else "here"


def table() -> str:
    """One line per corpus, in columns."""
    rows = [("corpus", "task", "here?", "licence", "how to get it")]
    for name in plugins.names("corpora"):
        card: Card = plugins.load("corpora", name).CARD
        here = state(name)
        rows.append((name, card.task, here, card.licence, ACCESS[card.access]))
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(r, widths, strict=True)).rstrip() for r in rows]
    lines.insert(1, "  ".join("-" * w for w in widths))
    if importlib.util.find_spec("ser_synth"):
        lines += ["", f"Synthetic look-alikes, made offline: {', '.join(plugins.names('synthetic'))}."]
    return "\n".join([*lines, "One corpus in full: ser corpora NAME"])


def card(name: str) -> str:
    """Everything about one corpus, as text for the terminal."""
    card: Card = plugins.load("corpora", name).CARD
    complete = card.utterances and card.speakers
    facts = {
        "licence": card.licence,
        "homepage": card.homepage,
        "cite": card.citation,
        "language": card.language,
        "classes": ", ".join(card.classes),
        "dimensions": ", ".join(card.dimensions),
        "complete": f"{card.utterances} utterances, {card.speakers} speakers" if complete else "",
        "counts": ", ".join(f"{k} {v}" for k, v in card.counts.items()),
        "sharing": "its audio may be shared"
        if card.shareable
        else "its audio stays on this machine: share numbers only",
        "here": state(name),
        "to get it": card.steps,
    }
    wrap = textwrap.TextWrapper(min(100, shutil.get_terminal_size().columns), subsequent_indent=" " * 12)
    wrap.break_long_words = wrap.break_on_hyphens = False
    return "\n".join(
        [f"{name}: {card.title}", *(wrap.fill(f"{key:<11} {fact}") for key, fact in facts.items() if fact)]
    )


def link(corpus: str, path: Path) -> str:
    """Makes data/raw/<corpus> a symbolic link to `path` when the corpus's reader finds something there.

    Receipts of what was there before are deleted, so that the next `dvc repro` checks the corpus again.
    Raises `SerError` when the folder is missing or is not that corpus, or when that name is taken already.
    """
    module = plugins.load("corpora", corpus)
    path = path.expanduser().resolve()
    if not path.is_dir():
        raise SerError("no such folder", path, "Give the folder the original archive unpacks to")
    if module.CARD.access == "own":  # the study's options say later which columns are read
        there = (path / module.MARK).exists()
    else:
        there = next(iter(module.utterances(path, module.Config())), None) is not None
    if not there:
        raise SerError(f"no {module.CARD.title} here", path, module.CARD.steps)
    place = raw_folder() / corpus
    if place.is_symlink():
        remove(place, raw_folder())
    elif place.exists():
        raise SerError("something is here already", place, "Move it away, then link again")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(path, target_is_directory=True)
    for receipt in Path("data").glob("*/receipts/*.json"):
        if corpus in _read_by(receipt):
            remove(receipt, "data")
    return f"{place} -> {path}\nUse it: ser study new NAME --corpora {corpus}, or corpora.{corpus}.source: real"


def _read_by(receipt: Path) -> set[str]:
    """The formats of a receipt's corpus, those of all members of a joint corpus."""
    try:
        found = read_json(receipt)
        parts = found.get("parts", {receipt.stem: found})
        return {str(part.get("format") or name) for name, part in parts.items()}
    except (SerError, AttributeError):  # damaged: it is made again in any case
        return {receipt.stem}
