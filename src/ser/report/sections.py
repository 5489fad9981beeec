"""The tables on a study as a whole: corpora, scores, paired comparisons, published numbers, leak audit, notes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from ser.core.errors import SerError
from ser.evaluation import claims, compare, results, wording
from ser.evaluation.published import PAPERS, published
from ser.evaluation.results import Description, Result, Score
from ser.report import cost, ledger
from ser.report.study import Experiment, Study
from ser.report.tables import Cell, Table, listed, marks_of, number, plural, slug

DRAWS = 2000  # ours: of a comparison in the report; `ser compare` draws more
SYNTHETIC = "SYNTHETIC"
SCORES = {"classification": "Categorical emotion", "continuous": "Continuous affect"}


def corpora(study: Study) -> Table:
    """What ran, on which data."""
    rows = []
    abouts = [e.about for e in study.experiments.values()]
    for corpus in dict.fromkeys(a.corpus for a in abouts):
        own = [a for a in abouts if a.corpus == corpus]
        licence = study.corpora.get(str(corpus), {}).get("licence", "see: ser corpora")
        rows.append(
            (
                corpus,
                data(own[0].synthetic, own[0].data),
                max(a.utterances for a in own),
                max(a.speakers for a in own),
                Cell(", ".join(own[0].labels), kind="text"),
                len(own),
                Cell(licence, kind="text"),
            )
        )
    header = ("corpus", "data", "utterances tested", "speakers", "labels", "experiments", "licence")
    return Table("Corpora", header, rows)


def data(synthetic: bool, name: str) -> Cell:
    return Cell(SYNTHETIC, kind="mark") if synthetic else Cell(name)


def ranked(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of the table of scores: by corpus, speaker-independent systems first, then by the headline metric."""
    order = {corpus: k for k, corpus in enumerate(dict.fromkeys(frame["corpus"]))}
    keys = pd.DataFrame(
        {
            "corpus": frame["corpus"].map(order),
            "dependent": [independent is False for independent in frame["speaker_independent"]],
            "score": -pd.to_numeric(frame["ua"] if "ua" in frame else frame["ccc"]),
        }
    )
    return frame.loc[keys.sort_values(["corpus", "dependent", "score"], kind="stable").index]


def scores(
    frame: pd.DataFrame, costs: Mapping[str, Mapping[str, Any]] | None = None, lasting: bool = False
) -> list[Table]:
    """The table of scores (`results.table`) for readers: one table per kind of labels, ranked.

    `costs`: of each training. They differ from run to run, so they are shown on the page only, unless they are
    `lasting`: those of results in git.
    """
    made = []
    for kind, title in SCORES.items():
        own = frame[frame["kind"] == kind].dropna(axis="columns", how="all")
        if not own.empty:
            made.append(_scores(frame.loc[own.index], title, kind, costs or {}, lasting))
    return made


def _scores(frame: pd.DataFrame, title: str, kind: str, costs: Mapping[str, Mapping[str, Any]], lasting: bool) -> Table:
    if kind == "continuous":
        dimensions = dict.fromkeys(name for labels in frame["labels"] for name in labels)
        metrics = ["ccc", *(f"ccc_{name}" for name in dimensions)]
        frame = frame.drop(columns="ua", errors="ignore")
    else:
        metrics = ["ua", "wa", "f1"]
    first, *others = metrics
    header = ["experiment", results.label(first), "chance", *map(results.label, others)]
    header += ["corpus, protocol", "n", "seeds", "by speaker", "ECE", "selection"]
    header += [f"published {' / '.join(map(results.label, metrics))}", "core-minutes"]
    timed, rows = any(name in costs for name in frame.index), []
    for name, row in ranked(frame).iterrows():
        chance = f"{1 / len(row['labels']):.2f}" if first == "ua" and row["labels"] else ""  # that of CCC is always 0
        rows.append(
            [
                Cell(
                    name + marks_of(row["transductive"], row["control"], row["selection"]),
                    _system(row),
                    slug(str(name)),
                ),
                Cell(results.text(_score(row, first))),
                chance,
                *(results.text(_score(row, m)) for m in others),
                _protocol(row),
                row["utterances"],
                "" if row["model"] == "ensemble" else len(row["seeds"]),  # its members have seeds
                _spread(row),
                _calibration(row),
                _selection(row["selection"]),
                _published(row["paper"], metrics),
                _cost(costs.get(str(name), {}), lasting) if timed else "",
            ]
        )
    return Table(title, header, rows, "scores")


