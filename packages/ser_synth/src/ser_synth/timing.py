"""Word intervals from the synthesizer's events: exactly one interval per token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ser_synth.errors import SynthError

Interval = tuple[int, int]


@dataclass(frozen=True)
class Event:
    """A word or phone that begins at `sample`; `position` is its character in the text, `phone` is "" for a pause."""

    word: bool
    sample: int
    position: int
    phone: str = ""


def phone_intervals(events: Sequence[Event], total: int, pauses: bool = False) -> list[Interval]:
    """Samples [start, end) of every phone, or with `pauses` of every pause; a pause ends the phone before it."""
    phones = [e for e in events if not e.word]
    ends = [e.sample for e in phones[1:]] + [total]
    intervals = zip(phones, ends, strict=True)
    return [(e.sample, end) for e, end in intervals if bool(e.phone) != pauses and end > e.sample]


def word_intervals(
    events: Sequence[Event], spans: Sequence[Interval], total: int, phones_alone: Callable[[int], int]
) -> list[Interval]:
    """Samples [start, end) of every token.

    `spans` gives the characters [start, end) of each token in the text, `total` the number of samples. Frequent pairs
    ("of the", "I am") share one word event. Such a group is divided at the phone boundary that ``phones_alone(token)``
    gives, the number of phones of each token when it is spoken alone. Raises `SynthError` when the events do not cover
    every token (the library loses events in very long sentences).
    """
    onsets = _onsets(events, spans)
    if not onsets:
        raise SynthError(f"the synthesizer reported no word in {len(spans)} tokens", None, "Shorten the sentence")
    phones, pauses = phone_intervals(events, total), phone_intervals(events, total, pauses=True)
    leaders = sorted(onsets)
    first = [0, *leaders[1:]]  # what comes before the first reported word belongs to its group
    result: list[Interval] = []
    for k, token in enumerate(leaders):
        following = k + 1 < len(leaders)
        onset, until = onsets[token], onsets[leaders[k + 1]] if following else total
        members = range(first[k], first[k + 1] if following else len(spans))
        own = [p for p in phones if onset <= p[0] < until]
        if len(own) < len(members):
            raise SynthError(
                f"the synthesizer lost a word near token {token} of {len(spans)}", None, "Shorten the sentence"
            )
        if any(a < onset < b for a, b in pauses):  # "many a": the glide between two vowels has no phone but is audible
            own[0] = onset, own[0][1]
        edges = _edges([phones_alone(i) for i in members], len(own)) if len(members) > 1 else [0, len(own)]
        result += [(own[a][0], own[b - 1][1]) for a, b in pairwise(edges)]
    return result


def _onsets(events: Sequence[Event], spans: Sequence[Interval]) -> dict[int, int]:
    starts = np.array([a for a, _ in spans])
    onsets: dict[int, int] = {}
    for event in events:
        token = int(np.searchsorted(starts, event.position, side="right")) - 1
        if event.word and token >= 0 and event.position < spans[token][1]:
            onsets.setdefault(token, event.sample)
    return onsets


def _edges(weights: Sequence[int], n: int) -> list[int]:
    """Divides n phones into len(weights) pieces in proportion to the weights; no piece is empty."""
    share = np.cumsum(weights) / sum(weights)
    edges = [0]
    for k, s in enumerate(share):
        left = len(share) - 1 - k
        edges.append(int(np.clip(round(s * n), edges[-1] + 1, n - left)))
    return edges
