"""Writes the results in README.md (five rows, between its two marks), docs/results.md (all tables),
docs/what_holds.md (the papers' claims, tested) and docs/mistakes.md with its figure (what each mistake is worth) from
the results in git. `--check` only compares.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from ser.core.errors import SerError, run_command
from ser.core.files import read_csv, read_json, write_text
from ser.core.layout import Layout
from ser.evaluation import results
from ser.evaluation.published import published
from ser.evaluation.results import Result
from ser.report import budget, cost, forest, holds, ledger, mistakes, sections, write

FOREST = "The results on EMO-DB with their intervals, and what was published"
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
ROWS = 5  # of the README
SHOWN = ("experiment", "UA", "WA", "corpus, protocol", "published UA / WA / F1")  # columns of the README
README, PAGE, CLAIMS = Path("README.md"), Path("docs/results.md"), Path("docs/what_holds.md")


def committed() -> dict[str, dict[str, Result]]:
    """Study -> experiment -> result, of what git holds; without git, as in an unpacked archive, of what is there."""
    listed = subprocess.run(["git", "ls-files", "metrics"], capture_output=True, text=True, check=False)
    known = listed.stdout.splitlines() if listed.returncode == 0 else map(str, Path("metrics").rglob("*.json"))
    found: dict[str, dict[str, Result]] = {}
    for path in sorted(map(Path, known)):
        if path.parent.name == "details" and path.exists():
            found.setdefault(path.parts[1], {})[path.stem] = results.from_json(read_json(path), path)
    return found


def chosen(scores: pd.DataFrame) -> pd.DataFrame:
    """At most five systems on real data: of each paper the system that it proposes, which is the one with the highest
    published number, whatever its protocol; then the best speaker-independent systems of other
    models, which used nothing of the test speakers. The best comes first.
    """
    own = scores[(scores["data"] == "real") & (scores["kind"] == "classification")]
    own = own[~own["control"].isin(["majority", "shuffled_labels"]) & (own["model"] != "majority")]
    own = own[~own["selection"].map(results.is_biased)]
    own = own.sort_values("ua", ascending=False, kind="stable")
    answers = own[own["paper"].map(bool)].assign(printed=lambda rows: rows["paper"].map(_printed))
    answers = answers.sort_values("printed", ascending=False, kind="stable")
    answers = answers[~answers["paper"].str.partition(".")[0].duplicated()]
    honest = own[(own["speaker_independent"].map(lambda value: value is True)) & ~own["transductive"].astype(bool)]
    others = honest[~honest["model"].isin(answers["model"])].drop_duplicates("model")
    rows = pd.concat([answers, others]).head(ROWS)
    return rows.sort_values("ua", ascending=False, kind="stable")


def _printed(paper: str) -> float:
    """The highest number that a paper prints for one of its systems on one corpus."""
    cell = published(paper)
    return max(cell.numbers.values(), default=0.0) if cell else 0.0


def table(found: dict[str, dict[str, Result]]) -> str:
    """The rows of the README."""
    # results on joint corpora have labels of their own, so they are in docs/results.md only
    best = chosen(results.table(r for study in found.values() for r in study.values() if not r.across))
    if best.empty:
        return "No results on real data are in git."
    (made,) = sections.scores(best)
    legend = "† statistics of the test speakers' audio were used, without labels. "
    remark = (legend if best["transductive"].any() else "") + "All results: [docs/results.md](docs/results.md)."
    return f"{made.only(SHOWN).markdown()}\n\n{remark}"


def page(found: dict[str, dict[str, Result]]) -> str:
    studies = [study(name, own) for name, own in found.items()]
    interval = next((s["interval"] for s in studies if s["interval"]), None)
    others = sections.other_results(result for own in found.values() for result in own.values())
    return write.render("results.md", {"studies": studies, "interval": interval, "others": others})


def costs(study: str, own: dict[str, Result]) -> dict[str, dict[str, Any]]:
    """What each training took; of an ensemble what its members took together."""
    layout = Layout(study)
    paths = {name: layout.cost(name) for name in own}
    cards = {name: layout.evidence(name)[1] for name in own}
    found = {name: read_json(path) for name, path in paths.items() if path.exists()}
    return cost.with_ensembles(found, {name: read_json(card) for name, card in cards.items() if card.exists()})


def study(name: str, own: dict[str, Result]) -> dict[str, Any]:
    """What the page shows of one study."""
    paths = {experiment: Layout(name).curves(experiment) for experiment in own}
    curves = {experiment: read_csv(path) if path.exists() else pd.DataFrame() for experiment, path in paths.items()}
    losses = {experiment: ledger.final_losses(result, curves[experiment]) for experiment, result in own.items()}
    spent = costs(name, own)
    made = write.summary(name, own, results.table(own.values()), spent, losses, lasting=True)
    return made | {"budget": budget.table(curves, spent)}


def main() -> None:
    found, text = committed(), README.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    written = {README: f"{head}{BEGIN}\n\n{table(found)}\n\n{END}{rest.split(END)[1]}", PAGE: page(found)}
    written[CLAIMS] = write.render("what_holds.md", holds.contents(found))
    worth = mistakes.contents(found)
    written |= {Path("docs") / name: write.render(name, worth) for name in ("mistakes.md", "mistakes.svg")}
    plot = forest.panels(found.get("emodb", {}))
    for theme in forest.THEMES:
        written[Path("docs") / f"forest-{theme}.svg"] = forest.standalone(plot, FOREST, theme)
    for path, new in written.items():
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        if "--check" in sys.argv and new != old:
            raise SerError(
                "the results are not those of the files in git", path, "Write them again: python tools/readme.py"
            )
        write_text(path, new)


if __name__ == "__main__":
    run_command(main)
