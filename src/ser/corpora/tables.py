"""The tables of a corpus, from what its reader yields; `ser.corpora.packing` writes them.

``labels``     utterance, row, one column per dimension; row k is the label at k / LABEL_RATE seconds
``words``      utterance, start, end, word
``turns``      utterance, start, end: when the labelled speaker has the turn
``sentences``  utterance, start, end, text

Times are seconds from the start of the utterance.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ser.core.errors import SerError
from ser.corpora import Card, Utterance, manifest
from ser.corpora.reading import ID

if TYPE_CHECKING:
    from ser.corpora.location import Location

_READ = ("file", "start", "end", "speaker", "sex", "session", "dialogue", "partition", "emotion", "text_id", "labels")
_TIMED = {"words": ("start", "end", "word"), "turns": ("start", "end"), "sentences": ("start", "end", "text")}
_STEP = 1 / manifest.LABEL_RATE  # seconds between two labels: models count rows, not times
_TOLERANCE = 0.001  # seconds that a label may be off its place; ours: files round times to milliseconds
_OVERHANG = 1.0  # seconds that labels may outlast the audio; ours: annotation tools end on their own clock
_SHOWN = 3  # wrong counts named in the message; the rest are counted


def card(module: Any, config: Any) -> Card:
    """The card of a corpus under these options of its reader."""
    return module.expected(config) if hasattr(module, "expected") else module.CARD


def utterances(module: Any, location: Location, config: Any) -> list[Utterance]:
    """What the reader finds, sorted by id.

    Raises `SerError` for an empty corpus, for ids that are unsafe or not unique, and for wrong counts of a real corpus.
    """
    found = sorted(module.utterances(location.root, config), key=lambda u: u.id)
    if not found:
        raise SerError(f"no utterance of {module.CARD.name}", location.root, module.CARD.steps)
    _check_ids(found, location.root)
    if not location.synthetic:
        config = module.lacking(found, config) if hasattr(module, "lacking") else config
        check_counts(card(module, config), pd.DataFrame(map(vars, found)), location.root)
    return found


def manifest_of(
    corpus: str, utterances: Sequence[Utterance], facts: Sequence[dict[str, Any]], synthetic: bool
) -> pd.DataFrame:
    """The manifest: one row per utterance, from the reader and from the decoded samples (`facts`, in the same
    order)."""
    return frame([row(corpus, u, decoded, synthetic) for u, decoded in zip(utterances, facts, strict=True)])


def row(corpus: str, utterance: Utterance, decoded: dict[str, Any], synthetic: bool) -> dict[str, Any]:
    """One row of a manifest."""
    return {
        "utterance": utterance.id,
        "corpus": corpus,
        "synthetic": int(synthetic),
        "text": " ".join(utterance.text.split()),
        **{name: getattr(utterance, name) for name in _READ},
        **decoded,
    }


def frame(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """The manifest of these rows."""
    return pd.DataFrame(list(rows), columns=list(manifest.COLUMNS)).astype({"start": float, "end": float})


def outputs(card: Card, table: pd.DataFrame) -> list[str]:
    """The dimensions, or the classes that occur: in the order of the card, or (a user's own table) sorted."""
    if card.task == "continuous":
        return list(card.dimensions)
    found = set(table["emotion"]) - {""}
    return [c for c in card.classes if c in found] or sorted(found)


def labels(module: Any, config: Any, root: Path, table: pd.DataFrame) -> pd.DataFrame:
    """The continuous labels of all utterances that have some; raises `SerError` for times off the grid."""
    dimensions, found = card(module, config).dimensions, []
    for row in table[table["labels"] != ""].itertuples():
        times, values = module.read_labels(root / row.labels, config)
        _check_times(times, row.duration, root / row.labels)
        one = pd.DataFrame(values, columns=list(dimensions))
        one.insert(0, "row", range(len(one)))
        one.insert(0, "utterance", row.utterance)
        found.append(one)
    columns = ["utterance", "row", *dimensions]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=columns)


