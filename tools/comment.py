"""What a change does to the committed results, as Markdown: python tools/comment.py BASE HEAD > comment.md

Reads nothing but git: the metrics, ledgers and plots of two revisions. Tells experiments that are new, removed or
changed, ledger entries that are other than before, and embeds the plots that changed, as paths from the repository
root (CML attaches them). What one side lacks is said, never an error. With `--dvc` the table of `dvc metrics diff` is
added, folded: every bound of every interval, of all studies in one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ser.errors import SerError, run_command

PLOTS = 8  # ours: plots shown in the comment, so that it stays readable; the others are named
ROWS = 60  # ours: rows of one table; GitHub takes 65 536 characters a comment
ENDS = ("_low", "_high")  # the bounds of a number's interval, which stand in its cell
IDENTITY = ("study", "experiment")  # of an experiment's description; the rest says what the numbers mean


@dataclass(frozen=True)
class Side:
    """A revision: the results it holds, path -> id of the content."""

    name: str
    blobs: Mapping[str, str]

    def read(self, path: str) -> str:
        return git("cat-file", "blob", self.blobs[path]) if path in self.blobs else ""

    def studies(self) -> set[str]:
        return {p.split("/")[1] for p in self.blobs if p.count("/") >= 2}

    def experiment(self, path: str) -> dict[str, Any]:
        """A metrics file, {} where the revision has none. Raises `SerError` naming revision and path."""
        try:
            found = json.loads(self.read(path) or "{}")
        except json.JSONDecodeError as error:
            raise SerError(f"not valid JSON: {error}", f"{self.name}:{path}", "Make it anew: dvc repro") from error
        return found if isinstance(found, dict) else {}


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
    lines = git("ls-tree", "-r", "-z", "--full-tree", name, "metrics", "reports").split("\0")
    blobs = {path: about.split()[2] for about, _, path in (line.partition("\t") for line in lines) if path}
    return Side(name, blobs)


def comment(base: str, head: str, plots: int = PLOTS, dvc: bool = False) -> str:
    """The Markdown. Raises `SerError` for an unknown revision, a metrics file that is no JSON, and DVC's failures."""
    before, after = side(base), side(head)
    lines = [f"## Results: {before.name} → {after.name}"]
    if not before.blobs or not after.blobs:
        lacking = [s.name for s in (before, after) if not s.blobs]
        lines.append(f"No results are committed in {' nor in '.join(lacking)}.")
    for study in sorted(before.studies() | after.studies()):
        lines += _study(study, before, after)
    lines += _metrics_diff(before, after) if dvc else []
    return "\n\n".join([*lines, *_plots(before, after, plots)]) + "\n"


def _study(study: str, before: Side, after: Side) -> list[str]:
    paths = sorted(p for p in {*before.blobs, *after.blobs} if _is_metrics(p, study))
    changed = [p for p in paths if before.blobs.get(p) != after.blobs.get(p)]
    pairs = {p: (before.experiment(p), after.experiment(p)) for p in changed}
    rows = [row for path, (old, new) in pairs.items() for row in _rows(_name(path), old, new)]
    notes = [note for path, (old, new) in pairs.items() for note in _described(_name(path), old, new)]
    title = f"### Study {study}{_mark(study, before, after)}"
    head = ("experiment", "data", "metric", before.name, after.name, "difference")
    parts = [title, *([_table(head, rows)] if rows else []), *(["\n".join(notes)] if notes else [])]
    if paths:
        parts.append(f"{len(paths) - len(changed)} of {len(paths)} experiments are unchanged.")
    return [*parts, *_ledger(study, before, after)]


def _is_metrics(path: str, study: str) -> bool:
    return path.startswith(f"metrics/{study}/") and path.endswith(".json") and path.count("/") == 2


def _mark(study: str, *sides: Side) -> str:
    """Said of a study all of whose results are on synthetic corpora."""
    kinds = {_data(s.experiment(p)) for s in sides for p in s.blobs if _is_metrics(p, study)}
    return " (SYNTHETIC data)" if kinds == {"SYNTHETIC"} else ""


def _name(path: str) -> str:
    return path.rsplit("/", 1)[1].removesuffix(".json")


def _data(metrics: Mapping[str, Any]) -> str:
    return "SYNTHETIC" if metrics.get("data") == "synthetic" else str(metrics.get("data", "unknown"))


def _rows(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[list[str]]:
    """One row a number that is other than before."""
    data = " → ".join(dict.fromkeys(_data(m) for m in (old, new) if m))
    rows = []
    for metric in dict.fromkeys([*old, *new]):
        if metric == "n" and not (old and new):
            continue
        if metric.endswith(ENDS) or not (_is_number(old.get(metric)) or _is_number(new.get(metric))):
            continue
        cells = _cell(old, metric), _cell(new, metric)
        if cells[0] != cells[1]:
            rows.append([name, data, _label(metric), *cells, _difference(old.get(metric), new.get(metric), old, new)])
    return rows


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _label(metric: str) -> str:
    return (
        f"CCC {metric.removeprefix('ccc_')}"
        if metric.startswith("ccc_")
        else metric
        if metric == "n"
        else metric.upper()
    )


def _cell(metrics: Mapping[str, Any], metric: str) -> str:
    value, bounds = metrics.get(metric), [metrics.get(metric + end) for end in ENDS]
    if not _is_number(value):
        return ""
    interval = f" [{_number(bounds[0])}, {_number(bounds[1])}]" if all(map(_is_number, bounds)) else ""
    return _number(value) + interval


def _number(value: Any) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4f}"


