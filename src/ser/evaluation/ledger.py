"""The ledger of a study: every number the papers print of their own systems, beside ours, with a verdict by rule.

*Reproduced* is said only when the published value lies inside our interval, under the same protocol, on real data, at
the paper's size, with nothing selected on test. Where a number was not run the ledger says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ser.evaluation.published import papers, published

# which protocol of ours, with how many folds, is the one of a published column (papers.md 4.7, 5.7, 6.7, 7.5)
PROTOCOLS: Mapping[str, tuple[str, int | None]] = {
    "speaker_independent": ("speaker_independent", None),
    "speaker_dependent": ("speaker_dependent_holdout", None),
    "loso10": ("leave_one_speaker_out", 10),
    "cv10": ("kfold", 10),
    "cv5": ("kfold", 5),
    "devel": ("partitions", None),
    "test": ("partitions", None),
}
LICENCE = {  # corpora given only to those who sign for them (papers.md 1.2, 1.5)
    "iemocap": "licence: IEMOCAP is given on a signed request",
    "sewa": "licence: SEWA is given under an end-user licence",
}
GPU = {  # papers.md 8, cost guide: what a CPU cannot train at paper size in reasonable time
    "fusion_convbert": "GPU: about 4e16 floating-point operations a fold at paper size",
    "clstm": "GPU: hours an experiment at paper size",
}
NO_GPU_NEEDED = {"fusion_convbert": ("cnns",)}  # rows of such a paper that are small enough
METRICS = ("wa", "ua", "f1", "ccc")  # published names that are ours; CCC has its dimensions beside it
COLUMNS = ("corpus", "protocol", "metric", "published", "ours", "difference", "selection", "size", "data", "verdict")


@dataclass(frozen=True)
class Row:
    """One published number, with ours where an experiment answers to it. Shares are fractions."""

    paper: str
    table: str
    system: str
    corpus: str
    protocol: str
    metric: str
    published: float
    flagged: bool
    verdict: str
    experiment: str = ""
    ours: float | None = None
    low: float | None = None
    high: float | None = None
    selection: str = ""
    size: str = ""
    data: str = ""

    @property
    def ran(self) -> bool:
        return bool(self.experiment)

    @property
    def difference(self) -> float | None:
        return None if self.ours is None else self.ours - self.published


def rows(experiments: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """The ledger of a study, in the order of the published results.

    Args:
        experiments: experiment name -> its metrics file; its `paper` says which published cell it answers to.

    Raises:
        SerError: an experiment names a published cell that does not exist.
    """
    answers: dict[str, list[str]] = {}
    for name, metrics in experiments.items():
        key = metrics["about"][0].get("paper")
        if key:
            published(key)  # a wrong one is named, not dropped
            answers.setdefault(key.removeprefix("papers."), []).append(name)
    real = {m["about"][0]["corpus"] for m in experiments.values() if m["about"][0]["data"] == "real"}
    found = []
    for key in dict.fromkeys([*cells(), *answers]):
        cell = published(key) or {}
        for metric in [m for m in cell if _is_metric(m) and cell[m] is not None]:
            ours = [_answer(key, cell, metric, name, experiments[name]) for name in answers.get(key, ())]
            found += ours or [_row(key, cell, metric, verdict="not run: " + _why_not(key, real))]
    return found


def cells() -> Iterator[str]:
    """Keys of all cells the papers print of their own systems, in the order of `paper_results.yaml`.

    Tables quoted from others are left out, and rows by class; numbers of a paper's summary stand only where its tables
    do not have them.
    """
    for paper, content in papers()["papers"].items():
        seen = set()
        for table, block in content["tables"].items():
            cited = block["rows"] if block["kind"] == "cited" else block.get("cited_rows", ())
            for row, columns in block["rows"].items():
                for column, values in columns.items():
                    if row not in cited and not any(isinstance(v, Mapping) for v in values.values()):
                        seen.add((row, column))
                        yield f"{paper}.tables.{table}.rows.{row}.{column}"
        for row, columns in content.get("headline", {}).items():
            yield from (f"{paper}.headline.{row}.{column}" for column in columns if (row, column) not in seen)


def markdown(found: Iterable[Row], study: str = "") -> str:
    """The ledger as Markdown, one table a paper; with the name of a study it is a whole page."""
    parts = [f"# Published and ours: study {study}", LEGEND] if study else []
    for paper, own in by_paper(found).items():
        about = papers()["papers"][paper]
        parts.append(f"## {about['title']} ({about['venue']} {about['year']})")
        header = ["table", "row", "experiment", *COLUMNS]
        lines = [header, ["---"] * len(header)]
        lines += [[r.table, r.system, r.experiment, *values(r).values()] for r in own]
        parts.append("\n".join("| " + " | ".join(line) + " |" for line in lines))
    return "\n\n".join(parts) + "\n"


LEGEND = """\
Each number a paper prints of its own system, and ours where an experiment of this study answers to it, as fractions.
`reproduced`: the published value lies inside our interval, under the same protocol, on real data, at the paper's size.
`differs`: the same, but it lies outside. `not comparable` and `not run` say why. `(flagged)`: the paper contradicts
itself there."""


def by_paper(found: Iterable[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in found:
        groups.setdefault(row.paper, []).append(row)
    return groups


def values(row: Row) -> dict[str, str]:
    """The cells of a row as text, by `COLUMNS`."""
    ours = "" if row.ours is None else f"{row.ours:.3f}"
    if row.low is not None and row.high is not None:
        ours += f" [{row.low:.3f}, {row.high:.3f}]"
    cells = (
        row.corpus,
        row.protocol.replace("_", " "),
        row.metric.upper() if "_" not in row.metric else f"CCC {row.metric.removeprefix('ccc_')}",
        f"{row.published:.3f}" + (" (flagged)" if row.flagged else ""),
        ours,
        "" if row.difference is None else f"{row.difference:+.3f}",
        row.selection,
        row.size,
        "SYNTHETIC" if row.data == "synthetic" else row.data,
        row.verdict,
    )
    return dict(zip(COLUMNS, cells, strict=True))


def verdict(value: float, ours: float | None, low: float | None, high: float | None, faults: Sequence[str]) -> str:
    """The rule. `faults`: why our number is another thing than the published one, whatever their values."""
    if ours is None:
        return "not comparable: no labels to score"
    if faults:
        return "not comparable: " + ", ".join(faults)
    if low is None or high is None:
        return "not comparable: no interval"
    if low <= value <= high:
        return "reproduced"
    return f"differs: published is {'above' if value > high else 'below'} our interval"


def _answer(key: str, cell: Mapping[str, Any], metric: str, name: str, metrics: Mapping[str, Any]) -> Row:
    (about,) = metrics["about"]
    ours, low, high = (metrics.get(metric + end) for end in ("", "_low", "_high"))
    column = key.rsplit(".", 1)[-1]
    if column.endswith(
        "/test"
    ):  # the headline is the development part's: the test part has its own numbers, no interval
        part: Mapping[str, Any] = next(
            (v for f, v in (about.get("partitions") or {}).items() if "test" in f.lower()), {}
        )
        ours, low, high = part.get(metric), None, None
    return _row(
        key,
        cell,
        metric,
        experiment=name,
        ours=ours,
        low=low,
        high=high,
        verdict=verdict(cell[metric], ours, low, high, _faults(column, cell, about)),
        selection=about.get("selection") or "",
        size=about.get("size") or "",
        data=about.get("data") or "",
    )


def _faults(column: str, cell: Mapping[str, Any], about: Mapping[str, Any]) -> list[str]:
    """Why an experiment is not the published one; empty where it is."""
    corpus, protocol = column.split("/")
    name, folds = PROTOCOLS.get(protocol, ("", None))
    faults = {
        f"{'SYNTHETIC' if about.get('data') == 'synthetic' else 'unknown'} data": about.get("data") != "real",
        f"{about.get('size') or 'unknown'} size": about.get("size") != "paper",
        "another corpus": about.get("corpus") != corpus,
        "another protocol": about.get("protocol") != name or (folds is not None and about.get("folds") != folds),
        "selected on test": about.get("selection") == "test_oracle",
        "transductive": bool(about.get("transductive")),
        "a control": about.get("control") not in (None, "none"),
        "cited, not the paper's own": cell["kind"] == "cited",
    }
    return [what for what, holds in faults.items() if holds]


def _row(key: str, cell: Mapping[str, Any], metric: str, **ours: Any) -> Row:
    names = key.split(".")
    corpus, protocol = names[-1].split("/")
    table = names[2] if names[1] == "tables" else names[1]
    return Row(
        paper=names[0],
        table=table.replace("_", " "),
        system=names[-2].replace("_", " "),
        corpus=corpus,
        protocol=protocol,
        metric=metric,
        published=cell[metric],
        flagged=bool(cell["flags"]),
        **ours,
    )


def _why_not(key: str, real: set[str]) -> str:
    names = key.split(".")
    paper, system, corpus = names[0], names[-2], names[-1].split("/")[0]
    if corpus in LICENCE and corpus not in real:
        return LICENCE[corpus]
    if corpus not in real:
        return f"{corpus} is not in this study, or only its synthetic look-alike"
    if paper in GPU and system not in NO_GPU_NEEDED.get(paper, ()):
        return GPU[paper]
    return "not in this study"


def _is_metric(name: str) -> bool:
    return name in METRICS or name.startswith("ccc_")
