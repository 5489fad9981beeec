"""Studies: a folder with a params.yaml and a copy of the one dvc.yaml; the demo study is the repository root itself."""

from __future__ import annotations

import fnmatch
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ser import params
from ser.core import plugins
from ser.core.errors import SerError
from ser.core.files import replacing
from ser.corpora._overview import state

STUDIES = Path("studies")


def folder(name: str) -> Path:
    """Where a study's params.yaml lies: "." for the demo. Raises `SerError` for a study that is not there."""
    known = ["demo", *sorted(p.parent.name for p in STUDIES.glob("*/params.yaml"))]
    if not Path("params.yaml").exists():
        raise SerError("no params.yaml here", Path.cwd(), "Run this from the repository root")
    plugins.check_name(name, known, "study")
    return Path() if name == "demo" else STUDIES / name


def new(
    name: str, corpora: Sequence[str], patterns: Sequence[str], base: str = "demo", source: str | None = None
) -> str:
    """Makes studies/<name>: a copy of dvc.yaml, and of the base's params.yaml only what these corpora and experiments
    need.

    Raises `SerError` when the study exists, a corpus is not in the base, or no experiment is left.
    """
    from ruamel.yaml import YAML

    target = STUDIES / name
    if not params.NAME.fullmatch(name) or name == "demo":
        raise SerError(
            f"not a name for a new study: {name!r}", "ser study new", "Use letters, digits, - and _; demo is taken"
        )
    if target.exists():
        raise SerError("this study exists already", target, "Choose another name, or edit its params.yaml")
    yaml = YAML()
    yaml.width = 200
    data = yaml.load((folder(base) / "params.yaml").read_text(encoding="utf-8"))
    for corpus in corpora:
        plugins.check_name(corpus, data["corpora"], f"corpus of study {base}", "--corpora")
    _filter(data, set(corpora), patterns)
    if not data["experiments"]:
        raise SerError(
            f"no experiment of study {base} matches {','.join(patterns)} on {','.join(corpora)}", "ser study new"
        )
    for corpus, block in data["corpora"].items():
        block["source"] = source or ("real" if state(corpus) in ("here", "linked") else block["source"])
        if block["source"] == "real":
            block.pop("synthetic", None)
    kinds = {block["source"] for block in data["corpora"].values()}
    data["data"] = kinds.pop() if len(kinds) == 1 else "mixed"
    data["study"], data["root"], data["params"] = name, "../..", f"{target.as_posix()}/params.yaml"
    data.yaml_set_start_comment(
        f"Study {name}: dvc repro {target.as_posix()}/dvc.yaml\nMade from study {base} by ser study new; edit freely.\n"
    )
    target.mkdir(parents=True)
    with replacing(target / "params.yaml") as temporary, temporary.open("w", encoding="utf-8") as file:
        yaml.dump(data, file)
    shutil.copyfile("dvc.yaml", target / "dvc.yaml")
    try:
        params.settings(target / "params.yaml")
    except SerError:
        shutil.rmtree(target)
        raise
    sources = ", ".join(f"{c} ({b['source']})" for c, b in data["corpora"].items())
    return (
        f"{target}: {sources}; {len(data['experiments'])} experiments\nRun it: dvc repro {target.as_posix()}/dvc.yaml"
    )


def _filter(data: Any, corpora: set[str], patterns: Sequence[str]) -> None:
    """Keeps the corpora and the experiments on them that match, then only the blocks these need."""
    for block in ("corpora", "audio"):
        _keep(data[block], lambda name, _: name in corpora)
    _keep(
        data["experiments"], lambda name, e: e["corpus"] in corpora and any(fnmatch.fnmatch(name, p) for p in patterns)
    )
    used = list(data["experiments"].values())
    _keep(data["folds"], lambda name, _: any(e["folds"] == name for e in used))
    features = {f"{e['corpus']}-{e[slot]}" for e in used for slot in ("feature", "feature2")}
    _keep(data["features"], lambda name, _: name in features)
    _keep(data["audio"], lambda name, _: any(f["corpus"] == name for f in data["features"].values()))
    _keep(data["models"], lambda name, _: any(e["model"] == name for e in used))


def _keep(block: Any, wanted: Any) -> None:
    for name in [n for n, value in block.items() if not wanted(n, value)]:
        del block[name]


def status(name: str) -> str:
    """What `dvc repro` of a study would run, with the reason in words, and what follows from it."""
    from dvc.repo import Repo

    file = (folder(name) / "dvc.yaml").as_posix()
    with Repo() as repo:
        changed = repo.status(targets=[file])
        graph = repo.index.graph
        stages = {s.addressing: s for s in graph.nodes if s.path_in_repo == file}
        direct = {_short(a): _reasons(r) for a, r in changed.items() if a in stages or _short(a) in map(_short, stages)}
        follow = set()
        for address, stage in stages.items():
            if _short(address) not in direct and any(_short(d.addressing) in direct for d in _ancestors(graph, stage)):
                follow.add(_short(address))
    if not direct:
        return f"study {name}: up to date, dvc repro would run nothing ({len(stages)} stages)"
    lines = [f"study {name}: {len(direct)} of {len(stages)} stages would run"]
    lines += [f"  {stage}: {'; '.join(reasons)}" for stage, reasons in direct.items()]
    if follow:
        lines.append(f"and after them, if their outputs change: {', '.join(sorted(follow))}")
    return "\n".join(lines)


def _ancestors(graph: Any, stage: Any) -> set[Any]:
    import networkx

    return networkx.descendants(graph, stage)  # edges point from a stage to those it depends on


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
