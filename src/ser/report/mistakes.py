"""What each mistake is worth: pairs of experiments of ours that differ in one mistake, as a table and a figure in
``docs/mistakes.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ser.evaluation.results import Result, Score
from ser.report.tables import Table, number


class Pair(NamedTuple):
    """Two experiments of one study: without the mistake, and with it. A row of ``mistakes.csv``."""

    mistake: str
    system: str
    study: str
    honest: str
    mistaken: str


HEADER = ("system", "mistake", "corpus", "UA without it", "UA with it", "worth", "chance", "seeds")
LEFT, SCALE, ROW, TOP = 330, 420, 26, 46  # px of the figure: start of the axis, its length, a row, the first row


@cache
def pairs_of_experiments() -> tuple[Pair, ...]:
    """The rows of ``mistakes.csv``."""
    table = pd.read_csv(Path(__file__).with_name("mistakes.csv"), dtype=str)
    return tuple(Pair(*row) for row in table.itertuples(index=False))


def contents(found: Mapping[str, Mapping[str, Result]]) -> dict[str, Any]:
    """What the page and the figure show of results by study and experiment; a pair needs both of its results."""
    pairs = [
        (pair, own[pair.honest], own[pair.mistaken])
        for pair in pairs_of_experiments()
        if (own := found.get(pair.study, {})) and pair.honest in own and pair.mistaken in own
    ]
    body = [_row(*each) for each in pairs]
    shown = [pair for pair, *_ in pairs]
    missing = [f"{p.mistake}: {p.system} on {p.study}" for p in pairs_of_experiments() if p not in shown]
    heads = [i for i, (pair, *_) in enumerate(pairs) if i == 0 or pairs[i - 1][0].mistake != pair.mistake]
    places = [TOP + ROW * (i + sum(head <= i for head in heads)) for i in range(len(pairs))]
    marks = [_mark(y, *each) for y, each in zip(places, pairs, strict=True)]
    grid = [(LEFT + round(SCALE * k / 5), f"{k / 5:.1f}") for k in range(6)]
    return {
        "table": Table("", HEADER, body),
        "missing": missing,
        "marks": marks,
        "grid": grid,
        "width": LEFT + SCALE + 70,
        "bottom": TOP + ROW * (len(pairs) + len(heads)),
    }


def _row(pair: Pair, honest: Result, mistaken: Result) -> list[str]:
    a, b = honest.scores["ua"], mistaken.scores["ua"]
    about = honest.description
    seeds = sorted({len(honest.description.seeds), len(mistaken.description.seeds)})
    return [
        pair.system,
        pair.mistake,
        _corpus(honest),
        _with_interval(a),
        _with_interval(b),
        "-" if a.value is None or b.value is None else f"{b.value - a.value:+.3f}",
        number(1 / len(about.labels) if about.labels else None),
        " and ".join(map(str, seeds)),
    ]


def _corpus(result: Result) -> str:
    about = result.description
    return f"{about.corpus}, SYNTHETIC" if about.synthetic else str(about.corpus)


def _with_interval(score: Score) -> str:
    return f"{number(score.value)} [{number(score.low)}, {number(score.high)}]"


def _mark(y: int, pair: Pair, honest: Result, mistaken: Result) -> dict[str, Any]:
    """A line of the figure: its place in px, and the two values."""
    values = [r.scores["ua"].value or 0.0 for r in (honest, mistaken)]
    return {
        "y": y,
        "label": f"{pair.system}, {_corpus(honest)}",
        "mistake": pair.mistake,
        "honest": LEFT + round(SCALE * values[0]),
        "mistaken": LEFT + round(SCALE * values[1]),
        "worth": f"{values[1] - values[0]:+.2f}",
    }
