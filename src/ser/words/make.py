"""The stage `words`: learns word vectors of text and speech from one corpus and writes word streams of another.

One folder gets ``words.csv``, ``text/`` (T), ``speech/`` (S and its encoder), ``aligned/`` (W), ``spaces.npz`` (arrays
for a figure) and ``streams/``; a second one, which git keeps, ``diagnostics.json``, ``curve.csv`` and ``streams.json``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ser.core import compute
from ser.core.caching import CHECKPOINTS
from ser.core.errors import SerError
from ser.core.files import guarded, replacing, write_json, write_text
from ser.core.plugins import check_name
from ser.corpora import manifest
from ser.words import diagnostics, occurrences, streams, texts
from ser.words.config import GENERATED_TEXTS, Config
from ser.words.occurrences import Found, signals
from ser.words.spaces import Spaces, diagnose, learn, save


class Source(NamedTuple):
    """A corpus: the folder of its manifest and the folder of its files."""

    manifest: Path
    root: Path

    def table(self) -> pd.DataFrame:
        return manifest.read(self.manifest / "utterances.csv")


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
    topics = texts.synthetic_topics() if manifest.is_synthetic(table) else {}
    signal, target_signal = signals(table, corpus.root), signals(recordings, target.root)
    with compute.threads(config.threads):
        in_target = occurrences.find(target.manifest, target_signal, config.occurrences)
        if config.corpus == config.target:
            found = in_target.of(set(table["utterance"]))
        else:
            found = occurrences.find(corpus.manifest, signal, config.occurrences, set(table["utterance"]))
        train = recordings.loc[recordings["partition"] == "train", "utterance"]
        sentences = _sentences(config, corpus, table, found, in_target.of(set(train)), out)
        spaces = learn(config, found.table, signal, sentences, device, checkpoints)
        sizes = {"words_by": found.method, "text_words": sum(map(len, sentences))}
        card = {**_about(config, table), **sizes, **diagnose(config, spaces, table, topics)}
        _write(config, spaces, found.table, topics, card, out, report)
        if not config.streams:
            return card
        coverage = streams.write(config, out, target.manifest, target_signal, in_target, out / "streams", device)
    write_json(report / "streams.json", coverage)
    return {**card, "streams": coverage}


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
    if config.word2vec.vectors and not Path(config.word2vec.vectors).is_file():
        raise SerError("no such file of word vectors", config.word2vec.vectors, "Give its path in word2vec.vectors")
    if config.similarities:
        diagnostics.similarities(Path(config.similarities))


def _sentences(
    config: Config, corpus: Source, table: pd.DataFrame, spoken: Found, in_target: Found, out: Path
) -> list[list[str]]:
    """The sentences of the utterances in `table` and of all further texts, of which generated ones are written to
    `out`. `spoken` are the words in these utterances, `in_target` those in the train part of the target, of which every
    recording is one sentence."""
    sources = [corpus.manifest]
    for name in config.texts:
        path = out / f"{name}.txt"
        if name == "synthetic":
            texts.write_synthetic(path)
        elif name == "target":
            recordings = in_target.table.groupby("utterance", sort=True)["word"]
            write_text(path, "".join(" ".join(words) + "\n" for _, words in recordings))
        sources.append(path if name in GENERATED_TEXTS else Path(name))
    return texts.sentences(sources, config.word2vec, set(table["utterance"]), spoken.table)


def _about(config: Config, table: pd.DataFrame) -> dict[str, Any]:
    """What the spaces are learned from."""
    return {
        "corpus": "+".join(sorted(set(table["corpus"]))),
        "synthetic": manifest.is_synthetic(table),
        "partitions": list(config.partitions),
        "hours": round(float(table["duration"].sum()) / 3600, 4),
        "speakers": int(table["speaker"].nunique()),
    }


def _write(
    config: Config,
    spaces: Spaces,
    spoken: pd.DataFrame,
    topics: Mapping[str, str],
    card: Mapping[str, Any],
    out: Path,
    report: Path,
) -> None:
    with replacing(out / "words.csv") as temporary:
        guarded(spoken).to_csv(temporary, index=False, lineterminator="\n", float_format="%.4f")
    save(out, spaces, topics, {k: card[k] for k in ("corpus", "synthetic", "partitions", "words_by")})
    write_json(report / "diagnostics.json", {**card, "settings": dataclasses.asdict(config)})
    with replacing(report / "curve.csv") as temporary:
        pd.DataFrame(spaces.curve).round(6).to_csv(temporary, index=False, lineterminator="\n")
