"""The sections on the study as a whole: data, results, paired comparisons, published numbers, leak audit, notes."""

from __future__ import annotations

from collections.abc import Iterator

from ser.evaluation import compare, results, wording
from ser.report import ledger
from ser.report import summary as report
from ser.report.html import cost
from ser.report.html.charts import track
from ser.report.html.markup import Html, bullets, join, section, slug, table, tag
from ser.report.html.study import Experiment, Study

DRAWS = 2000  # ours: of a comparison in the report; `ser compare` draws more
MARK = Html('<span class="mark">SYNTHETIC</span>')


def data(study: Study) -> Html:
    """What ran, and on which data."""
    abouts = [e.about for e in study.experiments.values()]
    rows = []
    for corpus in dict.fromkeys(a["corpus"] for a in abouts):
        own = [a for a in abouts if a["corpus"] == corpus]
        known = study.corpora.get(corpus, {})
        labels = own[0].get("classes") or own[0].get("dimensions") or []
        rows.append(
            (
                corpus,
                MARK if own[0]["data"] == "synthetic" else own[0]["data"],
                max(a.get("utterances", 0) for a in own),
                max(a.get("speakers", 0) for a in own),
                _text(", ".join(labels)),
                len(own),
                _text(known.get("licence", "see: ser corpora")),
            )
        )
    models = ", ".join(dict.fromkeys(str(a["model"]) for a in abouts))
    said = f"{_number(len(abouts), 'experiment')} on {_number(len(rows), 'corpus', 'corpora')}; models: {models}."
    header = ("corpus", "data", "utterances tested", "speakers", "labels", "experiments", "licence")
    return section("data", 2, "What ran, on which data", tag("p", said), table("Corpora", header, rows))


def scores(study: Study) -> Html:
    """One table a kind of labels, with intervals as numbers and as bars."""
    made = []
    for title, metric in (("Categorical emotion", "ua"), ("Continuous affect", "ccc")):
        own = [e for e in study.experiments.values() if e.headline == metric]
        if own:
            names = list(dict.fromkeys(k for e in own for k in e.metrics if f"{k}_low" in e.metrics))
            bar = f"{results.label(metric)}, 0 to 1"
            header = ["experiment", "model", "data", "protocol", *map(results.label, names), bar, "n", "selection"]
            rows = [_result(e, names) for e in own]
            if any(e.cost for e in own):
                header, rows = [*header, "training"], [(*r, cost.cell(e.cost)) for r, e in zip(rows, own, strict=True)]
            made.append(table(title, header, rows))
    said = [*_legends(study), *([cost.LEGEND] if any(e.cost for e in study.experiments.values()) else [])]
    return section("results", 2, "Results", *made, *(tag("p", _plain(t), class_="soft") for t in said))


def _result(e: Experiment, names: list[str]) -> tuple[object, ...]:
    about, metric = e.about, e.headline
    low, high, value = (e.metrics.get(metric + end) for end in ("_low", "_high", ""))
    size = f" ({about['size']})" if about.get("size") else ""
    heard = about.get("speaker_independent") is False
    protocol = [str(about.get("protocol") or "").replace("_", " ")]
    if heard:
        protocol.append(tag("span", " speaker-dependent", class_="mark"))
    return (
        join([tag("a", e.name, href=f"#{slug(e.name)}"), report.marks(about)]),
        f"{about.get('model') or ''}{size}",
        MARK if e.synthetic else about["data"],
        tag("td", *protocol, class_="text"),
        *(report.cell(e.metrics, n) for n in names),
        track([] if value is None else [value], low, high),
        e.metrics["n"],
        about.get("selection") or "",
    )


def _legends(study: Study) -> list[str]:
    legend = report.legend(study.metrics)
    return legend.split("\n\n") if legend else []


def comparisons(study: Study) -> Html:
    """Paired tests of the headline metric within each group of experiments that can be compared."""
    groups: dict[str, list[str]] = {}
    for e in study.experiments.values():
        if e.scored is not None and e.about.get("control") in (None, "none"):
            groups.setdefault(_kind(e), []).append(e.name)
    found = []
    for group, pairs in compare.pairs({g: n for g, n in groups.items() if len(n) > 1}).items():
        family = compare.holm(list(_compared(study, pairs)))
        if family:
            rows = [_compared_row(c) for c in family]
            header = (
                "A against B",
                "metric",
                "A - B",
                "interval",
                "p",
                "p (Holm)",
                "detectable",
                "seed sd A, B",
                "says",
            )
            found.append(table(f"{group}: {_number(len(rows), 'paired test')}", header, rows))
            first = family[0]
            ways = f"all {first.ways}" if first.exact else f"{first.ways - 1} drawn"
            found.append(tag("p", f"p: {ways} ways of exchanging A and B by {first.unit}.", class_="soft"))
    text = (
        "Both systems on the same utterances of the same speakers, models held fixed. p-values are corrected by Holm's "
        "method within each table. Detectable: the smallest true difference that these speakers would show four times "
        "in five. Any two: ser compare A B."
    )
    none = None if found else tag("p", "No two experiments here are on the same utterances under alike conditions.")
    return section("comparisons", 2, "Paired comparisons", none or tag("p", text), *found)