def _score(row: pd.Series, metric: str) -> Score:
    values = (row.get(metric + end) for end in ("", "_low", "_high"))
    return Score(*(None if pd.isna(v) else v for v in values))


def _spread(row: pd.Series) -> Cell:
    """``0.45 to 0.72``, and below it ``sd 0.09``: the headline metric of single speakers."""
    low, high, sd = (row.get(f"units_{name}") for name in ("lowest", "highest", "sd"))
    return Cell() if low is None or pd.isna(low) else Cell(f"{low:.2f} to {high:.2f}", f"sd {sd:.2f}")


def _calibration(row: pd.Series) -> Cell:
    """``0.21``, and below it ``scaled 0.05``: the calibration error without and with a temperature."""
    before, after = (row.get(f"ece_{when}") for when in ("before", "after"))
    if before is None or pd.isna(before):
        return Cell()
    return Cell(f"{before:.2f}", "" if after is None or pd.isna(after) else f"scaled {after:.2f}")


def _cost(found: Mapping[str, Any], lasting: bool) -> Cell:
    text = cost.core_minutes(found)
    return Cell(text) if lasting else Cell(inner=text, kind="cost")


def _system(row: pd.Series) -> str:
    """``svm, demo size, SYNTHETIC data``."""
    facts = [row["model"], f"{row['size']} size" if row["size"] else None]
    return ", ".join(str(f) for f in [*facts, f"{SYNTHETIC} data" if row["data"] == "synthetic" else None] if f)


def _protocol(row: pd.Series) -> Cell:
    """``emodb``, and below it ``group kfold, speaker-independent``."""
    independent = {True: "speaker-independent", False: "SPEAKER-DEPENDENT"}.get(row["speaker_independent"], "")
    note = ", ".join(f for f in (str(row["protocol"] or "").replace("_", " "), independent) if f)
    return Cell(row["corpus"] or "", note, kind="text mark" if row["speaker_independent"] is False else "text")


def _selection(value: str | None) -> Cell:
    biased = results.is_biased(value)
    return Cell("test (BIASED)" if biased else value or "", kind="text mark" if biased else "text")


def _published(key: str | None, metrics: Sequence[str]) -> Cell:
    """What the paper prints, in the order of the columns, `-` where it prints nothing."""
    paper = published(key)
    if paper is None:
        return Cell()
    values = " / ".join(number(paper.numbers.get(name)) for name in metrics)
    return Cell(values, paper.place + (" (flagged)" if paper.flag else ""), kind="text")


def other_results(found: Iterable[Result]) -> Table | None:
    """What others published on a corpus and under a protocol on which we have results on real data, and what choosing
    on test was worth to them; beside each the best of ours and the SVM. None without results on real data."""
    ours = [r for r in found if r.description.data == "real" and not r.description.is_control]
    rows = []
    for _, other in claims.others().iterrows():
        same = [r for r in ours if not r.description.transductive and _alike(r.description, other)]
        if not same and not (other["kind"] == "selection" and ours):
            continue
        best = max(same, key=_value(other["metric"]), default=None)
        svm = next((r for r in same if r.description.model == "svm"), None)
        independent = "speaker-independent" if other["speaker_independent"] else "SPEAKER-DEPENDENT"
        rows.append(
            (
                Cell(other["system"], kind="text"),
                Cell(other["corpus"], f"{other['protocol'].replace('_', ' ')}, {independent}", kind="text"),
                results.label(other["metric"]),
                number(other["value"]),
                Cell(other["selection"], kind="text"),
                *(_beside(r, other["metric"]) for r in (best, svm)),
                Cell(f"{other['source']}; {other['where']}", kind="text"),
            )
        )
    header = ("system of others", "corpus, protocol", "metric", "theirs", "chosen on", "our best", "our SVM", "source")
    return Table("What others published", header, rows) if rows else None


def _value(metric: str) -> Callable[[Result], float]:
    return lambda result: result.scores[metric].value or 0.0


def _alike(about: Description, other: pd.Series) -> bool:
    own = about.corpus, about.protocol, about.folds, about.speaker_independent
    return own == (other["corpus"], other["protocol"], other["folds"], other["speaker_independent"])