def timed(module: Any, root: Path, utterances: Sequence[Utterance]) -> dict[str, pd.DataFrame]:
    """The tables of words, turns and sentences, those of them that the corpus module has a function for."""
    found = {}
    for name, columns in _TIMED.items():
        if hasattr(module, name):
            spans = getattr(module, name)(root, utterances)
            rows = [(utterance, *_values(span)) for utterance, of_one in spans for span in of_one]
            found[name] = pd.DataFrame(rows, columns=["utterance", *columns])
    return found


def _values(span: Any) -> tuple[Any, ...]:
    return dataclasses.astuple(span) if dataclasses.is_dataclass(span) else tuple(span)  # type: ignore[arg-type]


def check_counts(card: Card, table: pd.DataFrame, where: object) -> None:
    """Compares the counts of a corpus per class (per partition where labels are continuous), per speaker and in all
    with those of its card (papers.md, section 1).

    `table` has columns emotion, partition and speaker. What the card does not state is not compared. Raises `SerError`
    that names the first counts that differ, what was expected and what was found.
    """
    wrong = [f"{cell}: expected {want}, found {got}" for cell, want, got in _counts(card, table) if want != got]
    if wrong:
        more = f" (and {len(wrong) - _SHOWN} more)" if len(wrong) > _SHOWN else ""
        hint = f"Get a complete copy: {card.steps}" if card.steps else None
        raise SerError(f"not the counts of {card.title}: {'; '.join(wrong[:_SHOWN])}{more}", where, hint)


def _counts(card: Card, table: pd.DataFrame) -> Iterator[tuple[str, int, int]]:
    """What is counted, the card's number and the number found."""
    by_class = table["partition" if card.task == "continuous" else "emotion"]
    for speaker, row in card.counts_by_speaker.items():
        own = by_class[table["speaker"] == speaker]
        for name, want in row.items():
            yield f"speaker {speaker}, {name}", want, int((own == name).sum())
    for name, want in card.counts.items():
        yield name, want, int((by_class == name).sum())
    if card.counts:
        for name in sorted(set(by_class) - set(card.counts)):
            yield repr(name), 0, int((by_class == name).sum())
    if card.speakers is not None:
        yield "speakers", card.speakers, int(table["speaker"].nunique())
    if card.utterances is not None:
        yield "utterances", card.utterances, len(table)


def _check_ids(utterances: Iterable[Utterance], root: Path) -> None:
    previous = ""
    for utterance in utterances:
        if not ID.fullmatch(utterance.id):
            what = f"utterance id {utterance.id!r} is not safe in a CSV or a file name"
            raise SerError(what, root, "Use letters, digits, _ . + -")
        if utterance.id == previous:
            raise SerError(f"two utterances have the id {utterance.id!r}", root, "Give every utterance its own id")
        previous = utterance.id


def _check_times(times: np.ndarray, duration: float, path: Path) -> None:
    """Later stages take row k for the label at k / LABEL_RATE, so the times (T,) must be that grid. There may be fewer
    rows than the audio lasts."""
    hint = f"Write one label every {_STEP:g} s, from the start of the audio"
    if not -_TOLERANCE <= times[0] <= _STEP + _TOLERANCE:
        raise SerError(f"the labels start at {times[0]:g} s (row 1), not within the first {_STEP:g} s", path, hint)
    expected = times[0] + _STEP * np.arange(len(times))
    wrong = np.flatnonzero(np.abs(times - expected) > _TOLERANCE + 1e-9)  # 1e-9: rounding of the sums
    if wrong.size:
        k = wrong[0]
        raise SerError(f"label row {k + 1} is at {times[k]:g} s, expected {expected[k]:g} s", path, hint)
    if times[-1] > duration + _OVERHANG:
        what = f"the labels last to {times[-1]:g} s (row {len(times)}), their audio {duration:g} s"
        raise SerError(what, path, "Check that they belong to this recording")
