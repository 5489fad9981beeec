"""The semantic stream of one corpus: words, T, S, W with its controls, diagnostics and figure, as one plain function.

Outs: ``words.csv``, ``text/`` and ``speech/`` (vectors, encoder), ``aligned/`` (W) in one folder;
``diagnostics.json``, ``curve.csv``, ``spaces.png`` there or in another. Checkpoints lie elsewhere, under the hash of
everything a number depends on: a stopped run continues, a changed one starts anew."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from ser.corpora import audio, manifest
from ser.errors import SerError
from ser.files import digest, replacing, write_json
from ser.plugins import check_name
from ser.store import Store
from ser.training import memory
from ser.words import alignment, diagnostics, figures, mfcc, speech2vec, texts, vectors, word2vec, words
from ser.words._speech2vec import Model
from ser.words.alignment import Aligned
from ser.words.settings import Semantics
from ser.words.vectors import Vectors

CHECKPOINTS = Path("checkpoints")
Signal = Callable[[str], tuple[np.ndarray, int]]


@dataclasses.dataclass(frozen=True)
class Gold:
    """What diagnostics may be told: word -> topic, and a list of word similarities."""

    topics: Mapping[str, str] = dataclasses.field(default_factory=dict)
    similarities: Path | None = None


class Spaces(NamedTuple):
    """What a run learns. `maps`: variant -> speech vectors and their way to the text space."""

    text: Vectors
    speech: Vectors
    maps: dict[str, tuple[Vectors, Aligned]]


def learn(
    settings: Semantics,
    folder: Path,
    signal: Signal,
    out: Path,
    sources: Sequence[Path] = (),
    partitions: Sequence[str] = (),
    gold: Gold = Gold(),
    checkpoints: Path = CHECKPOINTS,
    device: str = "cpu",
    report: Path | None = None,
    said: words.Segments | None = None,
) -> dict[str, Any]:
    """Learns all of it, writes it to `out`, and returns the diagnostics, which go to the folder `report` where one is
    given.

    `folder` holds the manifest (utterances.csv, and words.csv where aligned); `signal` gives samples and rate of an
    utterance (`from_files`, `from_store`). `sources` are further texts (`ser.words.texts`). `partitions`: only
    these are learnt from, words and text alike; empty for all. `said`: the words of all its utterances, where they are
    known already. Raises `SerError` where words, text or sound do not suffice.
    """
    memory.keep()
    torch.set_num_threads(settings.threads)
    if device == "cpu":
        torch.use_deterministic_algorithms(True, warn_only=True)
    with threadpool_limits(settings.threads, user_api="blas"):
        return _learn(
            settings,
            Path(folder),
            signal,
            (Path(out), Path(report or out)),
            sources,
            tuple(partitions),
            gold,
            Path(checkpoints),
            device,
            said,
        )


def _learn(
    settings: Semantics,
    folder: Path,
    signal: Signal,
    outs: tuple[Path, Path],
    sources: Sequence[Path],
    partitions: tuple[str, ...],
    gold: Gold,
    checkpoints: Path,
    device: str,
    said: words.Segments | None,
) -> dict[str, Any]:
    table = _parts(manifest.read(folder / "utterances.csv"), partitions, folder)
    only = set(table["utterance"])
    found = words.segments(folder, signal, settings.words, only) if said is None else said
    found = words.Segments(found.table[found.table["utterance"].isin(only)], found.method)
    if found.table.empty:
        raise SerError("no word in what is learnt from", folder, "Give a corpus with aligned words or transcripts")
    sentences = texts.sentences([folder, *sources], settings.word2vec, only, found.table)
    text = word2vec.train(sentences, settings.word2vec)
    _check(found.table, text, settings)
    tokens = mfcc.tokens(found.table, signal, settings.speech2vec, str(folder))
    model, curve = speech2vec.train(
        tokens, settings.speech2vec, _speech_path(settings, tokens, checkpoints, device), device
    )
    embeddings = speech2vec.embed(model, tokens, device)
    speech = speech2vec.types(tokens.words, embeddings, settings.speech2vec.min_count)
    spaces = Spaces(text, speech, _maps(speech, text, settings, checkpoints, device))
    about = {"partitions": list(partitions), "words_by": found.method, "text_words": sum(map(len, sentences))}
    card = _card(table, tokens, embeddings, about, spaces, settings) | diagnose(spaces, settings, gold)
    card["speech2vec_loss"] = [curve[0]["loss"], curve[-1]["loss"]]
    card = _rounded(card)
    _write(outs, spaces, model, curve, found.table, settings, card)
    _figure(outs[1] / "spaces.png", spaces, card, gold)
    return card


def _parts(table: pd.DataFrame, partitions: tuple[str, ...], folder: Path) -> pd.DataFrame:
    """The utterances to learn from."""
    known = sorted(set(table["partition"]) - {""})
    for name in partitions:
        check_name(name, known, "partition", f"semantics.partitions, {folder}")
    return table[table["partition"].isin(partitions)] if partitions else table


def _check(found: pd.DataFrame, text: Vectors, settings: Semantics) -> None:
    """What W needs: where it lacks, this says so before hours of Speech2Vec."""
    counts, least = found["word"].value_counts(), settings.speech2vec.min_count
    spoken = set(counts.index[counts >= least])
    if len(spoken) < 2:
        hint = "Give more speech, or lower speech2vec.min_count"
        raise SerError(f"{len(spoken)} words are spoken {least} times", "speech2vec.min_count", hint)
    if not spoken & set(text.words):
        what = f"none of the {len(spoken)} words spoken {least} times is one of the {len(text)} words of the text"
        raise SerError(what, "semantics.texts", "Give text of the language and the subject of the speech")


def _card(
    table: pd.DataFrame,
    tokens: mfcc.Tokens,
    embeddings: np.ndarray,
    about: Mapping[str, Any],
    spaces: Spaces,
    settings: Semantics,
) -> dict[str, Any]:
    """What was learnt from, and what the spoken words themselves show."""
    speaker = dict(zip(table["utterance"], table["speaker"], strict=True))
    dealt = diagnostics.shuffled(tokens.words, [speaker[u] for u in tokens.utterances], settings.speech2vec.seed)
    alone = speech2vec.types(dealt, embeddings, settings.speech2vec.min_count)
    return {
        "corpus": "+".join(sorted(set(table["corpus"]))),
        "synthetic": manifest.is_synthetic(table),
        **about,
        "hours": round(float(table["duration"].sum()) / 3600, 4),
        "speakers": int(table["speaker"].nunique()),
        "spoken_words": len(tokens),
        "speech_vocabulary": len(spaces.speech),
        "text_vocabulary": len(spaces.text),
        "tokens": diagnostics.same_word(embeddings, tokens.words),
        "agreement_by_speaker_alone": diagnostics.agreement(alone, spaces.text),
    }


def from_files(table: pd.DataFrame, root: Path) -> Signal:
    """Utterances of a manifest from the corpus's own files below `root`."""
    rows = {row.utterance: row for row in table.itertuples()}

    def signal(utterance: str) -> tuple[np.ndarray, int]:
        row = rows[utterance]
        start, end = (None if pd.isna(t) else float(t) for t in (row.start, row.end))
        samples, rate, _ = audio.decode(Path(root) / row.file, start, end, rate=int(row.rate))
        return samples, rate

    return signal


