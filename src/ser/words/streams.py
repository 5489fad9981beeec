"""Word vectors of a target corpus's recordings on the grid of their labels: what the model `semantic` reads.

One packed store a stream and mode (papers.md 7.3), 10 rows a second, named ``<stream>-<mode>``. A row holds, in
``type_lookup_oracle``, the vector of the transcribed word's type; in ``token_aligned`` what the encoder makes of the
sound between the word's aligned ends; in ``token_unsupervised`` of half a second of speech inside the subject's turns.
`random_vectors` controls them: a random vector a word type in the first mode, a new one a segment in the others, which
then tell where somebody speaks and nothing else. ``turns`` holds 1 where the subject has the turn.

Letters: R label rows, n words, d dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from ser.corpora import manifest, sewa
from ser.store import Writer
from ser.words import alignment, mfcc, speech2vec, vectors, words
from ser.words._speech2vec import Model
from ser.words.alignment import Aligned
from ser.words.settings import GRID, MODES, STREAMS, Block
from ser.words.vectors import Vectors
from ser.words.words import Segments

Span = tuple[float, float]
Signal = Callable[[str], tuple[np.ndarray, int]]


class Learnt(NamedTuple):
    """What was learnt, as `ser.words.run` writes it."""

    text: Vectors
    speech: Vectors
    model: Model
    aligned: Aligned

    @classmethod
    def load(cls, folder: Path) -> Learnt:
        """Raises `SerError` for a folder that is missing or damaged."""
        speech, text = (vectors.load(folder / name)[0] for name in ("speech", "text"))
        return cls(text, speech, speech2vec.load(folder / "speech"), alignment.load(folder / "aligned"))


class Recording(NamedTuple):
    """What is known of one recording; `turns` None: the corpus does not say."""

    name: str
    rows: int
    samples: np.ndarray  # (N,)
    rate: int  # Hz
    words: list[str]
    spans: list[Span]  # seconds, of the words
    turns: Sequence[Span] | None


def sentences(root: Path) -> Callable[[str], list[tuple[float, float, str]]] | None:
    """Reader of a recording's sentences, where the corpus has SEWA's transcripts (papers.md 1.5); a recording without a
    transcript has none."""
    folder = Path(root) / "transcriptions"
    if not folder.is_dir():
        return None

    def read(utterance: str) -> list[tuple[float, float, str]]:
        path = folder / f"{utterance}.csv"
        return sewa.read_transcription(path) if path.exists() else []

    return read


def turns(root: Path, utterance: str) -> list[Span] | None:
    """Start and end in seconds of the subject's turns; None where the corpus does not say. Raises `SerError` naming the
    line."""
    path = Path(root) / "turns" / f"{utterance}.csv"
    return sewa.read_turns(path) if path.exists() else None


def write(
    settings: Block, learnt: Path, folder: Path, root: Path, signal: Signal, said: Segments, out: Path, device: str
) -> dict[str, Any]:
    """Writes all stores below `out` and returns how much of the recordings they cover.

    `learnt`: the folder of `ser.words.run.learn`; `folder`: the target's manifest, `root`: its files, `said`: its
    words. Raises `SerError` for a word that starts after its recording's end.
    """
    table, known = manifest.read(folder / "utterances.csv"), Learnt.load(learnt)
    by_utterance = dict(tuple(said.table.groupby("utterance")))
    card = {"kind": "feature", "feature": "words", "level": "frame", "rate": None, "frame_rate": GRID}
    card["synthetic"] = manifest.is_synthetic(table)
    counts: dict[str, int] = {"rows": 0, "rows_with_word": 0, "rows_with_chunk": 0, "words": 0}
    counts |= {"words_in_text": 0, "words_in_speech": 0, "recordings_with_words": 0}
    with ExitStack() as stack:
        names = [f"{stream}-{mode}" for stream, modes in STREAMS.items() for mode in modes]
        dim = known.text.matrix.shape[1]
        writers = {
            n: stack.enter_context(Writer(out / n, dim, "float32", {**card, "stream": n, "words_by": said.method}))
            for n in names
        }
        own = stack.enter_context(Writer(out / "turns", 1, "float32", {**card, "feature": "turns"}))
        for row in tqdm(table.itertuples(), total=len(table), desc="word streams", unit="recording", disable=None):
            recording = _recording(row, root, signal, by_utterance.get(row.utterance))
            chunked = chunks(recording, settings)
            made = streams(recording, chunked, known, settings, device)
            for name in names:
                spans = chunked if name.endswith(MODES[2]) else recording.spans
                writers[name].append(recording.name, words.stream(spans, made[name], recording.rows))
            own.append(recording.name, _turns(recording))
            for name, count in _counts(recording, chunked, known).items():
                counts[name] += count
    with_turns = bool((root / "turns").is_dir())
    return {"target": settings.target, "words_by": said.method, "recordings": len(table), "turns": with_turns, **counts}


def streams(
    recording: Recording, chunked: Sequence[Span], known: Learnt, settings: Block, device: str = "cpu"
) -> dict[str, np.ndarray]:
    """``<stream>-<mode>`` -> vectors (n, d) of the recording's words, or of its chunks."""
    lookup, aligned, unsupervised = MODES
    dim, seed = known.text.matrix.shape[1], settings.alignment.seed
    mapped = known.speech.replaced(known.aligned(known.speech.matrix))
    types = {"word2vec": known.text, "speech2vec": known.speech, "aligned": mapped}
    out = {f"{s}-{lookup}": space.look_up(recording.words, settings.oov, seed) for s, space in types.items()}
    out[f"random_vectors-{lookup}"] = vectors.directions(recording.words, dim, seed)
    for mode, spans in ((aligned, recording.spans), (unsupervised, chunked)):
        rows = _embedded(recording, spans, known.model, device)
        names = [f"{recording.name} {mode} {i}" for i in range(len(spans))]
        out[f"speech2vec-{mode}"] = rows
        out[f"aligned-{mode}"] = known.aligned(rows)
        out[f"random_vectors-{mode}"] = vectors.directions(names, dim, seed)
    return out


