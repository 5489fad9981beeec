"""The files of a report: report.html (everything), report.md and ledger.md (text, for git), and figures as PNG."""

from __future__ import annotations

import base64
import functools
import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from markupsafe import Markup, escape

from ser import __version__
from ser.core.files import read_csv, write_text
from ser.core.layout import Layout
from ser.evaluation.results import Result
from ser.report import across, answer, charts, experiment, explorer, forest, gallery, sections, systems, words
from ser.report.sound import Players
from ser.report.study import Study, load
from ser.report.tables import Table

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).with_name("templates")
ELSEWHERE = ("by speaker", "ECE", "published")  # beginnings of columns of scores that have a section on the page
LIBRARIES = ("torch", "numpy", "scikit-learn", "librosa", "opensmile", "gensim")


def write(layout: Layout, jobs: int = 1) -> Path:
    """Writes the report of a study that has run into its folder; returns the path of the HTML file. `jobs`: processes
    that draw.

    Equal inputs give equal bytes, but for the provenance and the costs in report.html. Raises `SerError` naming what is
    missing or faulty.
    """
    study = load(layout)
    drawn = gallery.draw(study, jobs)
    found = contents(study, drawn)
    write_text(layout.report / "ledger.md", render("ledger.md", found))
    write_text(layout.report / "report.md", render("report.md", found))
    write_text(layout.report / "report.html", render("report.html", found | {"provenance": provenance()}))
    return layout.report / "report.html"


def contents(study: Study, drawn: gallery.Gallery | None = None) -> dict[str, Any]:
    """What the templates show of a study."""
    drawn = drawn or gallery.Gallery()
    pictures, missing = drawn.experiments, drawn.missing
    players = Players(study.layout, _refused(study), _withheld(study))
    tests, groups, plot = sections.families(study), explorer.groups(study), forest.panels(study.results)
    missed = [systems.missed(g, players) for g in groups if len(g.systems) > 1]
    known = summary(study.name, study.results, study.scores, study.costs, study.losses)
    made = {
        **known,
        "papers": [paper for paper in known["published"] if paper.answered],
        "answers": answer.answers(study, {(c.a, c.b): c for family in tests for c in family.tests}),
        "numbers": answer.numbers(study, (len(groups[0].misses()), len(groups[0].table)) if groups else None),
        "forest": {
            "wide": forest.svg(plot, f"Study {study.name}: all systems with their intervals"),
            "narrow": forest.svg(plot, f"Study {study.name}: all systems with their intervals", narrow=True),
            "remarks": forest.remarks(plot),
            "reasons": forest.reasons(plot),
        }
        if plot
        else None,
        "missed": missed,
        "speakers": [table for g in groups if (table := systems.speakers(g))],
        "calibration": systems.calibration(study),
        "training": systems.costs(study),
        "shown": [_narrower(table) for table in sections.scores(study.scores, study.costs)],
        "corpora": sections.corpora(study),
        "models": ", ".join(dict.fromkeys(str(e.about.model) for e in study.experiments.values())),
        "comparisons": sections.comparisons(tests),
        "audits": sections.audits(study),
        "experiments": [
            experiment.section(e, players, pictures.get(name, ()), missing.get(name, ""))
            for name, e in study.experiments.items()
        ],
        "caution": words.CAUTION,
        "pretraining": [_pretraining(folder, drawn) for folder in study.pretraining],
        "words": [
            words.section(f, drawn.words.get(f.name, ()), missing.get(f"words/{f.name}", "")) for f in study.words
        ],
    }
    # last, so that what is shown without a script has its clips first
    return made | {"explorer": explorer.data(groups), "media": _media(groups, players)}


def _narrower(table: Table) -> Table:
    return table.only([name for name in table.header if not name.startswith(ELSEWHERE)])


def _media(groups: Sequence[explorer.Group], players: Players) -> str:
    """Clips and spectrograms for the cells of confusion matrices as JSON, the hardest utterances first."""
    names = [(row["corpus"], row["utterance"]) for g in groups for _, row in g.table.iloc[g.hardest()].iterrows()]
    return json.dumps(players.media(dict.fromkeys(names)), separators=(",", ":")).replace("<", "\\u003c")


