"""Corpora: one module per corpus, each with

``CARD``
    what the corpus is, its licence, how to get it, and how many utterances a complete copy has;
``Config``
    frozen dataclass of the reader's options; all have ``rates`` (rates in Hz that its files may have; empty: any) and
    ``assume_rate`` (Hz, used instead of what the headers say);
``expected(config)`` (only where options change them)
    the card with the task, outputs and counts that a complete copy has under these options;
``download(root, config)``
    downloads the original archives into `root` (`ser.corpora.download.fetch`), or raises `SerError` with the exact
    steps for a corpus that needs a licence (`ser.corpora.download.refuse`);
``place(config, where)`` (only for a user's own corpora, whose card has ``access="own"``)
    the root, from the options; `where` is their dotted key, for errors. ``MARK`` is then the name of a file or folder
    in such a root, by which `ser link` knows it;
``utterances(root, config)``
    yields one `Utterance` per labelled piece of audio, sorted by id, from the corpus's original folders and files;
``words(root, utterances)`` (only where the corpus has word alignments)
    yields ``(utterance id, [Word, ...])``;
``turns(root, utterances)`` (only where others speak in the recordings, too)
    yields ``(utterance id, [(start, end), ...])``, the turns of the labelled speaker;
``sentences(root, utterances)`` (only where sentences have times)
    yields ``(utterance id, [(start, end, text), ...])``;
``read_labels(path, config)`` (only where the task may be continuous)
    times (rows,) in seconds and values (rows, D) of one label file;
``lacking(utterances, config)`` (only where copies may lack a part)
    the options without the part that this copy does not have, whose counts are then not expected;
``incomplete(files)`` (only where parts of a corpus may be read)
    which of its subsets lack utterances;
``example(root)``
    writes a few files in the corpus's layout below `root` and returns `root`, for the contract tests. A corpus whose
    files are also read by tests of its own has them in tests/corpus_trees/NAME.py instead, as ``tree(root)``.

The look-alikes that the package `ser_synth` makes have the same layouts, so both go through the same
readers.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

JOINT = "joint"  # the format of a corpus made of several (ser.corpora.joint)
MARKER = "SYNTHETIC"  # name of the file that marks a folder made by `ser_synth`


@dataclass(frozen=True)
class Source:
    """One file to download; `checksum` is ``algorithm:hexdigest`` as pooch takes it, None where none is published."""

    url: str
    checksum: str | None = None
    bytes: int | None = None

    @property
    def filename(self) -> str:
        return self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Card:
    """What a corpus is. Counts are those of a complete original copy and are asserted on it (papers.md, section 1)."""

    name: str
    title: str
    licence: str
    homepage: str
    citation: str
    language: str
    task: Literal["classification", "continuous", "speech"]
    access: Literal["download", "licence", "own"]
    classes: tuple[str, ...] = ()  # class names in report order
    dimensions: tuple[str, ...] = ()  # continuous targets, in file order
    utterances: int | None = None
    speakers: int | None = None
    # utterances per class, or per partition where labels are continuous
    counts: Mapping[str, int] = field(default_factory=dict)
    counts_by_speaker: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()
    steps: str = ""  # what a user does to get the corpus, one paragraph
    shareable: bool = False  # may audio of it appear in a report that leaves the machine?


@dataclass(frozen=True)
class Utterance:
    """One labelled piece of audio. Times are seconds in the file; `file` is POSIX, relative to the corpus root."""

    id: str
    file: str
    speaker: str
    emotion: str = ""  # a class of the card, empty for continuous or unlabelled speech
    start: float | None = None  # None: from the start of the file
    end: float | None = None  # None: to its end
    session: str = ""
    dialogue: str = ""
    sex: str = ""  # "f", "m" or ""
    text: str = ""
    text_id: str = ""  # equal for equal prompts
    partition: str = ""  # train, dev, test where the corpus defines it; of several folds, as "1:test 2:train"
    labels: str = ""  # file of continuous labels, relative to the root


@dataclass(frozen=True)
class Word:
    """One word of an alignment; times in seconds from the start of its utterance."""

    start: float
    end: float
    text: str


def raw_folder() -> Path:
    """Where original corpora are: the environment variable SER_RAW, else data/raw. Never a DVC output, never in git."""
    return Path(os.environ.get("SER_RAW") or Path("data") / "raw")