def _beside(result: Result | None, metric: str) -> Cell:
    if result is None:
        return Cell()
    return Cell(results.text(result.scores[metric], 3), result.description.experiment, kind="text")


class Group(NamedTuple):
    """Paired tests within one group of experiments."""

    table: Table
    method: str


class Family(NamedTuple):
    """The paired tests of one group of experiments, their p-values corrected together."""

    title: str
    tests: Sequence[compare.Comparison]


def families(study: Study) -> list[Family]:
    """Paired tests of the headline metric within each group of experiments that can be compared."""
    groups: dict[str, list[Experiment]] = {}
    for e in study.experiments.values():
        if e.scored is not None and not e.about.is_control:
            groups.setdefault(_group(e), []).append(e)
    made = []
    for title, members in groups.items():
        members.sort(key=lambda e: e.rank)
        tests = compare.holm(list(_compared(study, compare.pairs([e.name for e in members]))))
        if tests:
            made.append(Family(title, tests))
    return made


def comparisons(found: Sequence[Family]) -> list[Group]:
    """The paired tests as tables."""
    made = []
    for title, tests in found:
        first = tests[0]
        ways = f"all {first.ways}" if first.exact else f"{first.ways - 1} drawn"
        method = f"p: {ways} ways of exchanging A and B by {first.unit}."
        caption = f"{title}: {plural(len(tests), 'paired test')}"
        header = ("A against B", "metric", "A - B", "interval", "p", "p (Holm)", "detectable", "seed sd A, B")
        table = Table(caption, (*header, "conclusion"), [_comparison(c) for c in tests], "tests")
        made.append(Group(table, method))
    return made


def _group(e: Experiment) -> str:
    """Experiments of one group may be compared: same corpus, labels, independence, and number of utterances."""
    assert e.scored is not None
    kind = "speaker-dependent" if e.about.speaker_independent is False else "speaker-independent"
    mark = f" ({SYNTHETIC})" if e.about.synthetic else ""
    return f"{e.about.corpus}{mark}, {kind}, {e.about.utterances} utterances, {', '.join(e.about.labels)}"


def _compared(study: Study, pairs: Sequence[tuple[str, str]]) -> Iterator[compare.Comparison]:
    for a, b in pairs:
        one, two = study.experiments[a], study.experiments[b]
        assert one.scored is not None
        assert two.scored is not None
        confidence = one.result.interval.confidence if one.result.interval else 0.95
        try:
            yield compare.compare((a, b), one.scored, two.scored, DRAWS, confidence, only=[one.headline])
        except SerError:  # as many utterances, but others; or a single speaker: nothing to test
            continue


def _comparison(found: compare.Comparison) -> Sequence[object]:
    (d,) = found.differences
    limits = "-" if d.low is None else f"[{d.low:+.3f}, {d.high:+.3f}]"
    numbers = (wording.number(d.p), wording.number(d.p_holm), f"{d.detectable:.3f}", wording.spread(d))
    if d.p_holm <= 1 - found.confidence:
        conclusion = f"{found.a if d.difference > 0 else found.b} is better"
    elif found.smallest_p > 1 - found.confidence:
        conclusion = f"{found.units} {found.unit}s are too few to tell"
    else:
        conclusion = "no difference shown"
    pair = f"{found.a} / {found.b}"
    return (pair, results.label(d.metric), f"{d.difference:+.3f}", limits, *numbers, Cell(conclusion, kind="text"))


class Published(NamedTuple):
    """The ledger of one paper. `others`: heading -> tables of what is of less interest."""

    title: str
    ran: Table | None
    others: Mapping[str, Sequence[Table]]

    @property
    def answered(self) -> bool:
        """Whether an experiment of the study reproduces any number of the paper."""
        return any("experiment" in t.header for t in self.tables)

    @property
    def tables(self) -> list[Table]:
        return [t for t in (self.ran, *(t for tables in self.others.values() for t in tables)) if t]


HEADINGS = {  # of the numbers that are of less interest: one, and several
    "class": ("number by class", "numbers by class"),
    "confusion": ("cell of a confusion matrix", "cells of confusion matrices"),
    "loss": ("loss that the text states", "losses that the text states"),
    "cited": ("number cited from others", "numbers cited from others"),
}


