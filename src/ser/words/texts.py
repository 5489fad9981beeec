"""Sentences for Word2Vec: of a corpus's transcripts, of text files, of the Spoken Wikipedia Corpus."""

from __future__ import annotations

import importlib
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from ser import plugins
from ser.corpora import manifest, reading
from ser.errors import SerError
from ser.files import write_text
from ser.words import words
from ser.words.settings import Word2Vec

if TYPE_CHECKING:
    import pandas as pd

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_END = re.compile(r"[.!?]+(?:\s|$)|\n")


def sentences(
    sources: Iterable[Path],
    settings: Word2Vec,
    only: Collection[str] | None = None,
    spoken: pd.DataFrame | None = None,
) -> list[list[str]]:
    """Sentences of all sources in the order given: lower case, words of letters, long enough.

    A source is the folder of a manifest (of which the utterances in `only` are read), a folder of the Spoken Wikipedia
    Corpus, or a text file. `spoken`: see `of_manifest`. Raises `SerError` for a source that is none of them.
    """
    return [s for source in sources for text in _read(Path(source), only, spoken) if (s := _kept(text, settings))]


def _read(source: Path, only: Collection[str] | None, spoken: pd.DataFrame | None) -> Iterator[str]:
    if (source / "utterances.csv").exists():
        yield from of_manifest(source, only, spoken)
    elif source.is_dir():
        yield from of_spoken_wikipedia(source)
    elif source.exists():
        yield from of_text(source)
    else:
        raise SerError("no such text", source, "Name a text file, a manifest's folder or one of articles")


def _kept(text: str, settings: Word2Vec) -> list[str]:
    found = [w.replace("’", "'") for w in _WORD.findall(text.lower())]
    found = [w for w in found if len(w) >= settings.letters]
    return found if len(found) >= settings.sentence else []


def of_manifest(folder: Path, only: Collection[str] | None = None, spoken: pd.DataFrame | None = None) -> Iterator[str]:
    """The transcript of each utterance; where the manifest has none, its aligned words, or those of `spoken`
    (`ser.words.words`), a recording a sentence."""
    table = manifest.read(folder / "utterances.csv")
    table = table if only is None else table[table["utterance"].isin(only)]
    texts = table.loc[table["text"].str.strip() != "", "text"]
    if len(texts):
        yield from texts
    else:
        aligned = words.read(folder) if spoken is None else spoken
        for _, rows in aligned[aligned["utterance"].isin(table["utterance"])].groupby("utterance", sort=True):
            yield " ".join(rows["word"])


def of_text(path: Path) -> Iterator[str]:
    """Sentences of a text file of any usual encoding; one ends at a full stop, ! or ?, and at the end of a line."""
    yield from _END.split(reading.text(path).replace("\r", "\n"))


def of_spoken_wikipedia(folder: Path) -> Iterator[str]:
    """Sentences of the articles below `folder`: ``<article>/aligned.swc`` is XML, ``s`` a sentence, ``n`` in it a
    spoken word with its normalised form in ``pronunciation`` (Baumann et al. 2019, as public readers of it have it).

    Raises `SerError` when there is no article, and for a damaged one.
    """
    paths = sorted(folder.rglob("aligned.swc"))
    if not paths:
        raise SerError("neither a manifest nor articles of the Spoken Wikipedia (aligned.swc)", folder)
    for path in paths:
        try:
            root = ElementTree.parse(path).getroot()
        except ElementTree.ParseError as error:
            raise SerError(f"damaged article: {error}", path, "Unpack it again, or take it out") from error
        for sentence in root.iter("s"):
            yield " ".join(n.get("pronunciation", "") for n in sentence.iter("n"))


def synthetic(path: Path, count: int = 40_000, seed: str = "word2vec") -> None:
    """Writes `count` words of the sentences that the synthetic corpora speak (ours: topics are learnt from 20 000 words
    on), one a line."""
    write_text(path, "".join(line + "\n" for line in _synthetic_texts().lines(count, seed)))


def synthetic_topics() -> dict[str, str]:
    """Word -> topic of the synthetic corpora's vocabulary, words of one topic only: gold for diagnostics."""
    topics: dict[str, str] = _synthetic_texts().word_topics()
    return topics


def _synthetic_texts() -> ModuleType:
    """The module `ser_synth.texts`; raises `SerError` when that package is not installed."""
    plugins.path("synthetic")
    return importlib.import_module("ser_synth.texts")
