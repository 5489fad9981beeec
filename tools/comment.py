"""What a change does to the committed results, as Markdown: python tools/comment.py BASE HEAD > comment.md

Reads nothing but git: the details and scores of two revisions. It lists experiments that are new, removed or changed,
and published numbers whose answer changed. Differences of the demo that another machine explains
(`ser.evaluation.spread`) are folded apart from the rest. What one of the two lacks is named, never an error. With
`--dvc` the table of `dvc metrics diff` is added, folded.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ser.core.errors import SerError, run_command
from ser.evaluation import results, spread
from ser.evaluation.results import Description, Result, Score
from ser.report import ledger
from ser.report.tables import Table

ROWS = 60  # ours: rows of one table; GitHub takes 65 536 characters per comment
COUNTS = ("utterances_by_seed", "frames", "speakers", "seeds", "labels")  # follow from other changes
NUMBER = ("paper", "table", "system", "corpus", "protocol", "metric", "published")  # what identifies a published number


@dataclass(frozen=True)
class Side:
    """A revision: the results it holds, path -> id of the content."""

    name: str
    blobs: Mapping[str, str]

    def studies(self) -> set[str]:
        return {path.split("/")[1] for path in self.blobs}

    @cached_property
    def found(self) -> dict[str, dict[str, Result]]:
        """Study -> experiment -> result. Where git has no details, as in the demo, it is the scores alone."""
        made: dict[str, dict[str, Result]] = {}
        for path in sorted(self.blobs):  # details come before scores
            _, study, kind, file = path.split("/")
            name, known = file.removesuffix(".json"), made.setdefault(study, {})
            if name not in known:
                values = self._read(path)
                where = f"{self.name}:{path}"
                known[name] = results.from_json(values, where) if kind == "details" else _of_scores(name, study, values)
        return made

    def _read(self, path: str) -> dict[str, Any]:
        try:
            return json.loads(git("cat-file", "blob", self.blobs[path]))
        except json.JSONDecodeError as error:
            where, hint = f"{self.name}:{path}", "Make the file again: dvc repro"
            raise SerError(f"not valid JSON: {error}", where, hint) from error


def _of_scores(name: str, study: str, values: Mapping[str, Any]) -> Result:
    """A result from a file of scores, which says nothing about the data."""
    return Result(Description(name, study), {metric: Score(value) for metric, value in values.items()})


def git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        what = done.stderr.strip().splitlines()[:1] or [f"git failed with {done.returncode}"]
        raise SerError(
            what[0].removeprefix("fatal: "),
            f"git {' '.join(arguments)}",
            "Give two revisions that are here (git fetch)",
        )
    return done.stdout


def side(revision: str) -> Side:
    name = git("rev-parse", "--short", "--verify", f"{revision}^{{commit}}").strip()
    lines = git("ls-tree", "-r", "-z", "--full-tree", name, "metrics").split("\0")
    blobs = {path: about.split()[2] for about, _, path in (line.partition("\t") for line in lines) if path}
    kept = {p: b for p, b in blobs.items() if p.count("/") == 3 and p.split("/")[2] in ("details", "scores")}
    return Side(name, {p: b for p, b in kept.items() if p.endswith(".json")})


def comment(base: str, head: str, dvc: bool = False) -> str:
    """The Markdown. Raises `SerError` for an unknown revision, a file that is no JSON, and a failure of DVC."""
    before, after = side(base), side(head)
    lines = [f"## Results: {before.name} → {after.name}"]
    if not before.blobs or not after.blobs:
        lacking = [s.name for s in (before, after) if not s.blobs]
        lines.append(f"No results are committed in {' nor in '.join(lacking)}.")
    for study in sorted(before.studies() | after.studies()):
        lines += _study(study, before, after)
    return "\n\n".join([*lines, *(_metrics_diff(before, after) if dvc else [])]) + "\n"


def _study(study: str, before: Side, after: Side) -> list[str]:
    old, new = before.found.get(study, {}), after.found.get(study, {})
    names = sorted({*old, *new})
    changed = [n for n in names if old.get(n) != new.get(n)]
    near = [n for n in changed if study == "demo" and _is_near(n, old.get(n), new.get(n))]
    head = ("experiment", "data", "metric", before.name, after.name, "difference")
    rows, folded = (
        [row for name in of for row in _rows(name, old.get(name), new.get(name))]
        for of in ([n for n in changed if n not in near], near)
    )
    notes = [note for name in changed if name in old and name in new for note in _described(old[name], new[name])]
    kinds = {r.description.data for r in (*old.values(), *new.values())}
    parts = [f"### Study {study}{' (SYNTHETIC data)' if kinds == {'synthetic'} else ''}"]
    if rows:
        parts.append(_table("results", head, rows))
    if folded:
        what = f"{len(near)} experiment{'s differ' if len(near) > 1 else ' differs'} by no more than machines do"
        parts += [f"<details><summary>{what}</summary>", _table("within the spread", head, folded), "</details>"]
    parts += ["\n".join(notes)] if notes else []
    parts.append(f"{len(names) - len(changed)} of {len(names)} experiments are unchanged.")
    return [*parts, *_ledger(old, new, before.name, after.name)]


def _is_near(name: str, old: Result | None, new: Result | None) -> bool:
    """Whether another machine explains the difference."""
    if old is None or new is None or _described(old, new):
        return False
    a, b = ({results.label(m): s.value for m, s in r.scores.items()} for r in (old, new))
    return spread.is_within(name, a, b)


def _rows(name: str, old: Result | None, new: Result | None) -> list[list[str]]:
    """One row per number that is different from before."""
    there = [r for r in (old, new) if r]
    data = " → ".join(dict.fromkeys(r.description.data.replace("synthetic", "SYNTHETIC") for r in there))
    rows = []
    for metric in dict.fromkeys(m for r in there for m in r.scores):
        a, b = (r.scores.get(metric, results.UNDEFINED) if r else results.UNDEFINED for r in (old, new))
        cells = [results.text(s, 4) if s.value is not None else "" for s in (a, b)]
        if cells[0] != cells[1]:
            rows.append([name, data, results.label(metric), *cells, _difference(a.value, b.value)])
    if old and new and (a_n := old.description.utterances) != (b_n := new.description.utterances):
        rows.append([name, data, "n", str(a_n), str(b_n), f"{b_n - a_n:+d}"])
    return rows


def _difference(a: float | None, b: float | None) -> str:
    if a is None or b is None:
        return "removed" if b is None else "new"
    return "interval only" if a == b else f"{b - a:+.4f}"


def _described(old: Result, new: Result) -> list[str]:
    """What else the numbers now mean: another protocol, selection, size ... of the same experiment."""
    a, b = (dataclasses.asdict(r.description) for r in (old, new))
    keys = [k for k in a if k not in (*COUNTS, "utterances", "data") and a[k] != b[k]]
    return [f"- {a['experiment']}, {k}: {a[k]} → {b[k]}" for k in keys]


def _ledger(old: Mapping[str, Result], new: Mapping[str, Result], before: str, after: str) -> list[str]:
    """Published numbers whose answer changed."""
    one, two = answers(old), answers(new)
    changed = [key for key in two if one[key] != two[key]]
    if not changed:
        return []
    rows = [[*map(str, key), "<br>".join(one[key]), "<br>".join(two[key])] for key in changed]
    return ["#### Published numbers", _table("ledger", (*NUMBER, before, after), rows)]


def answers(found: Mapping[str, Result]) -> dict[tuple[object, ...], list[str]]:
    """Published number -> our answers, each with experiment, value and verdict."""
    made: dict[tuple[object, ...], list[str]] = {}
    for row in ledger.rows(found):
        ours = results.text(row.ours, 3) if row.ours.value is not None else ""
        key = tuple(getattr(row, name) for name in NUMBER)
        made.setdefault(key, []).append(f"{f'{row.experiment} {ours}'.strip()}: {row.verdict}".removeprefix(": "))
    return made


def _metrics_diff(before: Side, after: Side) -> list[str]:
    """`dvc metrics diff --md`, folded."""
    command = ["metrics", "diff", "--md", before.name, after.name]
    done = subprocess.run([sys.executable, "-m", "dvc", *command], capture_output=True, text=True, check=False)
    if done.returncode:
        what = (done.stderr.strip().splitlines() or ["it failed"])[-1].removeprefix("ERROR: ")
        raise SerError(what, f"dvc {' '.join(command)}")
    lines = [line for line in done.stdout.splitlines() if line.startswith("|")]
    if len(lines) < 3:  # the head and the rule
        return ["`dvc metrics diff`: nothing changed."]
    more = [f"And {len(lines) - 2 - ROWS} more rows."] if len(lines) > ROWS + 2 else []
    return ["<details><summary>dvc metrics diff</summary>", "\n".join(lines[: ROWS + 2]), *more, "</details>"]


def _table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    rows = list(rows)
    more = f"\n\nAnd {len(rows) - ROWS} more rows." if len(rows) > ROWS else ""
    return Table(caption, head, rows[:ROWS]).markdown() + more


def main() -> None:
    parser = argparse.ArgumentParser(description="What a change does to the committed results, as Markdown.")
    parser.add_argument("base", help="a git revision, such as origin/main")
    parser.add_argument("head", help="another one, such as HEAD")
    parser.add_argument("--dvc", action="store_true", help="add the table of dvc metrics diff")
    options = parser.parse_args()
    print(comment(options.base, options.head, options.dvc), end="")


if __name__ == "__main__":
    run_command(main)