def chunks(recording: Recording, settings: Block) -> list[Span]:
    """Segments of speech inside the subject's turns, where no word is known."""
    regions = words.voiced(recording.samples, recording.rate, settings.words)
    return words.chunks(regions, recording.turns, settings.words)


def _embedded(recording: Recording, spans: Sequence[Span], model: Model, device: str) -> np.ndarray:
    found = list(mfcc.segments(recording.samples, recording.rate, spans, model.settings, recording.name))
    if not found:
        return np.zeros((0, model.settings.dim), np.float32)
    offsets = np.concatenate([[0], np.cumsum([len(f) for f in found])])
    nameless = ("",) * len(found)
    return speech2vec.embed(model, mfcc.Tokens(np.concatenate(found), offsets, nameless, nameless), device)


def _recording(row: Any, root: Path, signal: Signal, said: pd.DataFrame | None) -> Recording:
    samples, rate = signal(row.utterance)
    own = turns(root, row.utterance)
    rows = math.ceil(round(row.duration * GRID, 6))  # as many as the waveform has
    if said is None:
        return Recording(row.utterance, rows, samples, rate, [], [], own)
    spans = [(float(a), float(b)) for a, b in said[["start", "end"]].to_numpy()]
    return Recording(row.utterance, rows, samples, rate, list(said["word"]), spans, own)


def _turns(recording: Recording) -> np.ndarray:
    """(R, 1): 1 in the subject's turns; all of it where the corpus does not say."""
    if recording.turns is None:
        return np.ones((recording.rows, 1), np.float32)
    return (words.on_grid(recording.turns, recording.rows) >= 0).astype(np.float32)[:, None]


def _counts(recording: Recording, chunked: Sequence[Span], known: Learnt) -> Mapping[str, int]:
    return {
        "rows": recording.rows,
        "rows_with_word": int((words.on_grid(recording.spans, recording.rows) >= 0).sum()),
        "rows_with_chunk": int((words.on_grid(chunked, recording.rows) >= 0).sum()),
        "words": len(recording.words),
        "recordings_with_words": int(bool(recording.words)),
        "words_in_text": sum(w in known.text.index for w in recording.words),
        "words_in_speech": sum(w in known.speech.index for w in recording.words),
    }
