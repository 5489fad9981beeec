"""The spaces T and S and the maps between them: learned, described in numbers, and saved.

The two long trainings have checkpoints under a fingerprint of everything they depend on: a stopped one continues there,
and one with other words, vectors or settings starts again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ser.core import compute
from ser.core.caching import CHECKPOINTS, fingerprint
from ser.core.errors import SerError
from ser.core.files import digest, replacing
from ser.words import alignment, diagnostics, mfcc, speech2vec, vectors, word2vec
from ser.words.alignment import Aligned
from ser.words.config import Config
from ser.words.occurrences import Signal
from ser.words.vectors import Vectors

SHOWN = 40  # words of the figure: as many as a page can label legibly


class Spaces(NamedTuple):
    """What is learned: the vectors of T and S, the token encoder with its curve, the spoken words with their embeddings
    (W, d), and W with its controls: name -> the speech vectors that are mapped, and their map."""

    text: Vectors
    speech: Vectors
    encoder: speech2vec.Model
    curve: list[dict[str, float]]
    tokens: speech2vec.Tokens
    embeddings: np.ndarray
    maps: dict[str, tuple[Vectors, Aligned]]


def learn(
    config: Config,
    spoken: pd.DataFrame,
    signal: Signal,
    sentences: Sequence[Sequence[str]],
    device: str = "cpu",
    checkpoints: Path = CHECKPOINTS,
) -> Spaces:
    """Learns T from sentences, S from the words in `spoken` (a table of `ser.words.occurrences`), and the maps.

    `signal` gives the samples and rate of an utterance. Raises `SerError` where words or text do not suffice.
    """
    if spoken.empty:
        hint = "Give a corpus with aligned words or transcripts"
        raise SerError("the utterances to learn from contain no word", f"words: corpus {config.corpus}", hint)
    text = word2vec.train(sentences, config.word2vec)
    _check_vocabularies(spoken, text, config)
    tokens = mfcc.tokens(spoken, signal, config.speech2vec)
    path = speech2vec_path(config, tokens, device, checkpoints)
    encoder, curve = speech2vec.train(tokens, config.speech2vec, path, device)
    embeddings = speech2vec.embed(encoder, tokens, device)
    speech = speech2vec.types(tokens.words, embeddings, config.speech2vec.min_count)
    return Spaces(text, speech, encoder, curve, tokens, embeddings, _maps(config, speech, text, device, checkpoints))


def _check_vocabularies(spoken: pd.DataFrame, text: Vectors, config: Config) -> None:
    """Finds out before hours of Speech2Vec whether the alignment will have words."""
    counts, least = spoken["word"].value_counts(), config.speech2vec.min_count
    frequent = set(counts.index[counts >= least])
    if len(frequent) < 2:
        what = f"{len(frequent)} words are spoken at least {least} times"
        raise SerError(what, "speech2vec.min_count", "Give more speech or lower it")
    if not frequent & set(text.words):
        what = f"none of the {len(frequent)} words spoken at least {least} times is among the {len(text)} of the text"
        raise SerError(what, "words: texts", "Give text in the language and on the subject of the speech")


def speech2vec_path(config: Config, tokens: speech2vec.Tokens, device: str, checkpoints: Path) -> Path:
    """The checkpoint of the training of Speech2Vec on these words."""
    settings = {k: v for k, v in dataclasses.asdict(config.speech2vec).items() if k != "checkpoint_every"}
    inputs = {"frames": tokens.frames.tobytes(), "offsets": tokens.offsets.tobytes()}
    inputs["words"] = digest(tokens.words, tokens.utterances).encode()
    return _checkpoint("ser.words.speech2vec", settings | {"threads": config.threads}, inputs, device, checkpoints)


def alignment_path(config: Config, speech: Vectors, text: Vectors, device: str, checkpoints: Path) -> Path:
    """The checkpoint of the adversarial training that maps these spaces."""
    settings = dataclasses.asdict(config.alignment) | {"threads": config.threads}
    inputs = {"speech": speech.matrix.tobytes(), "text": text.matrix.tobytes()}
    return _checkpoint("ser.words.alignment", settings, inputs, device, checkpoints)


def _maps(
    config: Config, speech: Vectors, text: Vectors, device: str, checkpoints: Path
) -> dict[str, tuple[Vectors, Aligned]]:
    """W and its controls: random vectors for the words of speech, no map, and the map that knows the words."""
    options, random = config.alignment, vectors.random(speech, config.alignment.seed)

    def aligned(space: Vectors) -> Aligned:
        path = alignment_path(config, space, text, device, checkpoints)
        return alignment.align(space, text, options, path, device)

    return {
        "aligned": (speech, aligned(speech)),
        "random_vectors": (random, aligned(random)),
        "identity": (speech, alignment.identity(speech, text, options)),
        "supervised": (speech, alignment.supervised(speech, text, options)),
        "supervised_random": (random, alignment.supervised(random, text, options)),
    }


def _checkpoint(
    module: str, settings: Mapping[str, Any], inputs: Mapping[str, bytes], device: str, checkpoints: Path
) -> Path:
    name = fingerprint(module, settings=settings, inputs=inputs, device=compute.device_name(device))
    return checkpoints / "words" / f"{module.rpartition('.')[2]}-{name}.pt"


def diagnose(config: Config, spaces: Spaces, table: pd.DataFrame, topics: Mapping[str, str]) -> dict[str, Any]:
    """Sizes, how well speech is mapped, and what each space contains; all floats with six digits after the point.

    `table` is the manifest of the spoken words, `topics` (word -> topic) a gold standard where there is one.
    """
    tokens, text = spaces.tokens, spaces.text
    speaker = dict(zip(table["utterance"], table["speaker"], strict=True))
    shuffled = diagnostics.shuffled(tokens.words, [speaker[u] for u in tokens.utterances], config.speech2vec.seed)
    by_speaker = speech2vec.types(shuffled, spaces.embeddings, config.speech2vec.min_count)
    out: dict[str, Any] = {
        "spoken_words": len(tokens),
        "speech_vocabulary": len(spaces.speech),
        "text_vocabulary": len(text),
        "speech2vec_loss": [spaces.curve[0]["loss"], spaces.curve[-1]["loss"]],
        "tokens": diagnostics.same_word(spaces.embeddings, tokens.words),
        "alignment": _translated(config, spaces),
        "agreement": diagnostics.agreement(spaces.speech, text),
        "agreement_by_speaker_alone": diagnostics.agreement(by_speaker, text),
    }
    random = vectors.random(spaces.speech, config.alignment.seed)
    for name, space in (("text", text), ("speech", spaces.speech), ("random", random)):
        out[name] = {"spelling": diagnostics.spelling(space), "topics": diagnostics.purity(space, topics)}
        if config.similarities:
            out[name]["similarity"] = diagnostics.similarity(space, Path(config.similarities))
    return {name: _rounded(value) for name, value in out.items()}


def _translated(config: Config, spaces: Spaces) -> dict[str, Any]:
    """How well each map brings speech to text: measured on the words held out of every dictionary, and on all words
    that both spaces share, which is fair to the unsupervised maps only."""
    k = config.alignment.neighbours
    _, held_out = alignment.split(spaces.speech, spaces.text, config.alignment)
    shared = spaces.speech.shared(spaces.text)
    found = {}
    for name, (speech, aligned) in spaces.maps.items():
        mapped, text = aligned(speech.matrix), aligned.text(spaces.text.matrix)
        found[name] = {
            "held_out": diagnostics.translation(mapped, text, held_out, k),
            "all": diagnostics.translation(mapped, text, shared, k),
            "hubness": diagnostics.hubness(mapped, text, k),
            "criterion": aligned.history[-1]["criterion"] if aligned.history else None,
        }
    return found


def _rounded(value: Any) -> Any:
    """All floats to six digits after the point, in nested mappings and lists."""
    if isinstance(value, Mapping):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(v) for v in value]
    return round(value, 6) if isinstance(value, float) else value


def save(folder: Path, spaces: Spaces, topics: Mapping[str, str], card: Mapping[str, Any]) -> None:
    """Writes ``text/``, ``speech/``, ``aligned/`` and the arrays of the figure, ``spaces.npz``."""
    speech, aligned = spaces.maps["aligned"]
    vectors.save(folder / "text", spaces.text, {"kind": "word2vec", **card})
    vectors.save(folder / "speech", speech, {"kind": "speech2vec", **card})
    speech2vec.save(folder / "speech", spaces.encoder, {"kind": "speech2vec", **card})
    alignment.save(folder / "aligned", aligned, {"kind": "alignment", **card})
    with replacing(folder / "spaces.npz") as temporary:
        np.savez(temporary, **figure(speech, spaces.text, aligned, topics))  # type: ignore[arg-type]


def figure(speech: Vectors, text: Vectors, aligned: Aligned, topics: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Arrays of a figure: ``words`` (n,), ``speech`` and ``mapped`` (n, d) before and after the alignment, ``text``
    (n, d), of the most frequent words that both spaces share, of those with a topic where there are any."""
    shared = speech.shared(text)
    known = [pair for pair in shared if speech.words[pair[0]] in topics]
    pairs = (np.array(known, dtype=np.int64) if known else shared)[:SHOWN]
    before = aligned.speech(speech.matrix)[pairs[:, 0]]
    words = np.array([speech.words[i] for i in pairs[:, 0]])
    return {
        "words": words,
        "speech": before,
        "mapped": before @ aligned.w.T,
        "text": aligned.text(text.matrix)[pairs[:, 1]],
    }
