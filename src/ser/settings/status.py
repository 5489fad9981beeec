"""`ser study status`: what `dvc repro` of a study would run, why, and how long the trainings take by past runs."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ser.core.caching import CHECKPOINTS
from ser.core.compute import workers
from ser.core.errors import SerError
from ser.core.files import read_json, repro
from ser.core.layout import Layout
from ser.settings import check, files, hours
from ser.settings.study import GRAPH, check_graph, command, folder


def status(name: str) -> str:
    """What `dvc repro` of a study would run, with the reasons in words, and what would follow from it.

    Raises `SerError` for a faulty params.yaml, and for what DVC cannot read.
    """
    from dvc.exceptions import DvcException

    path = folder(name) / "params.yaml"
    study = check.read(path, name)
    made = files.files(study)  # DVC cannot read the graph without its blocks
    if name != "demo" and not (folder(name) / GRAPH).exists():
        return "\n".join([f"study {name} has not been started. Run: ser study start {name}", *hours.lines(study)])
    check_graph(name)
    try:
        return _status(name, made, hours.lines(study))
    except DvcException as error:
        raise SerError(str(error), "dvc.yaml of this or of another study", "Run: dvc status") from error


def _status(name: str, made: Mapping[str, Any], planned: Sequence[str]) -> str:
    """`planned`: the lines that a study has as long as it never ran."""
    from dvc.repo import Repo

    file = (folder(name) / GRAPH).as_posix()
    with Repo() as repo:
        graph = repo.index.graph
        stages = {_short(s.addressing): s for s in graph.nodes if s.path_in_repo == file}
        ran = _ran(Path(file).with_suffix(".lock"))
        if not ran:
            return "\n".join([f"study {name} never ran: {len(stages)} stages would run", *planned])
        changed = {_short(a): _reasons(r) for a, r in repo.status(targets=[file]).items() if _short(a) in stages}
        direct = {s: r for s, r in changed.items() if s in ran}
        if "settings" in direct:  # it writes every settings file again, but only those that change make others run
            direct |= {s: ["its settings change"] for s in _changed_settings(name, made) & ran if s not in direct}
        causes = (set(direct) | (stages.keys() - ran)) - {"settings"}
        follow = {s for s, stage in stages.items() if s in ran - direct.keys() and _ancestors(graph, stage) & causes}
    never = [s for s in stages if s not in ran]
    lines = [f"study {name}: {len(direct) + len(never)} of {len(stages)} stages would run"]
    if not direct and not never:
        lines = [f"study {name}: up to date, {command(name)} would run nothing ({len(stages)} stages)"]
    lines += [f"  {', '.join(same)}: {reason}" for reason, same in _grouped(direct).items()]
    if never:
        lines.append(f"  {', '.join(never)}: never ran")
    if follow:
        lines.append(f"and after them, if their outputs change: {', '.join(sorted(follow))}")
    lines += estimate(name, sorted({*direct, *never, *follow}))
    return "\n".join([*lines, *_changed_corpora(name), *_changed_files(name)])


def _ran(lock: Path) -> set[str]:
    """The stages that ran before, by the lock file that DVC keeps beside the graph."""
    from ruamel.yaml import YAML

    return set(YAML(typ="safe").load(lock.read_text(encoding="utf-8"))["stages"]) if lock.exists() else set()


def _changed_settings(name: str, made: Mapping[str, Any]) -> set[str]:
    """The stages whose settings file the params.yaml and the code of today would change."""
    changed = set()
    for key, value in made.items():
        path = Layout(name).data / "settings" / f"{key}.json"
        if path.exists() and json.loads(json.dumps(value)) != read_json(path):
            stage, _, entry = key.partition("/")
            changed |= {f"{group}@{entry}" for group in TRAININGS} if stage == "train" else {key.replace("/", "@")}
    return changed


TRAININGS = ("train", "finetune", "train_with_functionals", "train_with_words")  # one stage per group of experiments


def _grouped(direct: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Reasons in words -> the stages they apply to."""
    groups: dict[str, list[str]] = {}
    for stage, reasons in direct.items():
        groups.setdefault("; ".join(reasons), []).append(stage)
    return groups