def _kind(e: Experiment) -> str:
    """Experiments of one kind may be compared: same corpus, labels, independence, and utterances."""
    assert e.scored is not None
    about, ids = e.about, e.scored.table["utterance"]
    heard = "speaker-dependent" if about.get("speaker_independent") is False else "speaker-independent"
    mark = " (SYNTHETIC)" if e.synthetic else ""
    labels = ", ".join(e.scored.classes or e.scored.dimensions)
    return f"{about['corpus']}{mark}, {heard}, {ids.nunique()} utterances, {labels}"


def _compared(study: Study, pairs: list[tuple[str, str]]) -> Iterator[compare.Comparison]:
    from ser.errors import SerError

    for a, b in pairs:
        one, two = study.experiments[a], study.experiments[b]
        assert one.scored is not None
        assert two.scored is not None
        interval = one.about.get("interval") or {}
        try:
            yield compare.compare(
                (a, b), one.scored, two.scored, DRAWS, interval.get("confidence", 0.95), only=[one.headline]
            )
        except SerError:  # as many utterances, but others; or a single speaker: nothing to test
            continue


def _compared_row(found: compare.Comparison) -> tuple[object, ...]:
    (d,) = found.differences
    limits = "-" if d.low is None else f"[{d.low:+.3f}, {d.high:+.3f}]"
    numbers = (wording.number(d.p), wording.number(d.p_holm), f"{d.detectable:.3f}", wording.spread(d))
    if d.p_holm <= 1 - found.confidence:
        says = f"{found.a if d.difference > 0 else found.b} is better"
    elif found.smallest_p > 1 - found.confidence:
        says = f"{found.units} {found.unit}s are too few to tell"
    else:
        says = "no difference shown"
    return (f"{found.a} / {found.b}", results.label(d.metric), f"{d.difference:+.3f}", limits, *numbers, _text(says))


def published(study: Study) -> Html:
    """The ledger: what was run first, the rest behind folds."""
    made = []
    for paper, rows in ledger.by_paper(ledger.rows(study.metrics)).items():
        about = ledger.papers()["papers"][paper]
        title = f"{about['title']} ({about['venue']} {about['year']})"
        own, by_class, cited = (ledger.of(rows, kind) for kind in ledger.KINDS)
        missing = [r for r in own if not r.ran]
        made += [tag("h3", title), *_ran(f"{title}: run here", own)]
        made += _folded(
            f"{_number(len(missing), 'published number')} not run here", _rest(f"{title}: not run here", own)
        )
        for kept, what, alone in ((by_class, "by class", "not run here"), (cited, "cited from others", "context only")):
            inside = [*_ran(f"{title}, {what}: run here", kept), *_rest(f"{title}, {what}: {alone}", kept)]
            made += _folded(f"{_number(len(kept), 'number')} {what}", inside)
    return section("published", 2, "Published and ours", tag("p", _plain(ledger.LEGEND)), *made)


def _folded(summary: str, tables: list[Html]) -> list[Html]:
    return [tag("details", tag("summary", summary), *tables)] if tables else []


def _ran(caption: str, rows: list[ledger.Row]) -> list[Html]:
    """A table of those numbers that an experiment answers to; none where there are none."""
    made = [_ledger_row(r) for r in rows if r.ran]
    return [table(caption, ("table, row", "experiment", *ledger.COLUMNS), made)] if made else []


def _rest(caption: str, rows: list[ledger.Row]) -> list[Html]:
    """A table of the other numbers, and why they stand alone."""
    made = [_missing_row(r) for r in rows if not r.ran]
    short = ("table, row", "corpus", "protocol", "metric", "published", "why without ours")
    return [table(caption, short, made)] if made else []


def _ledger_row(row: ledger.Row) -> tuple[object, ...]:
    cells = ledger.values(row)
    verdict = _text(cells.pop("verdict"))
    shown = {**cells, "data": MARK if row.data == "synthetic" else row.data}
    link = tag("a", row.experiment, href=f"#{slug(row.experiment)}")
    return (f"{row.table}, {row.system}", link, *shown.values(), verdict)


def _missing_row(row: ledger.Row) -> tuple[object, ...]:
    cells = ledger.values(row)
    names = ("corpus", "protocol", "metric", "published")
    return (f"{row.table}, {row.system}", *(cells[n] for n in names), _text(row.verdict.removeprefix("not run: ")))


def audits(study: Study) -> Html:
    from ser.protocols.audit import Report

    items = []
    for found in study.audits.values():
        first, *rest = Report(dict(found)).summary()
        items.append(tag("li", first, bullets(line.strip() for line in rest)))
    text = "Checked before anything was trained; a leak would have stopped the study."
    return section("audit", 2, "Leak audit", tag("p", text), tag("ul", *items) if items else None)


def notes(study: Study) -> Html | None:
    holders = report.holders(study.metrics)
    everyone = len(study.experiments)
    items = [f"{note} ({'all experiments' if len(n) == everyone else ', '.join(n)})" for note, n in holders.items()]
    return section("notes", 2, "Notes", bullets(items)) if items else None


def _text(value: str) -> Html:
    return tag("td", value, class_="text")


def _plain(markdown: str) -> str:
    return markdown.replace("**", "").replace("`", "").replace("\n", " ")


def _number(count: int, noun: str, several: str = "") -> str:
    return f"{count} {noun if count == 1 else several or noun + 's'}"
