"""The files of a report: report.html (everything), report.md (tables, notes, audits), ledger.md, and plots as PNG."""

from __future__ import annotations

from pathlib import Path

from ser.files import write_text
from ser.layout import Layout
from ser.report import ledger, plots
from ser.report.html import page, study
from ser.report.summary import report


def write(layout: Layout) -> Path:
    """Writes the report of a study that ran into its folder; returns the path of the HTML file.

    Equal inputs give equal bytes. Raises `SerError` naming what is missing or faulty.
    """
    found = study.load(layout)
    plots.draw(found.name, found.metrics, {n: e.predictions for n, e in found.experiments.items()}, layout.report)
    write_text(layout.report / "ledger.md", ledger.markdown(ledger.rows(found.metrics), found.name))
    write_text(layout.report / "report.md", report(found.name, found.metrics, found.audits, layout.report))
    write_text(layout.report / "report.html", page.page(found))
    return layout.report / "report.html"
