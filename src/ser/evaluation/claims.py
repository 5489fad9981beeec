"""What the papers claim of the form "A is better than B", and what others published under an honest protocol.

`paper_claims.csv` has one row per claim about two systems of one paper:

``paper, a, b``
    A is said to be better than B. Both are systems of `paper_results.csv`.
``places``
    Tables and figures of the paper with numbers for both. ``stated``: whether the text makes the claim also where a
    number is missing.
``names, variants``
    Pairs A:B of experiments of ours that bear on the claim beside those named as the paper's systems: the first part
    of the names of two experiments whose remaining names agree. ``fusion_stem:cnn_statistics`` is thus
    fusion_stem-emodb-speaker_independent against cnn_statistics-emodb-speaker_independent. ``names`` are the paper's
    systems under other names, ``variants`` systems of ours with the same difference between them.

`other_results.csv` has one row per number of others: what the system is, on which corpus, under which of our protocols
and with how many folds, what was chosen on what, and where the number was read. ``kind``: ``result``, which stands
beside ours on the same corpus, or ``selection``, one of a pair of numbers that shows what choosing on test is worth.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ser.evaluation.published import numbers

CLAIMS = Path(__file__).with_name("paper_claims.csv")
OTHERS = Path(__file__).with_name("other_results.csv")
METRICS = ("ua", "ccc")  # by which the papers rank their systems, and we ours


@dataclass(frozen=True)
class Printed:
    """Where a paper prints numbers of both systems. `a` and `b`: fractions or CCC; None where only the text says
    which of them is better."""

    table: str
    corpus: str
    protocol: str
    a: float | None
    b: float | None


@dataclass(frozen=True)
class Claim:
    """A is better than B, says the paper. `names` and `variants`: pairs of first parts of names of our experiments,
    that of A first."""

    paper: str
    a: str
    b: str
    printed: tuple[Printed, ...]
    names: tuple[tuple[str, str], ...]
    variants: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        return f"{self.a} > {self.b}"


@functools.cache
def claims() -> tuple[Claim, ...]:
    """All claims, in the order of `paper_claims.csv`."""
    table = pd.read_csv(CLAIMS, dtype=str, keep_default_na=False)
    made = []
    for _, row in table.iterrows():
        printed = [p for place in row["places"].split() for p in _printed(row["paper"], place, row["a"], row["b"])]
        kept = tuple(p for p in printed if row["stated"] or None not in (p.a, p.b))
        names = ((row["a"], row["b"]), *_pairs(row["names"]))
        made.append(Claim(row["paper"], row["a"], row["b"], kept, names, _pairs(row["variants"])))
    return tuple(made)


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    halves = (pair.partition(":") for pair in text.split())
    return tuple((a, b) for a, _, b in halves)


@functools.cache
def others() -> pd.DataFrame:
    """The rows of `other_results.csv`; `speaker_independent` is a boolean, `value` a fraction."""
    table = pd.read_csv(OTHERS, keep_default_na=False)
    return table.assign(speaker_independent=table["speaker_independent"] == "yes")


def _printed(paper: str, place: str, a: str, b: str) -> list[Printed]:
    """Where a table has a cell for both systems, even if one of them is empty."""
    table = numbers()
    table = table[(table["paper"] == paper) & (table["table"] == place) & table["metric"].isin(METRICS)]
    of = {name: table[table["system"] == name].set_index(["corpus", "protocol"])["value"] for name in (a, b)}
    found = []
    for corpus, protocol in of[a].index:
        if (corpus, protocol) in of[b].index:
            values = [float(of[name][corpus, protocol]) for name in (a, b)]
            found.append(Printed(place, corpus, protocol, *(None if v != v else v for v in values)))
    return found
