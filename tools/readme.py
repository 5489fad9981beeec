"""Writes the results tables of README.md from the committed metrics, between its two marks. `--check` only compares."""

from __future__ import annotations

import sys
from pathlib import Path

from ser.errors import SerError, run_command
from ser.files import read_json, write_text
from ser.report import ledger
from ser.report import summary as report

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"


def tables() -> str:
    """One table a study whose metrics are committed; the studies on real data first."""
    parts = []
    for folder in sorted(Path("metrics").iterdir(), key=lambda p: (p.name == "demo", p.name)):
        found = {p.stem: read_json(p) for p in sorted(folder.glob("*.json"))}
        if found:
            parts += [
                f"### Study {folder.name}",
                report.tables(found, "####"),
                f"Figures, notes and leak audit: [reports/{folder.name}](reports/{folder.name}/report.md)",
            ]
            ran = [row for row in ledger.of(ledger.rows(found), "own") if row.ran]  # the ledger itself has the others
            if ran:
                parts += ["#### Published and ours", ledger.markdown(ran).replace("## ", "##### ")]
    legend = (
        "Each cell: pooled over all test folds, with a 95 % bootstrap interval over test speakers, corrected for their "
        "number. "
        "† transductive: statistics of the test speakers' unlabelled audio were used."
    )
    return "\n\n".join([*parts, legend])


def main() -> None:
    path = Path("README.md")
    text = path.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    new = f"{head}{BEGIN}\n\n{tables()}\n\n{END}{rest.split(END)[1]}"
    if "--check" in sys.argv and new != text:
        raise SerError("the results tables are stale", path, "python tools/readme.py")
    write_text(path, new)


if __name__ == "__main__":
    run_command(main)
