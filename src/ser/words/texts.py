"""Sentences for Word2Vec from transcripts of a corpus, text files and the Spoken Wikipedia Corpus."""

from __future__ import annotations

import importlib
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from ser.core import plugins
from ser.core.errors import SerError
from ser.core.files import write_text
from ser.corpora import manifest, reading, spoken_wikipedia
from ser.words import occurrences
from ser.words.config import SYNTHETIC_TEXTS, Word2Vec

if TYPE_CHECKING:
    import pandas as pd

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_END = re.compile(r"[.!?]+(?:\s|$)|\n")


def sentences(
    sources: Iterable[Path],
    config: Word2Vec,
    only: Collection[str] | None = None,
    spoken: pd.DataFrame | None = None,
) -> list[list[str]]:
    """Sentences of all sources in the given order, as lower-case words that consist of letters.

    A source is the folder of a manifest, a folder of the Spoken Wikipedia Corpus, or a text file. `only` and `spoken`
    apply to manifests (`of_manifest`). Words and sentences that are too short are left out. Raises `SerError` for a
    source that is none of the three.
    """
    return [s for source in sources for text in _read(Path(source), only, spoken) if (s := _words(text, config))]


def _read(source: Path, only: Collection[str] | None, spoken: pd.DataFrame | None) -> Iterator[str]:
    if (source / "utterances.csv").exists():
        yield from of_manifest(source, only, spoken)
    elif source.is_dir():
        yield from of_spoken_wikipedia(source)
    elif source.exists():
        yield from of_text(source)
    else:
        raise SerError("no such text", source, "Name a text file, the folder of a manifest or a folder of articles")


def _words(text: str, config: Word2Vec) -> list[str]:
    found = [w.replace("’", "'") for w in _WORD.findall(text.lower())]
    found = [w for w in found if len(w) >= config.min_letters]
    return found if len(found) >= config.min_words else []


def of_manifest(folder: Path, only: Collection[str] | None = None, spoken: pd.DataFrame | None = None) -> Iterator[str]:
    """The transcript of each utterance (of those in `only`).

    Where the manifest has no transcript at all, the aligned words of an utterance are its sentence: those in `spoken`
    (a table of `ser.words.occurrences`) or else in words.csv.
    """
    table = manifest.read(folder / "utterances.csv")
    table = table if only is None else table[table["utterance"].isin(only)]
    texts = table.loc[table["text"].str.strip() != "", "text"]
    if len(texts):
        yield from texts
    else:
        aligned = occurrences.read(folder) if spoken is None else spoken
        for _, rows in aligned[aligned["utterance"].isin(table["utterance"])].groupby("utterance", sort=True):
            yield " ".join(rows["word"])


def of_text(path: Path) -> Iterator[str]:
    """Sentences of a text file in any usual encoding. A sentence ends at a full stop, !, ? or the end of the line."""
    yield from _END.split(reading.text(path).replace("\r", "\n"))


def of_spoken_wikipedia(folder: Path) -> Iterator[str]:
    """Sentences of all articles below `folder`, which are files ``<article>/aligned.swc``. The reader
    `spoken_wikipedia` describes them; here sentences without times are read, too.

    Raises `SerError` when there is no article and when one is damaged.
    """
    paths = sorted(folder.rglob("aligned.swc"))
    if not paths:
        raise SerError("neither a manifest nor articles of the Spoken Wikipedia (aligned.swc)", folder)
    for path in paths:
        for sentence in spoken_wikipedia.parse(path).iter("s"):
            yield " ".join(n.get("pronunciation", "") for n in sentence.iter("n"))


def write_synthetic(path: Path, count: int = 40_000, seed: str = "word2vec") -> None:
    """Writes sentences of the look-alike corpora, one per line, about `count` words in all. Word2Vec finds their topics
    from 20 000 words on. Raises `SerError` when the package ser_synth is not installed."""
    write_text(path, "".join(line + "\n" for line in _synthetic().lines(count, seed)))


def synthetic_topics() -> dict[str, str]:
    """Word -> topic for the words of the look-alike corpora that belong to one topic only: a gold standard for
    diagnostics. Raises `SerError` when the package ser_synth is not installed."""
    topics: dict[str, str] = _synthetic().word_topics()
    return topics


def _synthetic() -> ModuleType:
    plugins.path("synthetic")  # raises SerError when the package is not installed
    return importlib.import_module(SYNTHETIC_TEXTS)
