"""Word vectors of a corpus's recordings on the grid of their labels: the inputs of the model `semantic`.

There is one packed store per stream and mode (papers.md 7.3), named ``<stream>-<mode>``, with 10 rows per second. A row
contains, in mode

``type_lookup_oracle``
    the vector of the word type that the transcript has there;
``token_aligned``
    what the encoder makes of the sound of the word, between its aligned start and end;
``token_unsupervised``
    what the encoder makes of about half a second of speech within the subject's turns.

The stream `random_vectors` is the control: a random vector per word type in the first mode and a new one per segment in
the others, which then show where somebody speaks and nothing else. The store ``turns`` contains 1 where the subject has
the turn and 0 elsewhere; where the corpus does not give turns, 1 everywhere.

Letters: R label rows, n words, N samples, d dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from ser.core.store import Writer
from ser.core.tasks import MODES, STREAMS
from ser.corpora import manifest
from ser.corpora.manifest import LABEL_RATE
from ser.words import alignment, mfcc, occurrences, speech2vec, vectors
from ser.words.alignment import Aligned
from ser.words.config import Config
from ser.words.occurrences import Found, Signal, Span
from ser.words.vectors import Vectors


class Learned(NamedTuple):
    """What the stage has learned and written."""

    text: Vectors
    speech: Vectors
    encoder: speech2vec.Model
    aligned: Aligned

    @classmethod
    def load(cls, folder: Path) -> Learned:
        """Raises `SerError` for a folder that is missing or damaged."""
        speech, text = (vectors.load(folder / name)[0] for name in ("speech", "text"))
        return cls(text, speech, speech2vec.load(folder / "speech"), alignment.load(folder / "aligned"))


class Recording(NamedTuple):
    """One recording with its words; `turns` is None where the corpus does not give them."""

    name: str
    rows: int
    samples: np.ndarray  # (N,)
    rate: int  # Hz
    words: list[str]
    spans: list[Span]  # of the words
    turns: list[Span] | None


def write(
    config: Config, learned: Path, folder: Path, signal: Signal, spoken: Found, out: Path, device: str
) -> dict[str, Any]:
    """Writes all stores below `out`; returns how much of the recordings they cover.

    `learned` is the folder of the vectors and their map, `folder` the manifest of the target, `spoken` its words.
    Raises `SerError` for a word that starts after the end of its recording.
    """
    table, known, turns = manifest.read(folder / "utterances.csv"), Learned.load(learned), _spans(folder)
    words = dict(tuple(spoken.table.groupby("utterance")))
    card = {"kind": "feature", "feature": "words", "level": "frame", "rate": None, "frame_rate": LABEL_RATE}
    card["synthetic"] = manifest.is_synthetic(table)
    counts: dict[str, int] = {}
    with ExitStack() as stack:
        names = [f"{stream}-{mode}" for stream, modes in STREAMS.items() for mode in modes]
        dim = known.text.matrix.shape[1]
        writers = {
            n: stack.enter_context(Writer(out / n, dim, "float32", {**card, "stream": n, "words_by": spoken.method}))
            for n in names
        }
        own = stack.enter_context(Writer(out / "turns", 1, "float32", {**card, "feature": "turns"}))
        for row in tqdm(table.itertuples(), total=len(table), desc="word streams", unit="recording", disable=None):
            recording = _recording(row, signal, words.get(row.utterance), turns.get(row.utterance))
            chunked = chunks(recording, config)
            made = streams(recording, chunked, known, config, device)
            for name in names:
                spans = chunked if name.endswith(MODES[2]) else recording.spans
                writers[name].append(recording.name, occurrences.stream(spans, made[name], recording.rows))
            own.append(recording.name, _turns(recording))
            for name, count in _counts(recording, chunked, known).items():
                counts[name] = counts.get(name, 0) + count
    about = {"target": config.target, "words_by": spoken.method, "recordings": len(table), "turns": bool(turns)}
    return {**about, **counts}


def streams(
    recording: Recording, chunked: Sequence[Span], known: Learned, config: Config, device: str = "cpu"
) -> dict[str, np.ndarray]:
    """``<stream>-<mode>`` -> vectors (n, d) of the words of a recording, or of its chunks."""
    lookup, aligned, unsupervised = MODES
    dim, seed = known.text.matrix.shape[1], config.alignment.seed
    mapped = known.speech.replaced(known.aligned(known.speech.matrix))
    types = {"word2vec": known.text, "speech2vec": known.speech, "aligned": mapped}
    out = {f"{s}-{lookup}": space.look_up(recording.words, config.oov, seed) for s, space in types.items()}
    out[f"random_vectors-{lookup}"] = vectors.directions(recording.words, dim, seed)
    for mode, spans in ((aligned, recording.spans), (unsupervised, chunked)):
        rows = _embedded(recording, spans, known.encoder, device)
        names = [f"{recording.name} {mode} {i}" for i in range(len(spans))]
        out[f"speech2vec-{mode}"] = rows
        out[f"aligned-{mode}"] = known.aligned(rows)
        out[f"random_vectors-{mode}"] = vectors.directions(names, dim, seed)
    return out


def chunks(recording: Recording, config: Config) -> list[Span]:
    """Segments of speech within the subject's turns, for the mode that knows no words."""
    regions = occurrences.voiced(recording.samples, recording.rate, config.occurrences)
    return occurrences.chunks(regions, recording.turns, config.occurrences)


def _embedded(recording: Recording, spans: Sequence[Span], encoder: speech2vec.Model, device: str) -> np.ndarray:
    if not len(spans):
        return np.zeros((0, encoder.config.dim), np.float32)
    found = mfcc.segments(recording.samples, recording.rate, spans, encoder.config, recording.name)
    unknown = ("",) * len(found)
    return speech2vec.embed(encoder, mfcc.joined(found, unknown, unknown), device)


def _spans(folder: Path) -> dict[str, list[Span]]:
    """Recording -> the subject's turns, of those recordings for which the corpus gives them."""
    turns = occurrences.read_spans(folder, "turns")
    return {str(name): _pairs(rows) for name, rows in turns.groupby("utterance")}


def _pairs(rows: pd.DataFrame) -> list[Span]:
    return [(float(a), float(b)) for a, b in rows[["start", "end"]].to_numpy()]


def _recording(row: Any, signal: Signal, spoken: pd.DataFrame | None, turns: list[Span] | None) -> Recording:
    samples, rate = signal(row.utterance)
    rows = math.ceil(round(row.duration * LABEL_RATE, 6))  # as many as the waveform has
    words, spans = ([], []) if spoken is None else (list(spoken["word"]), _pairs(spoken))
    return Recording(row.utterance, rows, samples, rate, words, spans, turns)


def _turns(recording: Recording) -> np.ndarray:
    """(R, 1): 1 in the subject's turns."""
    if recording.turns is None:
        return np.ones((recording.rows, 1), np.float32)
    return (occurrences.on_grid(recording.turns, recording.rows) >= 0).astype(np.float32)[:, None]


def _counts(recording: Recording, chunked: Sequence[Span], known: Learned) -> dict[str, int]:
    return {
        "rows": recording.rows,
        "rows_with_word": int((occurrences.on_grid(recording.spans, recording.rows) >= 0).sum()),
        "rows_with_chunk": int((occurrences.on_grid(chunked, recording.rows) >= 0).sum()),
        "words": len(recording.words),
        "recordings_with_words": int(bool(recording.words)),
        "words_in_text": sum(w in known.text.index for w in recording.words),
        "words_in_speech": sum(w in known.speech.index for w in recording.words),
    }
