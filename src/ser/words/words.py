"""Where words lie in time: alignments of the corpus, guesses without one, and words on the grid of the labels.

A table of words has the columns utterance, start, end (seconds from the utterance's start) and word (lower case).
Letters: N samples, n words, R label rows, d dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from ser.corpora import manifest
from ser.errors import SerError
from ser.words.settings import GRID, Words

if TYPE_CHECKING:
    from ser.words.forced import Aligner

COLUMNS = ("utterance", "start", "end", "word")
_ROUNDING = 1e-4  # seconds: times of words are kept to four digits
_FRAME, _HOP = 400, 160  # samples at 16 kHz of the loudness that finds speech: 25 and 10 ms, the field's custom


class Segments(NamedTuple):
    """A table of words, and where they come from: "corpus", "ctc BUNDLE" or "uniform"."""

    table: pd.DataFrame
    method: str


def clean(word: str) -> str:
    """A word as vocabularies hold it: lower case, without punctuation around it; ``<laughter>`` is one."""
    return word.strip("\"'.,!?;:()[]<>-").lower()


def read(folder: str | Path) -> pd.DataFrame:
    """The words of a manifest's folder in order of time; empty where the corpus has no alignment. Raises `SerError` for
    a file that is not ours."""
    path = Path(folder) / "words.csv"
    if not path.exists():
        return pd.DataFrame({c: pd.Series(dtype=float if c in ("start", "end") else str) for c in COLUMNS})
    table = pd.read_csv(path, dtype={"utterance": str, "word": str}, keep_default_na=False)
    if list(table) != list(COLUMNS):
        raise SerError(f"not a table of words: columns {', '.join(table)}", path, f"Expected: {', '.join(COLUMNS)}")
    table["word"] = table["word"].map(clean)
    return table[table["word"] != ""].sort_values(["utterance", "start"], kind="stable", ignore_index=True)


def segments(
    folder: str | Path,
    signal: Callable[[str], tuple[np.ndarray, int]],
    settings: Words,
    only: Collection[str] | None = None,
    aligner: Aligner | None = None,
    sentences: Callable[[str], Sequence[tuple[float, float, str]]] | None = None,
) -> Segments:
    """The words of the utterances of a manifest's folder (of those in `only`), by ``settings.method``.

    `signal` gives the samples (N,) and rate of an utterance; it is called where there is no alignment. `aligner` stands
    in for the one that ``settings.bundle`` names. `sentences` gives an utterance's sentences with start and end in
    seconds, where a corpus has them: words are then looked for inside them. Raises `SerError` when there is neither
    alignment nor text, and for a word or sentence that starts after its utterance's end.
    """
    found = read(folder) if settings.method in ("auto", "corpus") else pd.DataFrame()
    if len(found):
        _check_ends(found, Path(folder))
        return Segments(found if only is None else found[found["utterance"].isin(only)], "corpus")
    if settings.method == "corpus":
        raise SerError("no aligned words", Path(folder) / "words.csv", "Set words.method: ctc or uniform")
    texts = _texts(Path(folder), only, sentences)
    if settings.method == "ctc" and aligner is None:
        from ser.words.forced import load

        aligner = load(settings.bundle)
    rows: list[tuple[str, float, float, str]] = []
    for utterance, pieces in texts.items():
        samples, rate = signal(utterance)
        for start, end, text in pieces:
            spoken = [w for w in map(clean, text.split()) if w]
            part = samples[round(start * rate) : round(min(end, len(samples) / rate) * rate)]
            spans = aligner(part, rate, spoken) if aligner else spread(spoken, voiced(part, rate, settings))
            found_spans = zip(spans, spoken, strict=True)
            rows += [(utterance, start + s[0], start + s[1], w) for s, w in found_spans if s is not None]
    made = pd.DataFrame(rows, columns=list(COLUMNS))
    return Segments(made, (f"ctc {settings.bundle}" if aligner else "uniform") + (" in sentences" if sentences else ""))


def _check_ends(found: pd.DataFrame, folder: Path) -> None:
    """Here, before hours of learning, not where its sound is looked for."""
    table = manifest.read(folder / "utterances.csv")
    ends = found["utterance"].map(dict(zip(table["utterance"], table["duration"], strict=True)))
    for row in found[found["start"] > ends - _ROUNDING].itertuples():
        what = f"word {row.word!r} of {row.utterance} starts at {row.start:g} s, its audio lasts {ends[row.Index]:g} s"
        raise SerError(what, folder / "words.csv", "Check that the corpus's alignment is this recording's")


def _texts(
    folder: Path,
    only: Collection[str] | None,
    sentences: Callable[[str], Sequence[tuple[float, float, str]]] | None,
) -> dict[str, list[tuple[float, float, str]]]:
    """Utterance -> its pieces of text with start and end in seconds; a transcript without times is one piece."""
    table = manifest.read(folder / "utterances.csv")
    table = table if only is None else table[table["utterance"].isin(only)]
    if sentences is not None:
        found = {str(u): list(sentences(str(u))) for u in table["utterance"]}
    else:
        found = {str(u): [(0.0, np.inf, t)] for u, t in zip(table["utterance"], table["text"], strict=True)}
    found = {u: [p for p in pieces if p[2].strip()] for u, pieces in found.items()}
    if not any(found.values()):
        raise SerError("neither aligned words nor text", folder, "Put an alignment beside the corpus's audio")
    ends = dict(zip(table["utterance"], table["duration"], strict=True))
    for utterance, (start, _, text) in ((u, p) for u, pieces in found.items() for p in pieces):
        if start > ends[utterance] - _ROUNDING:
            what = f"sentence {text[:30]!r} of {utterance} starts at {start:g} s, its audio lasts {ends[utterance]:g} s"
            raise SerError(what, folder, "Check that the corpus's transcript is this recording's")
    return {u: pieces for u, pieces in found.items() if pieces}


def voiced(signal: np.ndarray, rate: int, settings: Words) -> list[tuple[float, float]]:
    """Stretches of speech in seconds: not quieter than ``top_db`` below the loudest frame, short gaps bridged."""
    import librosa

    scale = rate / 16_000
    frame, hop = max(1, round(_FRAME * scale)), max(1, round(_HOP * scale))
    if not np.any(signal):
        return []
    parts = librosa.effects.split(signal, top_db=settings.top_db, frame_length=frame, hop_length=hop) / rate
    merged: list[tuple[float, float]] = []
    for start, end in parts.tolist():
        if merged and start - merged[-1][1] < settings.bridge:
            start = merged.pop()[0]
        merged.append((start, end))
    return merged


def spread(words: Sequence[str], regions: Sequence[tuple[float, float]]) -> list[tuple[float, float] | None]:
    """Words over stretches of speech, each with time in proportion to its letters.

    A word that would cross a silence keeps its longer part; None where there is no speech at all.
    """
    if not regions:
        return [None] * len(words)
    length = np.array([end - start for start, end in regions])
    begins = np.concatenate([[0.0], np.cumsum(length)])  # of each stretch, in time of speech alone
    edges = np.concatenate([[0.0], np.cumsum([len(w) for w in words])])
    edges *= begins[-1] / edges[-1]
    spans: list[tuple[float, float] | None] = []
    for first, last in pairwise(edges):
        low, high = np.maximum(first, begins[:-1]), np.minimum(last, begins[1:])
        k = int(np.argmax(high - low))
        shift = regions[k][0] - begins[k]
        spans.append((float(low[k] + shift), float(high[k] + shift)))
    return spans


def chunks(
    regions: Sequence[tuple[float, float]], turns: Sequence[tuple[float, float]] | None, settings: Words
) -> list[tuple[float, float]]:
    """Segments of ``settings.chunk`` seconds where speech lies inside the subject's turns (`token_unsupervised`).

    `turns` None: everywhere. A stretch's last chunk is shorter; one below half a chunk joins the one before it.
    """
    turns = [(0.0, np.inf)] if turns is None else turns
    inside = [(max(a, c), min(b, d)) for a, b in regions for c, d in turns if min(b, d) > max(a, c)]
    found = []
    for start, end in inside:
        count = max(1, round((end - start) / settings.chunk))
        edges = [start + i * settings.chunk for i in range(count)] + [end]
        found += list(pairwise(edges))
    return found


def on_grid(spans: Sequence[tuple[float, float]] | np.ndarray, rows: int) -> np.ndarray:
    """Which word each of R label rows holds, (R,) int64, -1 for none.

    Word i from s to e covers rows round(10 s) to round(10 e), both included; later words overwrite (papers.md 7.3).
    """
    grid = np.full(rows, -1, dtype=np.int64)
    for i, (first, last) in enumerate(np.rint(GRID * np.asarray(spans, dtype=float).reshape(-1, 2)).astype(int)):
        grid[max(first, 0) : last + 1] = i
    return grid


def stream(spans: Sequence[tuple[float, float]] | np.ndarray, vectors: np.ndarray, rows: int) -> np.ndarray:
    """Vectors (n, d) of words put on the grid, (R, d) float32; rows without a word are zero."""
    padded = np.concatenate([vectors, np.zeros((1, vectors.shape[1]))]).astype(np.float32)
    return padded[on_grid(spans, rows)]  # -1 is the row of zeros
