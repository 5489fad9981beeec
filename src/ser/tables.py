"""The tables of a corpus that later stages read: utterances, and where the corpus has them continuous labels and
words.
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ser import manifest, plugins
from ser.corpora import Card
from ser.errors import SerError
from ser.files import write_json

if TYPE_CHECKING:
    from ser.corpora._source import Location


def write(corpus: str, location: Location, config: Any, folder: Path, jobs: int) -> str:
    """Writes utterances.csv, card.json (task, outputs: the classes present or the dimensions), labels.csv (utterance,
    row, one column a dimension) and words.csv (utterance, start, end, word; seconds from the start of the utterance)
    into `folder`, the last two where the corpus has them.

    Returns a summary line. The folder appears whole or not at all.
    """
    module = plugins.load("corpora", corpus)
    card = module.expected(config) if hasattr(module, "expected") else module.CARD
    table = manifest.build(corpus, location.root, config, location.synthetic, jobs)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    manifest.write(table, partial / "utterances.csv")
    write_json(partial / "card.json", {"corpus": corpus, "task": module.CARD.task, "outputs": _outputs(card, table)})
    summary = [
        f"{corpus}: {len(table)} utterances, {table['speaker'].nunique()} speakers, {table['duration'].sum() / 60:.1f} min"
    ]
    if module.CARD.task == "continuous":
        labels = _labels(module, location.root, table)
        labels.to_csv(partial / "labels.csv", index=False, lineterminator="\n")
        summary.append(f"labels of {labels['utterance'].nunique()} recordings")
    if hasattr(module, "words"):
        words = _words(module, location.root, config)
        words.to_csv(partial / "words.csv", index=False, lineterminator="\n", float_format="%.4f")
        summary.append(f"{len(words)} aligned words in {words['utterance'].nunique()} utterances")
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial.rename(folder)
    return ", ".join(summary) + (", SYNTHETIC" if location.synthetic else "")


def _outputs(card: Card, table: pd.DataFrame) -> list[str]:
    """Dimensions, or the classes that occur: in the card's order, else (a user's own table) sorted."""
    if card.task == "continuous":
        return list(card.dimensions)
    found = set(table["emotion"]) - {""}
    return [c for c in card.classes if c in found] or sorted(found)


def _labels(module: Any, root: Path, table: pd.DataFrame) -> pd.DataFrame:
    parts = []
    for row in table[table["labels"] != ""].itertuples():
        times, values = module.read_labels(root / row.labels)
        if not len(times):
            raise SerError("a label file without rows", root / row.labels)
        part = pd.DataFrame(values, columns=list(module.CARD.dimensions))
        part.insert(0, "row", range(len(part)))
        part.insert(0, "utterance", row.utterance)
        parts.append(part)
    columns = ["utterance", "row", *module.CARD.dimensions]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _words(module: Any, root: Path, config: Any) -> pd.DataFrame:
    found = module.words(root, list(module.utterances(root, config)))
    rows = [(utterance, *dataclasses.astuple(word)) for utterance, words in found for word in words]
    return pd.DataFrame(rows, columns=["utterance", "start", "end", "word"])
