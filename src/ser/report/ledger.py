"""The ledger of a study: every number the papers print, beside ours, with a verdict by rule.

*Reproduced* is said only when the published value lies inside our interval, under the same protocol, on real data, at
the paper's size, with nothing selected on test. Where a number was not run the ledger says why. What a paper cites from
others is context: nothing is held to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ser.evaluation import results
from ser.evaluation.published import Cell, cell, cells, papers

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
PARTITIONS = {"devel": "dev", "test": "test"}  # the fold that such a column is of
LICENCE = {  # corpora given only to those who sign for them (papers.md 1.2, 1.5)
    "iemocap": "licence: IEMOCAP is given on a signed request",
    "sewa": "licence: SEWA is given under an end-user licence",
}
GPU = {  # papers.md 8, cost guide: what a CPU cannot train at paper size in reasonable time
    "fusion_convbert": "GPU: about 4e16 floating-point operations a fold at paper size",
    "clstm": "GPU: hours an experiment at paper size",
}
NO_GPU_NEEDED = {"fusion_convbert": ("cnns",)}  # rows of such a paper that are small enough
MEANS = {"overall accuracy": "wa", "weighted recall": "wa", "unweighted recall": "ua", "unweighted F1": "f1"}
KINDS = {  # of published numbers, and what is said of them
    "own": "",
    "class": "By class",
    "cited": "Cited from others: context only",
}
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
    kind: str = "own"  # a key of KINDS
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
    systems: dict[tuple[str, str, str], list[str]] = {}  # paper, system, column: whom numbers by class are set beside
    for name, metrics in experiments.items():
        if key := metrics["about"][0].get("paper"):
            answered = cell(key)  # a wrong one is named, not dropped
            answers.setdefault(answered.key, []).append(name)
            systems.setdefault((answered.paper, answered.system, answered.column), []).append(name)
    real = {m["about"][0]["corpus"] for m in experiments.values() if m["about"][0]["data"] == "real"}
    everything = list(cells())
    known = {c.key for c in everything}
    found = []
    for c in (*everything, *(cell(key) for key in answers if key not in known)):
        names = systems.get((c.paper, c.system, c.column), ()) if c.kind == "class" else answers.get(c.key, ())
        for metric in c.numbers:
            ours = [_answer(c, metric, name, experiments[name]) for name in names]
            found += ours or [_row(c, metric, verdict=_unanswered(c, real))]
    return found


def markdown(found: Iterable[Row], study: str = "") -> str:
    """The ledger as Markdown, a table a paper and kind; with the name of a study it is a whole page. Columns without
    any content are left out."""
    parts = [f"# Published and ours: study {study}", LEGEND] if study else []
    for paper, own in by_paper(found).items():
        about = papers()["papers"][paper]
        parts.append(f"## {about['title']} ({about['venue']} {about['year']})")
        for kind, title in KINDS.items():
            lines = [
                {"table": r.table, "row": r.system, "experiment": r.experiment, **values(r)} for r in of(own, kind)
            ]
            header = [c for c in ("table", "row", "experiment", *COLUMNS) if any(line[c] for line in lines)]
            cells_ = [header, ["---"] * len(header), *([line[c] for c in header] for line in lines)]
            if lines:
                parts += [f"### {title}"] if title else []
                parts.append("\n".join("| " + " | ".join(line) + " |" for line in cells_))
    return "\n\n".join(parts) + "\n"


LEGEND = """\
Each number a paper prints, and ours where an experiment of this study answers to it, as fractions.
`reproduced`: the published value lies inside our interval, under the same protocol, on real data, at the paper's size.
`differs`: the same, but it lies outside. `not comparable` and `not run` say why. `(flagged)`: the paper contradicts
itself there. By class we keep the recall alone, without an interval. `cited`: numbers of others that a
paper quotes, context only."""


def by_paper(found: Iterable[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in found:
        groups.setdefault(row.paper, []).append(row)
    return groups


def of(found: Iterable[Row], kind: str) -> list[Row]:
    return [row for row in found if row.kind == kind]


def values(row: Row) -> dict[str, str]:
    """The cells of a row as text, by `COLUMNS`."""
    ours = "" if row.ours is None else f"{row.ours:.3f}"
    if row.low is not None and row.high is not None:
        ours += f" [{row.low:.3f}, {row.high:.3f}]"
    cells = (
        row.corpus,
        row.protocol.replace("_", " "),
        row.metric if row.kind == "class" else results.label(row.metric),
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
    if low is None or high is None:
        return "not comparable: " + ", ".join([*faults, "no interval"])
    if faults:
        return "not comparable: " + ", ".join(faults)
    if low <= value <= high:
        return "reproduced"
    return f"differs: published is {'above' if value > high else 'below'} our interval"


def _answer(c: Cell, metric: str, name: str, metrics: Mapping[str, Any]) -> Row:
    (about,) = metrics["about"]
    ours, low, high = _ours(c, metric, metrics)
    said = verdict(c.numbers[metric], ours, low, high, _faults(c, about))
    if c.kind == "class" and ours is None:
        said = "not comparable: we keep no such number"
    return _row(
        c,
        metric,
        experiment=name,
        ours=ours,
        low=low,
        high=high,
        verdict=said,
        selection=about.get("selection") or "",
        size=about.get("size") or "",
        data=about.get("data") or "",
    )


def _ours(c: Cell, metric: str, metrics: Mapping[str, Any]) -> tuple[float | None, float | None, float | None]:
    """Our number and its interval, None where there is none."""
    (about,) = metrics["about"]
    if c.kind == "class" and metric not in MEANS:
        beside = {"weighted F1": about.get("weighted_f1")}
        beside |= {f"recall of {name}": value for name, value in (about.get("recall") or {}).items()}
        return beside.get(metric), None, None
    name = MEANS.get(metric, metric)
    partitions: Mapping[str, Any] = about.get("partitions") or {}
    if c.column.endswith("/test") and partitions:  # then the headline is the development part's
        part: Mapping[str, Any] = next((v for f, v in partitions.items() if "test" in f.lower()), {})
        return part.get(name), None, None
    return metrics.get(name), metrics.get(f"{name}_low"), metrics.get(f"{name}_high")


def _faults(c: Cell, about: Mapping[str, Any]) -> list[str]:
    """Why an experiment is not the published one; empty where it is."""
    corpus, protocol = c.column.split("/")
    name, folds = PROTOCOLS.get(protocol, ("", None))
    faults = {
        f"{'SYNTHETIC' if about.get('data') == 'synthetic' else 'unknown'} data": about.get("data") != "real",
        f"{about.get('size') or 'unknown'} size": about.get("size") != "paper",
        "another corpus": about.get("corpus") != corpus,
        "another protocol": about.get("protocol") != name or (folds is not None and about.get("folds") != folds),
        "another partition": protocol in PARTITIONS
        and not about.get("partitions")
        and PARTITIONS[protocol] not in (about.get("fold") or ""),
        "selected on test": about.get("selection") == "test_oracle",
        "transductive": bool(about.get("transductive")),
        "a control": about.get("control") not in (None, "none"),
        "cited, not the paper's own": c.kind == "cited",
    }
    return [what for what, holds in faults.items() if holds]


def _row(c: Cell, metric: str, **ours: Any) -> Row:
    corpus, protocol = c.column.split("/")
    return Row(
        paper=c.paper,
        table=c.table.replace("_", " "),
        system=c.system.replace("_", " "),
        corpus=corpus,
        protocol=protocol,
        metric=metric,
        published=c.numbers[metric],
        flagged=c.flagged,
        kind=c.kind,
        **ours,
    )


def _unanswered(c: Cell, real: set[str]) -> str:
    """The verdict on a number without an experiment of ours."""
    if c.kind == "cited":
        return f"cited in {c.table.replace('_', ' ')}, not the paper's own: context only"
    corpus = c.column.split("/")[0]
    if corpus in LICENCE and corpus not in real:
        return f"not run: {LICENCE[corpus]}"
    if corpus not in real:
        return f"not run: {corpus} is not in this study, or only its synthetic look-alike"
    if c.paper in GPU and c.system not in NO_GPU_NEEDED.get(c.paper, ()):
        return f"not run: {GPU[c.paper]}"
    return "not run: not in this study"