def _changed_corpora(name: str) -> list[str]:
    """A line for each corpus whose original files changed since its receipt: DVC does not watch them."""
    from ser.corpora.location import changed

    receipts = sorted(Layout(name).receipt("x").parent.glob("*.json"))
    return [
        f"the files of {path.stem} changed since they were read; to read them again: "
        f"{repro(path, f'download@{path.stem}')}"
        for path in receipts
        if changed(read_json(path))
    ]


def _changed_files(name: str) -> list[str]:
    """A line for each file that a feature names, such as weights, and that changed since the settings were written."""
    folder = Layout(name).data / "settings" / "features"
    then: dict[str, str] = {}
    for path in sorted(folder.glob("*.json")):
        then |= read_json(path).get("files", {})
    again = repro(folder, "settings")
    return [
        f"the file {path} changed since it was read; to read it again: {again}, then {command(name)}"
        for path, digest in then.items()
        if files.named_files({"path": path}).get(path) != digest
    ]


def _ancestors(graph: Any, stage: Any) -> set[str]:
    import networkx

    return {_short(s.addressing) for s in networkx.descendants(graph, stage)}  # edges point from a stage to its inputs


def _short(address: str) -> str:
    return address.rsplit(":", 1)[-1]


def _reasons(entries: Sequence[Any]) -> list[str]:
    """DVC's status entries of one stage as words."""
    words = {"modified": "changed", "deleted": "is missing", "new": "is new", "not in cache": "is not in the cache"}
    reasons = []
    for entry in entries:
        if isinstance(entry, Mapping):
            for kind, paths in entry.items():
                what = "input" if kind == "changed deps" else "output"
                reasons += [f"{what} {path} {_word(change, words)}" for path, change in paths.items()]
        else:
            reasons.append(re.sub("^changed command$", "its command changed", str(entry)))
    return reasons


def _word(change: Any, words: Mapping[str, str]) -> str:
    if isinstance(change, Mapping):  # parameters: {key: change}
        return "changed: " + ", ".join(f"{key} {words.get(value, value)}" for key, value in change.items())
    return words.get(change, str(change))


def estimate(name: str, stages: Iterable[str]) -> list[str]:
    """One line with the minutes of the trainings among `stages` by their past runs, longest first; no line without
    trainings. Other stages keep no times and are not counted."""
    times = {**dict.fromkeys(TRAININGS, _train_seconds), "pretrain": _pretrain_seconds}
    named = {stage: stage.partition("@") for stage in stages}
    taken = {stage: times[kind](name, what) for stage, (kind, _, what) in named.items() if kind in times}
    known = {stage: seconds for stage, seconds in taken.items() if seconds is not None}
    words = []
    if known:
        each = [f"{s} {_minutes(known[s])}" for s in sorted(known, key=lambda s: -known[s])]
        words.append(f"training, by past runs: {_minutes(sum(known.values()))} ({', '.join(each)})")
    if len(known) < len(taken):
        words.append("no past run to time: " + ", ".join(s for s in taken if s not in known))
    return ["; ".join(words)] if words else []


def _minutes(seconds: float) -> str:
    return f"{max(1, round(seconds / 60))} min" if seconds >= 30 else f"{math.ceil(seconds)} s"


def _train_seconds(study: str, experiment: str) -> float | None:
    """Seconds that an experiment takes: the mean of its last run's folds, in as many rounds as this machine's workers
    need."""
    path = Layout(study).cost(experiment)
    cost = read_json(path) if path.exists() else {}
    if not cost.get("folds"):
        return None
    settings = Layout(study).data / "settings" / "run.json"
    jobs = workers(read_json(settings) if settings.exists() else None, "cpu" if cost["device"] == "cpu" else "cuda")
    return math.ceil(cost["folds"] / jobs) * cost["seconds"] / cost["folds"]


def _pretrain_seconds(study: str, name: str) -> float | None:
    """Seconds of the newest pretraining with as many steps: the record of a pretraining does not name its study."""
    from ser.pretraining.settings import Settings

    settings = Layout(study).data / "settings" / "pretrain" / f"{name}.json"
    if not settings.exists():
        return None
    steps = read_json(settings)["settings"].get("steps", Settings.steps)
    paths = sorted((CHECKPOINTS / "pretraining").glob("*/cost.json"), key=lambda p: p.stat().st_mtime)
    same = [cost["seconds"] for cost in map(read_json, paths) if cost["steps"] == steps]
    return same[-1] if same else None