def from_store(store: Store) -> Signal:
    """Utterances of a packed audio store."""
    return lambda utterance: (store.read(utterance).astype(np.float32) / audio.SCALE, int(store.card["rate"]))


def diagnose(spaces: Spaces, settings: Semantics, gold: Gold = Gold()) -> dict[str, Any]:
    """What each space holds, and how well each variant of W brings speech to text: on the words held out of every
    dictionary, and on all that both have, where only the unsupervised ones are fair."""
    shared = spaces.speech.shared(spaces.text)
    _, held_out = alignment.split(spaces.speech, spaces.text, settings.alignment)
    variants = {}
    for name, (speech, aligned) in spaces.maps.items():
        mapped, target = aligned(speech.matrix), aligned.text(spaces.text.matrix)
        k = settings.alignment.neighbours
        variants[name] = {
            "held_out": diagnostics.translation(mapped, target, held_out, k),
            "all": diagnostics.translation(mapped, target, shared, k),
            "hubness": diagnostics.hubness(mapped, target, k),
            "criterion": aligned.history[-1]["criterion"] if aligned.history else None,
        }
    out: dict[str, Any] = {"alignment": variants, "agreement": diagnostics.agreement(spaces.speech, spaces.text)}
    chance = vectors.random(spaces.speech, settings.alignment.seed)
    for name, space in (("text", spaces.text), ("speech", spaces.speech), ("random", chance)):
        out[name] = {"spelling": diagnostics.spelling(space), "topics": diagnostics.purity(space, gold.topics)}
        if gold.similarities:
            out[name]["similarity"] = diagnostics.similarity(space, gold.similarities)
    return out


