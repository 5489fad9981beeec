"""What the papers print: `paper_results.csv`, one row per number, in our names and units.

Columns of the file:

``kind``
    ``own``: a result of the paper itself. ``class``: the same by class. ``confusion``: a cell of a printed matrix, the
    share of a class that is predicted as another. ``loss``: a final loss that the text states. ``cited``: quoted by
    the paper from others, which is context only. ``repeated``: printed a second time, such as the paper's own row in a
    table of others. The rest is kept for reference: ``recomputed`` (what follows from other numbers of the paper),
    ``bound`` and ``fragment`` (statements of the text), ``count`` (utterances of a corpus).
``paper, table, system, corpus, protocol, metric, label``
    Where the number is printed and what it is; `label` is a class or a mean over classes.
``value, unit``
    As printed. Empty where the table has an empty cell.
``flag``
    Why the number contradicts others of the same paper: no target to be held to.
``same_as``
    TABLE.SYSTEM of the system that the row is about, where it stands under another name or in another table as well:
    an experiment that answers to that row answers to this one.

papers.md 8 has the number of rows of each kind; `tests/report/test_published.py` counts them.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ser.core.errors import SerError
from ser.core.plugins import check_name

RESULTS = Path(__file__).with_name("paper_results.csv")
RESULTS_KINDS = ("own", "repeated", "cited")  # what an experiment may reproduce
LEDGER_KINDS = ("own", "class", "confusion", "loss", "cited")  # what the ledger lists
MEANS = ("weighted", "unweighted", "overall")  # rows of a table by class that are means of its classes


@dataclass(frozen=True)
class Paper:
    title: str
    authors: str
    venue: str
    year: int


PAPERS = {
    "fusion_convbert": Paper(
        "Fusion-ConvBERT: Parallel Convolution and BERT Fusion for Speech Emotion Recognition",
        "Sanghyun Lee, David K. Han, Hanseok Ko",
        "Sensors",
        2020,
    ),
    "autoencoder_emotion_embedding": Paper(
        "Autoencoder With Emotion Embedding for Speech Emotion Recognition",
        "Chenghao Zhang, Lei Xue",
        "IEEE Access",
        2021,
    ),
    "clstm": Paper(
        "CLSTM: Deep Feature-Based Speech Emotion Recognition Using the Hierarchical ConvLSTM Network",
        "Mustaqeem, Soonil Kwon",
        "Mathematics",
        2020,
    ),
    "semantic_ser": Paper(
        "Speech Emotion Recognition Using Semantic Information",
        "Panagiotis Tzirakis, Anh Nguyen, Stefanos Zafeiriou, Bjoern W. Schuller",
        "ICASSP",
        2021,
    ),
}


@dataclass(frozen=True)
class Cell:
    """The numbers that a paper prints in one place: of one system on one corpus under one protocol.

    `numbers`: wa, ua, f1 as fractions, or ccc and ccc_<dimension>; what the paper does not print is missing.
    """

    kind: str
    paper: str
    table: str
    system: str
    corpus: str
    protocol: str
    numbers: Mapping[str, float]
    flag: str

    @property
    def key(self) -> str:
        return f"{self.paper}.{self.table}.{self.system}.{self.corpus}/{self.protocol}"

    @property
    def place(self) -> str:
        """Where the paper prints it, in words: ``fusion convbert, table 4, cnns``."""
        return f"{self.paper}, {self.table}, {self.system}".replace("_", " ")


@functools.cache
def numbers() -> pd.DataFrame:
    """All rows of `paper_results.csv`, in its order. `value` is a fraction or a CCC (NaN where the paper prints
    nothing); `name` says what it is (``ua``, ``recall of anger``, ``unweighted F1``); `key` is that of its cell,
    `same_as` that of a cell about the same system."""
    table = pd.read_csv(RESULTS, dtype=str, keep_default_na=False)
    value = pd.to_numeric(table["value"])
    table["value"] = value.where(table["unit"] != "percent", (value / 100).round(6))
    at = "." + table["corpus"] + "/" + table["protocol"]
    table["key"] = table["paper"] + "." + table["table"] + "." + table["system"] + at
    table["same_as"] = (table["paper"] + "." + table["same_as"] + at).where(table["same_as"] != "", "")
    table["name"] = [_name(metric, label) for metric, label in zip(table["metric"], table["label"], strict=True)]
    return table


def published(key: str | None) -> Cell | None:
    """What a paper prints for one system on one corpus under one protocol.

    Args:
        key: PAPER.TABLE.SYSTEM.CORPUS/PROTOCOL, such as ``fusion_convbert.table_4.cnns.emodb/speaker_independent``.

    Returns:
        The cell; None for an empty key.

    Raises:
        SerError: there is no such cell; names the nearest.
    """
    if not key:
        return None
    table = numbers()
    table = table[table["kind"].isin(RESULTS_KINDS)]
    names = key.split(".")
    if len(names) != 4:
        what = "not the key of a published result"
        raise SerError(what, f"paper: {key}", "Write PAPER.TABLE.SYSTEM.CORPUS/PROTOCOL, as in paper_results.csv")
    column = table["corpus"] + "/" + table["protocol"]
    for values, name in zip((table["paper"], table["table"], table["system"], column), names, strict=True):
        values = values.loc[table.index]
        check_name(name, list(dict.fromkeys(values)), "part of a published result", f"paper: {key}")
        table = table[values == name]
    first, there = table.iloc[0], table.dropna(subset="value")
    return Cell(
        **{name: first[name] for name in ("kind", "paper", "table", "system", "corpus", "protocol", "flag")},
        numbers=dict(zip(there["name"], there["value"], strict=True)),
    )


def _name(metric: str, label: str) -> str:
    if not label:
        return metric
    metric = metric.replace("f1", "F1")
    return f"{label} {metric}" if label in MEANS else f"{metric} of {label}"