def summary(
    name: str,
    found: Mapping[str, Result],
    scores: pd.DataFrame,
    costs: Mapping[str, Mapping[str, Any]] | None = None,
    losses: Mapping[str, Mapping[str, float]] | None = None,
    lasting: bool = False,
) -> dict[str, Any]:
    """What the results alone say: the part of `contents` that needs neither predictions nor cards. `lasting`: whether
    the costs are those of results in git (`sections.scores`)."""
    abouts = [r.description for r in found.values()]
    return {
        "study": name,
        "synthetic": any(a.synthetic for a in abouts),
        "count": len(abouts),
        "scores": sections.scores(scores, costs, lasting),
        "costs": bool(costs),
        "published": sections.published_results(found, losses),
        "others": sections.other_results(found.values()),
        "notes": sections.notes(found),
        "across": across.tables(found),
        "across_caption": across.CAPTION,
        "postprocessing": sections.postprocessing(found),
        "interval": next((r.interval for r in found.values() if r.interval), None),
        "transductive": any(a.transductive for a in abouts),
        "control": any(a.is_control for a in abouts),
        "biased": any(a.is_biased for a in abouts),
    }


def render(template: str, values: Mapping[str, Any]) -> str:
    """A file of ``templates`` with these values."""
    return _environment().get_template(template).render(values)


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(["html"]),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    made.filters["data_uri"] = _data_uri
    made.filters["breakable"] = _breakable
    return made


def provenance() -> list[str]:
    """From which code, with which libraries and on which machine the report was made. The date is that of the commit,
    so that equal code and inputs give equal bytes on one machine."""
    commit, date = _git("rev-parse", "--short", "HEAD"), _git("log", "-1", "--format=%cs")
    changed = " with uncommitted changes" if commit and _git("status", "--porcelain", "--untracked-files=no") else ""
    versions = []
    for name in LIBRARIES:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return [
        f"ser {__version__}" + (f", commit {commit} of {date}{changed}" if commit else ""),
        f"Python {platform.python_version()}, {', '.join(versions)}",
        f"{platform.system()} {platform.machine()}, {_processor()}",
        "on one machine equal inputs give an equal report; another one changes last digits of what is trained",
    ]


def _processor() -> str:
    """Model and number of the processors."""
    count = f"{os.cpu_count()} processors"
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return count
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {count}" if names else count


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _refused(study: Study) -> dict[str, str]:
    """Corpora that have no players in the report, and why."""
    refused = {}
    for e in study.experiments.values():
        reason = study.withheld(e.about.corpus, bool(e.about.synthetic))
        reason = reason or ("" if study.audio or e.about.synthetic else "params.yaml has report.audio: false")
        if reason:
            refused[str(e.about.corpus)] = reason
    return refused


def _withheld(study: Study) -> dict[str, str]:
    """Corpora of which the report shows no spectrogram, and why."""
    abouts = [e.about for e in study.experiments.values()]
    reasons = {str(a.corpus): study.withheld(a.corpus, a.synthetic) for a in abouts}
    return {corpus: reason for corpus, reason in reasons.items() if reason}


def _pretraining(folder: Path, drawn: gallery.Gallery) -> experiment.Part:
    """The learning curve of a pretraining and its sample reconstructions."""
    name, curve = folder.name, read_csv(folder / "curve.csv")
    losses = {c: curve[c].to_numpy(float) for c in curve.columns if "l1" in c}
    drawn_curve = charts.lines(f"{name}: L1 loss of masked frames", losses, "evaluation", "L1 loss") if losses else None
    return experiment.Part(
        name,
        charts=[drawn_curve] if drawn_curve else [],
        pictures=drawn.pretraining.get(name, []),
        remark=drawn.missing.get(f"pretraining/{name}", ""),
    )


def _breakable(text: str) -> Markup:
    """A name that may be broken after - and _; an interval that may not."""
    whole = str(escape(re.sub(r"(\[[-+.\d]+), ", "\\1,\N{NO-BREAK SPACE}", text)))
    return Markup(re.sub(r"(?<=\w)([-_])(?=\w)", r"\1<wbr>", whole))


def _data_uri(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
