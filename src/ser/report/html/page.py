"""The report of a study as one HTML file: no script, no network, nothing beside it. Equal inputs give equal bytes."""

from __future__ import annotations

from pathlib import Path

from ser.report.html import sections, semantics
from ser.report.html.experiment import experiment, figure
from ser.report.html.markup import Html, section, slug, tag
from ser.report.html.sound import Players
from ser.report.html.study import Study
from ser.report.summary import BANNER

STYLE = Path(__file__).with_name("style.css")
NAMES = {
    "data": "What ran, on which data",
    "results": "Results",
    "comparisons": "Paired comparisons",
    "published": "Published and ours",
    "audit": "Leak audit",
    "notes": "Notes",
    "pretraining": "Pretraining",
    "semantics": semantics.TITLE,
    "experiments": "Experiments",
}


def page(study: Study) -> str:
    """The whole document."""
    mark = " (SYNTHETIC data)" if study.synthetic else ""
    title = f"Study {study.name}{mark}"
    shareable = {n: bool(c.get("shareable")) for n, c in study.corpora.items()}
    for e in study.experiments.values():
        if e.synthetic:  # nobody's voice
            shareable[e.about["corpus"]] = True
    players = Players(study.layout, shareable)
    made = {
        "data": sections.data(study),
        "results": sections.scores(study),
        "comparisons": sections.comparisons(study),
        "published": sections.published(study),
        "audit": sections.audits(study),
        "notes": sections.notes(study),
        "pretraining": _pretraining(study),
        "semantics": semantics.section(study.semantics),
        "experiments": section(
            "experiments", 2, "Experiments", *(experiment(e, players) for e in study.experiments.values())
        ),
    }
    there = {name: part for name, part in made.items() if part is not None}
    banner = tag("p", _plain(BANNER), class_="warning") if study.synthetic else None
    main = tag("main", tag("h1", title), banner, _contents(study, list(there)), *there.values(), id="main")
    return f"<!DOCTYPE html>\n{_document(title, main)}\n"


def _contents(study: Study, names: list[str]) -> Html:
    links = [tag("li", tag("a", NAMES[name], href=f"#{name}")) for name in names]
    own = [tag("li", tag("a", name, href=f"#{slug(name)}")) for name in study.experiments]
    inside = tag("details", tag("summary", f"{len(own)} experiments"), tag("ul", *own)) if own else None
    return tag("nav", tag("ul", *links), inside, aria_label="Contents")


def _document(title: str, main: Html) -> Html:
    icon = "data:,"  # or a browser asks the server for one
    head = tag(
        "head",
        Html('<meta charset="utf-8">'),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{title} - ser report"),
        Html(f'<link rel="icon" href="{icon}">'),
        tag("style", Html("\n" + STYLE.read_text(encoding="utf-8"))),
    )
    body = tag("body", tag("a", "Skip to the report", href="#main", class_="skip"), main)
    return tag("html", head, body, lang="en")


def _pretraining(study: Study) -> Html | None:
    if not study.pretraining:
        return None
    made = [figure(p, f"{p.parent.name}: {p.stem.replace('_', ' ')}", study.synthetic) for p in study.pretraining]
    return section("pretraining", 2, "Pretraining", *made)


def _plain(markdown: str) -> str:
    return markdown.replace("> ", "").replace("**", "").replace("\n", " ")
