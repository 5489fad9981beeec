"""The stage `words`: learns word vectors of text and speech from one corpus and writes word streams of another.

One folder gets ``words.csv``, ``text/`` (T), ``speech/`` (S and its encoder), ``aligned/`` (W), ``spaces.npz`` (arrays
for a figure) and ``streams/``; a second one, which git keeps, ``diagnostics.json``, ``curve.csv`` and ``streams.json``.
The two long trainings have checkpoints outside, under a fingerprint of everything they depend on: a stopped stage
continues there, and a stage with other inputs starts again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ser import compute
from ser.caching import CHECKPOINTS, fingerprint
from ser.corpora import manifest
from ser.errors import SerError
from ser.files import digest, replacing, write_json, write_text
from ser.plugins import check_name
from ser.words import alignment, diagnostics, mfcc, occurrences, speech2vec, streams, texts, vectors, word2vec
from ser.words.alignment import Aligned
from ser.words.config import GENERATED_TEXTS, Config
from ser.words.occurrences import Found
from ser.words.vectors import Vectors

SHOWN = 40  # words of the figure: as many as a page can label legibly


class Source(NamedTuple):
    """A corpus: the folder of its manifest and the folder of its files."""

    manifest: Path
    root: Path

    def table(self) -> pd.DataFrame:
        return manifest.read(self.manifest / "utterances.csv")


class Spaces(NamedTuple):
    """What is learned: the vectors of T and S, the token encoder with its curve, the spoken words with their embeddings
    (W, d), and W with its controls: name -> the speech vectors that are mapped, and their map."""

    text: Vectors
    speech: Vectors
    encoder: speech2vec.Model
    curve: list[dict[str, float]]
    tokens: mfcc.Tokens
    embeddings: np.ndarray
    maps: dict[str, tuple[Vectors, Aligned]]


def make(
    config: Config,
    corpus: Source,
    target: Source,
    out: Path,
    report: Path,
    device: str = "auto",
    checkpoints: Path = CHECKPOINTS,
) -> dict[str, Any]:
    """Does the whole stage: everything that it learns and the streams go to `out`, what it reports to `report`.

    Returns the diagnostics, with the coverage of the streams under ``streams``. Raises `SerError` where words, text or
    sound do not suffice.
    """
    device = compute.device(device)
    if device == "cpu":
        compute.deterministic()
    table, recordings = corpus.table(), target.table()
    _check(config, table)
    table = table[table["partition"].isin(config.partitions)] if config.partitions else table
    only = set(table["utterance"])
    with compute.threads(config.threads):
        heard, signal = occurrences.signals(recordings, target.root), occurrences.signals(table, corpus.root)
        spoken = occurrences.find(target.manifest, heard, config.occurrences)
        if config.corpus == config.target:
            found = spoken.of(only)
        else:
            found = occurrences.find(corpus.manifest, signal, config.occurrences, only)
        if found.table.empty:
            hint = "Give a corpus with aligned words or transcripts"
            raise SerError("the utterances to learn from contain no word", corpus.manifest, hint)
        train = set(recordings.loc[recordings["partition"] == "train", "utterance"])
        sources = [corpus.manifest, *(_text(name, out, spoken.of(train)) for name in config.texts)]
        sentences = texts.sentences(sources, config.word2vec, only, found.table)
        spaces = learn(config, found.table, signal, sentences, device, checkpoints)
        topics = texts.synthetic_topics() if manifest.is_synthetic(table) else {}
        sizes = {"words_by": found.method, "text_words": sum(map(len, sentences))}
        card = _rounded({**_about(config, table), **sizes, **_diagnosed(config, table, spaces, topics)})
        _write(config, spaces, found.table, topics, card, out, report)
        if not config.streams:
            return card
        coverage = streams.write(config, out, target.manifest, heard, spoken, out / "streams", device)
    write_json(report / "streams.json", coverage)
    return {**card, "streams": coverage}


def learn(
    config: Config,
    spoken: pd.DataFrame,
    signal: occurrences.Signal,
    sentences: Sequence[Sequence[str]],
    device: str = "cpu",
    checkpoints: Path = CHECKPOINTS,
) -> Spaces:
    """Learns T from sentences, S from the words in `spoken` (a table of `ser.words.occurrences`), and the maps.

    `signal` gives the samples and rate of an utterance. Raises `SerError` where words or text do not suffice.
    """
    text = word2vec.train(sentences, config.word2vec)
    _check_vocabularies(spoken, text, config)
    tokens = mfcc.tokens(spoken, signal, config.speech2vec)
    path = _speech2vec_path(config, tokens, device, checkpoints)
    encoder, curve = speech2vec.train(tokens, config.speech2vec, path, device)
    embeddings = speech2vec.embed(encoder, tokens, device)
    speech = speech2vec.types(tokens.words, embeddings, config.speech2vec.min_count)
    return Spaces(text, speech, encoder, curve, tokens, embeddings, _maps(config, speech, text, device, checkpoints))


def summary(card: Mapping[str, Any]) -> str:
    """One line for a log."""
    first, coverage = card["alignment"]["aligned"]["all"], card.get("streams")
    covered = "no streams"
    if coverage:
        covered = f"words in {coverage['recordings_with_words']} of {coverage['recordings']} recordings of"
        covered += f" {coverage['target']}"
    return (
        f"{card['spoken_words']} spoken words in {card['hours']:.2f} h of {card['corpus']}"
        + (" (SYNTHETIC)" if card["synthetic"] else "")
        + f": {first['words']} words in speech and text, precision@1 of the alignment {first['precision@1'] or 0:.3f} "
        + f"(chance {first['chance@1']:.4f}); {covered}"
    )


def _check(config: Config, table: pd.DataFrame) -> None:
    """Finds out before hours of training whether the names of partitions and files are right."""
    for name in config.partitions:
        check_name(name, sorted(set(table["partition"]) - {""}), "partition", f"words: partitions of {config.corpus}")
    for name in config.texts:
        if name not in GENERATED_TEXTS and ((Path(name) / "utterances.csv").exists() or not Path(name).exists()):
            hint = f"Name {', '.join(GENERATED_TEXTS)}, a text file or a folder of articles"
            raise SerError("no such text", name, hint)
    if config.similarities:
        diagnostics.similarities(Path(config.similarities))


def _text(name: str, out: Path, spoken: Found) -> Path:
    """The file or folder of a further text. Generated ones are written to `out`; `spoken`: the words in the train part
    of the target, of which every recording is one sentence."""
    path = out / f"{name}.txt"
    if name == "synthetic":
        texts.write_synthetic(path)
    elif name == "target":
        rows = spoken.table.groupby("utterance", sort=True)["word"]
        write_text(path, "".join(" ".join(words) + "\n" for _, words in rows))
    return path if name in GENERATED_TEXTS else Path(name)


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


def _speech2vec_path(config: Config, tokens: mfcc.Tokens, device: str, checkpoints: Path) -> Path:
    settings = {k: v for k, v in dataclasses.asdict(config.speech2vec).items() if k != "checkpoint_every"}
    inputs = {"frames": tokens.frames.tobytes(), "offsets": tokens.offsets.tobytes()}
    inputs["words"] = digest(tokens.words, tokens.utterances).encode()
    return _checkpoint("ser.words.speech2vec", settings | {"threads": config.threads}, inputs, device, checkpoints)


def _maps(
    config: Config, speech: Vectors, text: Vectors, device: str, checkpoints: Path
) -> dict[str, tuple[Vectors, Aligned]]:
    """W and its controls: random vectors for the words of speech, no map, and the map that knows the words."""
    options, random = config.alignment, vectors.random(speech, config.alignment.seed)
    settings = dataclasses.asdict(options) | {"threads": config.threads}

    def aligned(space: Vectors) -> Aligned:
        inputs = {"speech": space.matrix.tobytes(), "text": text.matrix.tobytes()}
        path = _checkpoint("ser.words.alignment", settings, inputs, device, checkpoints)
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


def _about(config: Config, table: pd.DataFrame) -> dict[str, Any]:
    """What the spaces are learned from."""
    return {
        "corpus": "+".join(sorted(set(table["corpus"]))),
        "synthetic": manifest.is_synthetic(table),
        "partitions": list(config.partitions),
        "hours": round(float(table["duration"].sum()) / 3600, 4),
        "speakers": int(table["speaker"].nunique()),
    }


def _diagnosed(config: Config, table: pd.DataFrame, spaces: Spaces, topics: Mapping[str, str]) -> dict[str, Any]:
    """Sizes, and what each space contains: the spoken words, the types of speech and text, and random vectors."""
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
    return out


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


def _write(
    config: Config,
    spaces: Spaces,
    spoken: pd.DataFrame,
    topics: Mapping[str, str],
    card: Mapping[str, Any],
    out: Path,
    report: Path,
) -> None:
    about = {k: card[k] for k in ("corpus", "synthetic", "partitions", "words_by")}
    speech, aligned = spaces.maps["aligned"]
    with replacing(out / "words.csv") as temporary:
        spoken.to_csv(temporary, index=False, lineterminator="\n", float_format="%.4f")
    vectors.save(out / "text", spaces.text, {"kind": "word2vec", **about})
    vectors.save(out / "speech", speech, {"kind": "speech2vec", **about})
    speech2vec.save(out / "speech", spaces.encoder, {"kind": "speech2vec", **about})
    alignment.save(out / "aligned", aligned, {"kind": "alignment", **about})
    with replacing(out / "spaces.npz") as temporary:
        np.savez(temporary, **figure(speech, spaces.text, aligned, topics))  # type: ignore[arg-type]
    write_json(report / "diagnostics.json", {**card, "settings": dataclasses.asdict(config)})
    with replacing(report / "curve.csv") as temporary:
        pd.DataFrame(spaces.curve).round(6).to_csv(temporary, index=False, lineterminator="\n")


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


def _rounded(value: Any) -> Any:
    """All floats to six digits after the point, in nested mappings and lists."""
    if isinstance(value, Mapping):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(v) for v in value]
    return round(value, 6) if isinstance(value, float) else value