def _maps(
    speech: Vectors, text: Vectors, settings: Semantics, checkpoints: Path, device: str
) -> dict[str, tuple[Vectors, Aligned]]:
    """W and its controls: random vectors for the words of speech, no map, and the map that is told the words."""
    s, chance = settings.alignment, vectors.random(speech, settings.alignment.seed)

    def aligned(space: Vectors) -> Aligned:
        name = digest(
            dataclasses.asdict(s), settings.threads, _about(device), space.matrix.tobytes(), text.matrix.tobytes()
        )
        return alignment.align(space, text, s, checkpoints / "semantics" / f"alignment-{name}.pt", device)

    return {
        "aligned": (speech, aligned(speech)),
        "random_vectors": (chance, aligned(chance)),
        "identity": (speech, alignment.identity(speech, text, s)),
        "supervised": (speech, alignment.supervised(speech, text, s)),
        "supervised_random": (chance, alignment.supervised(chance, text, s)),
    }


def _speech_path(settings: Semantics, tokens: mfcc.Tokens, checkpoints: Path, device: str) -> Path:
    numbers = {k: v for k, v in dataclasses.asdict(settings.speech2vec).items() if k != "checkpoint_every"}
    seen = tokens.frames.tobytes(), tokens.offsets.tobytes(), list(tokens.words), list(tokens.utterances)
    return checkpoints / "semantics" / f"speech2vec-{digest(numbers, settings.threads, _about(device), *seen)}.pt"


def _about(device: str) -> list[str]:
    """What else the numbers depend on: device, versions, and the source of what computes them."""
    here = Path(__file__).parent
    sources = ("speech2vec", "_speech2vec", "adversary", "csls", "alignment")
    return [device, version("torch"), version("numpy"), *[digest((here / f"{n}.py").read_bytes()) for n in sources]]


def _write(
    outs: tuple[Path, Path],
    spaces: Spaces,
    model: Model,
    curve: Sequence[Mapping[str, float]],
    table: pd.DataFrame,
    settings: Semantics,
    card: Mapping[str, Any],
) -> None:
    out, report = outs
    about = {k: card[k] for k in ("corpus", "synthetic", "partitions", "words_by")}
    with replacing(out / "words.csv") as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n", float_format="%.4f")
    vectors.save(out / "text", spaces.text, {"kind": "word2vec", **about})
    vectors.save(out / "speech", spaces.speech, {"kind": "speech2vec", **about})
    speech2vec.save(out / "speech", model, {"kind": "speech2vec", **about})
    alignment.save(out / "aligned", spaces.maps["aligned"][1], {"kind": "alignment", **about})
    write_json(report / "diagnostics.json", {**card, "settings": dataclasses.asdict(settings)})
    with replacing(report / "curve.csv") as temporary:
        pd.DataFrame(curve).round(6).to_csv(temporary, index=False, lineterminator="\n")


def _figure(path: Path, spaces: Spaces, card: Mapping[str, Any], gold: Gold) -> None:
    speech, aligned = spaces.maps["aligned"]
    share = card["alignment"]["aligned"]["all"]
    title = (
        f"{card['corpus']}{' (SYNTHETIC)' if card['synthetic'] else ''}, word times: {card['words_by']}; "
        f"precision@1 {share['precision@1'] or 0:.1%} of {share['words']} words (chance {share['chance@1']:.2%})"
    )
    pairs = figures.chosen(speech, spaces.text, gold.topics)
    figures.spaces(speech, spaces.text, aligned, path, title, pairs)


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(v) for v in value]
    return round(value, 6) if isinstance(value, float) else value
