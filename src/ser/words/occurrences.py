"""Where spoken words occur: alignments of the corpus, estimates without one, and words on the grid of the labels.

A table of occurrences has the columns utterance, start, end (seconds from the start of the utterance) and word (lower
case). Letters: N samples, n words, R label rows, d dimensions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from ser.core.errors import SerError
from ser.core.files import read_csv
from ser.corpora import audio, manifest
from ser.corpora.manifest import LABEL_RATE
from ser.words.config import Events, Occurrences

if TYPE_CHECKING:
    from ser.words.forced_alignment import Aligner

COLUMNS = ("utterance", "start", "end", "word")
Span = tuple[float, float]  # start and end in seconds
Signal = Callable[[str], tuple[np.ndarray, int]]  # utterance -> samples (N,) and rate in Hz
_TAG = re.compile(r"<([^<>]+)>")
_ROUNDING = 1e-4  # seconds; words.csv keeps four digits
_FRAME, _HOP = 400, 160  # samples at 16 kHz, 25 and 10 ms: frames whose loudness separates speech from silence


class Found(NamedTuple):
    """A table of occurrences, and where it comes from: "corpus", "ctc BUNDLE" or "uniform", the latter two perhaps
    followed by "in sentences"."""

    table: pd.DataFrame
    method: str

    def of(self, utterances: Collection[str]) -> Found:
        """Only the occurrences in these utterances."""
        return self._replace(table=self.table[self.table["utterance"].isin(utterances)])


def signals(table: pd.DataFrame, root: Path) -> Signal:
    """Samples and rate of the utterances of a manifest, decoded from the files of the corpus below `root`."""
    rows = {row.utterance: row for row in table.itertuples()}

    def signal(utterance: str) -> tuple[np.ndarray, int]:
        row = rows[utterance]
        start, end = (None if pd.isna(t) else float(t) for t in (row.start, row.end))
        samples, rate, _ = audio.decode(root / row.file, start, end, rate=int(row.rate))
        audio.check_unchanged(samples, row.pcm, root / row.file)
        return samples, rate

    return signal


def clean(word: str, events: Events = "words") -> str:
    """A word as vocabularies hold it: lower case, without the punctuation around it. ``<laughter>`` is the word
    "laughter"; with `events` "synonyms" it stays a tag, for `Vectors.look_up`, and ``<filler>`` gives an empty string
    (papers.md 7.3).
    """
    tag = _TAG.fullmatch(word.strip("\"'.,!?;:()[]-")) if events == "synonyms" else None
    if tag:
        return "" if tag[1].lower() == "filler" else f"<{tag[1].lower()}>"
    return word.strip("\"'.,!?;:()[]<>-").lower()


def read(folder: Path, events: Events = "words") -> pd.DataFrame:
    """The aligned words in a manifest's folder, in temporal order; empty where the corpus has no alignment. Raises
    `SerError` for a file with other columns."""
    table = read_spans(folder, "words", "word")
    table["word"] = table["word"].map(lambda word: clean(word, events))
    return table[table["word"] != ""].sort_values(["utterance", "start"], kind="stable", ignore_index=True)


def read_spans(folder: Path, name: str, *labels: str) -> pd.DataFrame:
    """A table of a manifest's folder with the columns utterance, start, end and text columns `labels`; without rows
    where the corpus does not have it. Raises `SerError` for a file with other columns."""
    path, columns = Path(folder) / f"{name}.csv", ["utterance", "start", "end", *labels]
    if not path.exists():
        return pd.DataFrame({c: pd.Series(dtype=float if c in ("start", "end") else str) for c in columns})
    strings = dict.fromkeys(("utterance", *labels), str)
    table = read_csv(path, dtype=strings, keep_default_na=False)
    if list(table) != columns:
        raise SerError(f"columns {', '.join(table)}", path, f"Expected: {', '.join(columns)}")
    return table


def find(
    folder: Path,
    signal: Signal,
    config: Occurrences,
    only: Collection[str] | None = None,
    aligner: Aligner | None = None,
) -> Found:
    """The words in the utterances of a manifest's folder (of those in `only`), by ``config.method``.

    `aligner` replaces the one that ``config.bundle`` names. Where the corpus gives times of its sentences
    (sentences.csv), a word is looked for within its sentence. Raises `SerError` when there is neither an alignment nor
    text, and for a word or sentence that starts after the end of its utterance.
    """
    aligned = read(folder, config.events) if config.method in ("auto", "corpus", "corpus_or_ctc") else pd.DataFrame()
    if len(aligned):
        _check_ends(aligned, folder)
        found = Found(aligned, "corpus")
        return found if only is None else found.of(only)
    if config.method == "corpus":
        raise SerError("no aligned words", folder / "words.csv", "Set occurrences.method: ctc or uniform")
    if config.method in ("ctc", "corpus_or_ctc") and aligner is None:
        from ser.words.forced_alignment import load

        aligner = load(config.bundle)
    timed = read_spans(folder, "sentences", "text")
    rows: list[tuple[str, float, float, str]] = []
    for utterance, sentences in _sentences(folder, only, timed).groupby("utterance", sort=False):
        samples, rate = signal(str(utterance))
        for start, end, text in sentences[["start", "end", "text"]].itertuples(index=False, name=None):
            spoken = [w for word in text.split() if (w := clean(word, config.events))]
            part = samples[round(start * rate) : round(min(end, len(samples) / rate) * rate)]
            spans = aligner(part, rate, spoken) if aligner else spread(spoken, voiced(part, rate, config))
            rows += [(str(utterance), start + s[0], start + s[1], w) for s, w in zip(spans, spoken, strict=True) if s]
    method = f"ctc {config.bundle}" if aligner else "uniform"
    return Found(pd.DataFrame(rows, columns=list(COLUMNS)), method + (" in sentences" if len(timed) else ""))


def _sentences(folder: Path, only: Collection[str] | None, timed: pd.DataFrame) -> pd.DataFrame:
    """Utterance, start, end and text of every sentence; a transcript without times is one sentence."""
    table = manifest.read(folder / "utterances.csv")
    table = table if only is None else table[table["utterance"].isin(only)]
    if timed.empty:
        timed = table[["utterance", "text"]].assign(start=0.0, end=np.inf)
    found = table[["utterance", "duration"]].merge(timed[timed["text"].str.strip() != ""], on="utterance")
    if found.empty:
        raise SerError("neither aligned words nor text", folder, "Put an alignment beside the corpus's audio")
    for row in found[found["start"] > found["duration"] - _ROUNDING].itertuples():
        what = f"sentence {row.text[:30]!r} of {row.utterance} starts at {row.start:g} s, its audio lasts"
        hint = "Check that the corpus's transcript belongs to this recording"
        raise SerError(f"{what} {row.duration:g} s", folder, hint)
    return found


def _check_ends(aligned: pd.DataFrame, folder: Path) -> None:
    """Done early: the sound of the words is read only after hours of training."""
    table = manifest.read(folder / "utterances.csv")
    ends = aligned["utterance"].map(dict(zip(table["utterance"], table["duration"], strict=True)))
    for row in aligned[aligned["start"] > ends - _ROUNDING].itertuples():
        what = f"word {row.word!r} of {row.utterance} starts at {row.start:g} s, its audio lasts {ends[row.Index]:g} s"
        raise SerError(what, folder / "words.csv", "Check that the corpus's alignment belongs to this recording")


def voiced(signal: np.ndarray, rate: int, config: Occurrences) -> list[Span]:
    """Stretches of speech: at most ``top_db`` below the loudest frame. Gaps shorter than ``bridge`` belong to them."""
    import librosa

    scale = rate / 16_000
    frame, hop = max(1, round(_FRAME * scale)), max(1, round(_HOP * scale))
    if not np.any(signal):
        return []
    loud = librosa.effects.split(signal, top_db=config.top_db, frame_length=frame, hop_length=hop) / rate
    merged: list[Span] = []
    for start, end in loud.tolist():
        if merged and start - merged[-1][1] < config.bridge:
            start = merged.pop()[0]
        merged.append((start, end))
    return merged


def spread(words: Sequence[str], regions: Sequence[Span]) -> list[Span | None]:
    """Distributes words over stretches of speech, with a duration in proportion to their number of letters.

    A word that would cross a silence keeps the longer part. The spans are None when there is no speech at all.
    """
    if not regions:
        return [None] * len(words)
    length = np.array([end - start for start, end in regions])
    begins = np.concatenate([[0.0], np.cumsum(length)])  # of each stretch, counting speech only
    edges = np.concatenate([[0.0], np.cumsum([len(w) for w in words])])
    edges *= begins[-1] / edges[-1]
    spans: list[Span | None] = []
    for first, last in pairwise(edges):
        low, high = np.maximum(first, begins[:-1]), np.minimum(last, begins[1:])
        k = int(np.argmax(high - low))
        shift = regions[k][0] - begins[k]
        spans.append((float(low[k] + shift), float(high[k] + shift)))
    return spans


def chunks(regions: Sequence[Span], turns: Sequence[Span] | None, config: Occurrences) -> list[Span]:
    """Segments of about ``config.chunk`` seconds of speech within the subject's turns (mode `token_unsupervised`).

    With `turns` None all speech is the subject's. The last segment of a stretch takes what is left, from half a chunk
    to one and a half.
    """
    turns = [(0.0, np.inf)] if turns is None else turns
    inside = [(max(a, c), min(b, d)) for a, b in regions for c, d in turns if min(b, d) > max(a, c)]
    found = []
    for start, end in inside:
        count = max(1, round((end - start) / config.chunk))
        edges = [start + i * config.chunk for i in range(count)] + [end]
        found += list(pairwise(edges))
    return found


def on_grid(spans: Sequence[Span], rows: int) -> np.ndarray:
    """Which word each of R label rows contains, (R,) int64; -1 for none.

    Word i from s to e covers rows round(10 s) to round(10 e), both included; later words overwrite (papers.md 7.3).
    """
    grid = np.full(rows, -1, dtype=np.int64)
    for i, (first, last) in enumerate(np.rint(LABEL_RATE * np.asarray(spans, dtype=float).reshape(-1, 2)).astype(int)):
        grid[max(first, 0) : last + 1] = i
    return grid


def stream(spans: Sequence[Span], vectors: np.ndarray, rows: int) -> np.ndarray:
    """Vectors (n, d) of words put on the grid, (R, d) float32; rows without a word are zero."""
    padded = np.concatenate([vectors, np.zeros((1, vectors.shape[1]))]).astype(np.float32)
    return padded[on_grid(spans, rows)]  # row -1 holds zeros