def _difference(a: Any, b: Any, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    if not old or not new:
        return "new" if new else "removed"
    if not (_is_number(a) and _is_number(b)):
        return "new" if _is_number(b) else "removed"
    if a == b:
        return "interval only"
    return f"{b - a:+d}" if isinstance(a, int) and isinstance(b, int) else f"{b - a:+.4f}"


def _described(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What else the numbers now mean: another protocol, selection, size ... of the same experiment. Further numbers and
    lists of its description follow from the change; they are left out."""
    if not old or not new:
        return []
    a, b = ((m.get("about") or [{}])[0] for m in (old, new))
    keys = [k for k in dict.fromkeys([*a, *b]) if k not in IDENTITY and a.get(k) != b.get(k)]
    plain = [k for k in keys if not any(isinstance(v.get(k), (dict, list, float)) for v in (a, b))]
    return [f"- {name}, {k}: {a.get(k, 'not said')} → {b.get(k, 'not said')}" for k in plain]


def _ledger(study: str, before: Side, after: Side) -> list[str]:
    """Published numbers whose answer changed; of a ledger that is new, only those that have one."""
    path = f"reports/{study}/ledger.md"
    if path not in after.blobs:
        return [f"The ledger is gone (`{path}`)."] if path in before.blobs else []
    old, new = answers(before.read(path)), answers(after.read(path))
    if path not in before.blobs:
        ran = sum(any(not a.startswith("not run") for a in answer) for answer in new.values())
        return [f"The ledger is new: {ran} of {len(new)} published numbers have an answer (`{path}`)."]
    keys = [k for k in dict.fromkeys([*old, *new]) if old.get(k) != new.get(k)]
    if not keys:
        return ["The ledger of published numbers is unchanged."]
    shown = ["<br>".join(answer.get(k, ["not in it"])) for k in keys for answer in (old, new)]
    rows = [[*key, a, b] for key, a, b in zip(keys, shown[::2], shown[1::2], strict=True)]
    head = ("paper", "table", "row", "corpus", "protocol", "metric", "published", before.name, after.name)
    return ["#### Ledger", _table(head, rows)]


def answers(ledger: str) -> dict[tuple[str, ...], list[str]]:
    """The tables of a ledger.md: published number -> our answers, each with experiment, value and verdict."""
    found: dict[tuple[str, ...], list[str]] = {}
    paper = ""
    columns: list[str] = []
    for line in ledger.splitlines():
        if line.startswith("#"):  # below a paper's heading those of its further tables
            paper, columns = line.lstrip("# ").partition(":")[0] if not line.startswith("###") else paper, []
        elif line.startswith("|"):
            cells = [c.strip() for c in line.strip().strip("|").split("|")]
            if not columns:
                columns = cells
            elif set(line) - set("|-: "):
                row = dict(zip(columns, cells, strict=False))
                key = (paper, *(row.get(k, "") for k in ("table", "row", "corpus", "protocol", "metric", "published")))
                ours = " ".join(row[k] for k in ("experiment", "ours") if row.get(k))
                found.setdefault(key, []).append(f"{ours}: {row.get('verdict', '')}".removeprefix(": "))
    return found


def _metrics_diff(before: Side, after: Side) -> list[str]:
    """`dvc metrics diff --md`, behind a fold."""
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


def _plots(before: Side, after: Side, limit: int) -> list[str]:
    images = [p for p in after.blobs if p.startswith("reports/") and p.endswith(".png")]
    changed = [p for p in images if before.blobs.get(p) != after.blobs[p]]
    changed.sort(key=lambda p: ("confusion" in p, p))  # the overviews first
    parts = ["### Plots that changed"] if changed else []
    marks = {study: _mark(study, before, after) for study in {p.split("/")[1] for p in changed}}
    parts += [f"![{_caption(p)}{marks[p.split('/')[1]]}]({p})" for p in changed[:limit]]
    if rest := changed[limit:]:
        parts.append("And " + ", ".join(f"`{p}`" for p in rest))
    return parts


def _caption(path: str) -> str:
    _, study, name = path.split("/", 2)
    return f"{name.removesuffix('.png')}, study {study}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    rows = list(rows)
    lines = [head, ["---"] * len(head), *rows[:ROWS]]
    more = f"\n\nAnd {len(rows) - ROWS} more rows." if len(rows) > ROWS else ""
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + more


def main() -> None:
    parser = argparse.ArgumentParser(description="What a change does to the committed results, as Markdown.")
    parser.add_argument("base", help="a git revision, such as origin/main")
    parser.add_argument("head", help="another one, such as HEAD")
    parser.add_argument("--plots", type=int, default=PLOTS, help=f"plots to embed at most (default: {PLOTS})")
    parser.add_argument("--dvc", action="store_true", help="add the table of dvc metrics diff")
    options = parser.parse_args()
    print(comment(options.base, options.head, options.plots, options.dvc), end="")


if __name__ == "__main__":
    run_command(main)
