"""Counts of a corpus as read against those of its card (papers.md, section 1)."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from ser.corpora import Card
from ser.errors import SerError

_SHOWN = 3  # faulty cells named in the message; the rest are counted


def check_counts(card: Card, table: pd.DataFrame, where: object) -> None:
    """Compares counts per class (per partition where labels are continuous), per speaker and in all.

    `table` has columns emotion, partition and speaker. Counts the card does not state are not asserted.
    Raises `SerError` naming the first cells that differ, what was expected and what was found.
    """
    wrong = [f"{cell}: expected {want}, found {got}" for cell, want, got in _cells(card, table) if want != got]
    if wrong:
        more = f" (and {len(wrong) - _SHOWN} more)" if len(wrong) > _SHOWN else ""
        hint = f"Get a complete copy: {card.steps}" if card.steps else None
        raise SerError(f"not the counts of {card.title}: {'; '.join(wrong[:_SHOWN])}{more}", where, hint)


def _cells(card: Card, table: pd.DataFrame) -> Iterator[tuple[str, int, int]]:
    by_class = table["partition" if card.task == "continuous" else "emotion"]
    for speaker, row in card.counts_by_speaker.items():
        mine = by_class[table["speaker"] == speaker]
        for name, want in row.items():
            yield f"speaker {speaker}, {name}", want, int((mine == name).sum())
    for name, want in card.counts.items():
        yield name, want, int((by_class == name).sum())
    if card.counts:
        for name in sorted(set(by_class) - set(card.counts)):
            yield repr(name), 0, int((by_class == name).sum())
    if card.speakers is not None:
        yield "speakers", card.speakers, int(table["speaker"].nunique())
    if card.utterances is not None:
        yield "utterances", card.utterances, len(table)