def published_results(
    found: Mapping[str, Result], losses: Mapping[str, Mapping[str, float]] | None = None
) -> list[Published]:
    """The ledger: what was run first, then the other numbers of each paper. `losses`: see `ledger.rows`. Empty where no
    experiment answers to a paper."""
    made = []
    if not any(r.description.paper for r in found.values()):
        return []  # a study of one's own lists no papers
    for paper, rows in ledger.by_paper(ledger.rows(found, losses)).items():
        about = PAPERS[paper]
        title = f"{about.title} ({about.venue} {about.year})"
        own = ledger.of(rows, "own")
        missing, others = [r for r in own if not r.ran], {}
        if missing:
            others[f"{plural(len(missing), 'published number')} not run here"] = [_missing(title, missing)]
        for kind, names in HEADINGS.items():
            kept = ledger.of(rows, kind)
            caption, rest = f"{title}, {names[1]}", [r for r in kept if not r.ran]
            tables = [t for t in (_ran(caption, kept), _missing(caption, rest) if rest else None) if t]
            if tables:
                others[plural(len(kept), *names)] = tables
        made.append(Published(title, _ran(title, own), others))
    return made


def _ran(caption: str, rows: Sequence[ledger.Row]) -> Table | None:
    """Those numbers that an experiment reproduces; None where there are none."""
    header = ("table, row", "experiment", "corpus, protocol", "metric", "published", "ours", "difference", "conditions")
    made = [
        (
            *_place(row, Cell(row.experiment, href=slug(row.experiment), kind="text")),
            results.text(row.ours, 3) if row.ours.value is not None else "",
            "" if row.difference is None else f"{row.difference:+.3f}",
            Cell(_conditions(row), kind="text"),
            Cell(row.verdict, kind="text"),
        )
        for row in rows
        if row.ran
    ]
    return Table(f"{caption}: run here", (*header, "verdict"), made, "ledger") if made else None


def _missing(caption: str, rows: Sequence[ledger.Row]) -> Table:
    """The other numbers, and why we have none beside them."""
    header = ("table, row", "corpus, protocol", "metric", "published", "why without ours")
    made = [(*_place(row), Cell(row.verdict.removeprefix("not run: "), kind="text")) for row in rows]
    return Table(f"{caption}: not run here", header, made, "ledger")


def _place(row: ledger.Row, *second: object) -> Sequence[object]:
    flag = " (flagged)" if row.flagged else ""
    column = ", ".join(filter(None, (row.corpus, row.protocol.replace("_", " "))))
    where = Cell(f"{row.table}, {row.system}", kind="text")
    return (where, *second, Cell(column, kind="text"), row.metric, f"{row.published:.3f}{flag}")


def _conditions(row: ledger.Row) -> str:
    """``real data, paper size, selected on dev``."""
    name = SYNTHETIC if row.data == "synthetic" else row.data
    facts = (f"{name} data", f"{row.size} size" if row.size else "", f"selection: {row.selection}")
    return ", ".join(f for f in facts if f)


def audits(study: Study) -> list[tuple[str, list[str]]]:
    """For each set of folds one sentence and its details."""
    from ser.protocols.audit import Report

    made = []
    for found in study.audits.values():
        first, *rest = Report(dict(found)).summary()
        made.append((first, [line.strip() for line in rest]))
    return made


def notes(found: Mapping[str, Result]) -> list[str]:
    """Each note once, with the experiments that it is about."""
    holders: dict[str, list[str]] = {}
    for name, result in found.items():
        for note in result.notes:
            holders.setdefault(note, []).append(name)
    return [f"{note} ({listed(names, len(found))})" for note, names in holders.items()]


def postprocessing(found: Mapping[str, Result]) -> Table | None:
    """CCC of each experiment without and with each option of post-processing; None where nothing was fitted."""
    fitted = {name: r for name, r in found.items() if r.postprocessing}
    if not fitted:
        return None
    options = list(next(iter(fitted.values())).postprocessing)
    rows = [
        (name, results.text(r.headline), *(results.text(r.postprocessing[o].scores["ccc"]) for o in options))
        for name, r in fitted.items()
    ]
    return Table("CCC without and with post-processing", ("experiment", "CCC (headline)", *options), rows)
