"""The files of a report: report.html (everything), report.md and ledger.md (text, for git), and figures as PNG."""

from __future__ import annotations

import base64
import functools
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ser import __version__
from ser.core.files import read_csv, write_text
from ser.core.layout import Layout
from ser.evaluation.results import Result
from ser.report import across, charts, experiment, gallery, sections, words
from ser.report.sound import Players
from ser.report.study import Study, load

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).with_name("templates")
LIBRARIES = ("torch", "numpy", "scikit-learn", "librosa", "opensmile", "gensim")


def write(layout: Layout) -> Path:
    """Writes the report of a study that has run into its folder; returns the path of the HTML file.

    Equal inputs give equal bytes, but for the provenance and the costs in report.html. Raises `SerError` naming what is
    missing or faulty.
    """
    study = load(layout)
    drawn = gallery.draw(study)
    found = contents(study, drawn)
    write_text(layout.report / "ledger.md", render("ledger.md", found))
    write_text(layout.report / "report.md", render("report.md", found))
    write_text(layout.report / "report.html", render("report.html", found | {"provenance": provenance()}))
    return layout.report / "report.html"


def contents(study: Study, drawn: gallery.Gallery | None = None) -> dict[str, Any]:
    """What the templates show of a study."""
    drawn = drawn or gallery.Gallery()
    pictures, missing = drawn.experiments, drawn.missing
    players = Players(study.layout, _refused(study))
    return {
        **summary(study.name, study.results, study.scores, study.costs, study.losses),
        "corpora": sections.corpora(study),
        "models": ", ".join(dict.fromkeys(str(e.about.model) for e in study.experiments.values())),
        "comparisons": sections.comparisons(study),
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
    return made


def provenance() -> list[str]:
    """When, from which code, with which libraries and on which machine the report was made."""
    commit = _git("rev-parse", "--short", "HEAD")
    changed = " with uncommitted changes" if commit and _git("status", "--porcelain", "--untracked-files=no") else ""
    versions = []
    for name in LIBRARIES:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return [
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"ser {__version__}" + (f", commit {commit}{changed}" if commit else ""),
        f"Python {platform.python_version()}, {', '.join(versions)}",
        f"{platform.system()} {platform.machine()}",
    ]


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


def _data_uri(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
