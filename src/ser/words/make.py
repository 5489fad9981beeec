"""The stage `semantics`: learns the spaces from one corpus and writes the word streams of another, as plain Python."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from ser.corpora import manifest
from ser.errors import SerError
from ser.files import write_json, write_text
from ser.words import diagnostics, run, streams, texts, words
from ser.words.settings import MADE, Block
from ser.words.words import Segments


class Source(NamedTuple):
    """A corpus: the folder of its manifest, and that of its files."""

    folder: Path
    root: Path


def make(
    settings: Block,
    corpus: Source,
    target: Source,
    out: Path,
    report: Path,
    device: str = "auto",
    checkpoints: Path = run.CHECKPOINTS,
) -> dict[str, Any]:
    """Writes vectors, encoder, map and, if asked for, ``streams/`` to `out`; ``diagnostics.json``, ``streams.json``,
    ``curve.csv`` and ``spaces.png`` to `report`; returns the diagnostics.

    Raises `SerError` where words, text or sound do not suffice.
    """
    out, device = Path(out), _device(device)
    table, theirs = (manifest.read(s.folder / "utterances.csv") for s in (corpus, target))
    signal = run.from_files(theirs, target.root)
    similarities = Path(settings.similarities) if settings.similarities else None
    _check(settings, target.root, theirs["utterance"], similarities)
    said = words.segments(target.folder, signal, settings.words, sentences=streams.sentences(target.root))
    gold = run.Gold(texts.synthetic_topics() if manifest.is_synthetic(table) else {}, similarities)
    train = set(theirs.loc[theirs["partition"] == "train", "utterance"])
    further = [_text(name, out, said, train) for name in settings.texts]
    own = run.from_files(table, corpus.root)
    card = run.learn(
        settings,
        corpus.folder,
        own,
        out,
        further,
        settings.partitions,
        gold,
        checkpoints,
        device,
        report,
        said if settings.corpus == settings.target else None,  # its transcripts, too, where it brings no alignment
    )
    if not settings.streams:
        return card
    cover = streams.write(settings, out, target.folder, target.root, signal, said, out / "streams", device)
    write_json(report / "streams.json", cover)
    return {**card, "streams": cover}


def _check(settings: Block, root: Path, utterances: Iterable[str], similarities: Path | None) -> None:
    """Every file that is read after hours of learning can be read."""
    for name in settings.texts:
        if name not in MADE and ((Path(name) / "utterances.csv").exists() or not Path(name).exists()):
            raise SerError("no such text", name, f"Name {', '.join(MADE)}, a text file or a folder of articles")
    if similarities:
        diagnostics.similarities(similarities)
    for utterance in utterances:
        streams.turns(root, utterance)


def summary(card: dict[str, Any]) -> str:
    """One line for a log."""
    first, cover = card["alignment"]["aligned"]["all"], card.get("streams")
    said = "no streams"
    if cover:
        said = f"words in {cover['recordings_with_words']} of {cover['recordings']} recordings of {cover['target']}"
    return (
        f"{card['spoken_words']} spoken words of {card['hours']:.2f} h of {card['corpus']}"
        + (" (SYNTHETIC)" if card["synthetic"] else "")
        + f": {first['words']} words in speech and text, precision@1 of the alignment {first['precision@1'] or 0:.3f} "
        + f"(chance {first['chance@1']:.4f}); {said}"
    )


def _text(name: str, out: Path, said: Segments, train: set[str]) -> Path:
    """The file or folder of a further text; those that are made are written to `out`."""
    if name == "synthetic":
        texts.synthetic(out / "synthetic.txt")
        return out / "synthetic.txt"
    if name == "target":  # a recording a sentence, of its train part alone
        rows = said.table[said.table["utterance"].isin(train)].groupby("utterance", sort=True)["word"]
        write_text(out / "target.txt", "".join(" ".join(spoken) + "\n" for _, spoken in rows))
        return out / "target.txt"
    return Path(name)


def _device(asked: str) -> str:
    import torch

    there = torch.cuda.is_available()
    if asked == "cuda" and not there:
        raise SerError("no CUDA device here", "run.device", "Set run.device: auto or cpu")
    return "cuda" if there and asked != "cpu" else "cpu"
