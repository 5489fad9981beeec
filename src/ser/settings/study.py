"""Studies: a folder with a params.yaml and a copy of the one dvc.yaml; the demo study is the repository root itself."""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ser import plugins
from ser.corpora.overview import state
from ser.errors import SerError
from ser.files import read_json, replacing
from ser.layout import Layout
from ser.settings import params
from ser.settings import times as _study_times

STUDIES = Path("studies")


def folder(name: str) -> Path:
    """Where a study's params.yaml lies: "." for the demo. Raises `SerError` for a study that is not there."""
    known = ["demo", *sorted(p.parent.name for p in STUDIES.glob("*/params.yaml"))]
    if not Path("params.yaml").exists():
        raise SerError("no params.yaml here", Path.cwd(), "Run this from the repository root")
    plugins.check_name(name, known, "study")
    return Path() if name == "demo" else STUDIES / name


def new(
    name: str,
    corpora: Sequence[str],
    patterns: Sequence[str],
    base: str = "demo",
    source: str | None = None,
    csv: str | None = None,
) -> str:
    """Makes studies/<name>: a copy of dvc.yaml, and of the base's params.yaml only what these corpora and experiments
    need. `csv` is a user's own table, whose blocks are made from what it holds.

    Raises `SerError` when the study exists, a corpus is not in the base, or no experiment is left.
    """
    from ruamel.yaml import YAML

    target = _free(name)
    yaml = YAML()
    yaml.width = 200
    origin = folder(base) / "params.yaml"
    params.settings(origin)  # a fault of the base is told in one line
    data = yaml.load(origin.read_text(encoding="utf-8"))
    left_out = _take(data, corpora, patterns, base, csv, yaml)
    _source(data, source)
    data["study"], data["root"], data["params"] = name, "../..", f"{target.as_posix()}/params.yaml"
    data.yaml_set_start_comment(
        f"Study {name}: dvc repro {target.as_posix()}/dvc.yaml\nMade from study {base} by ser study new; edit freely.\n"
    )
    _write(target, data, yaml)
    sources = ", ".join(f"{c} ({b['source']})" for c, b in data["corpora"].items())
    lines = [f"{target}: {sources}; {len(data['experiments'])} experiments"]
    lines += [f"left out: {name} needs {', '.join(more)}, too" for name, more in left_out.items()]
    return "\n".join([*lines, f"Run it: dvc repro {target.as_posix()}/dvc.yaml"])


def _free(name: str) -> Path:
    """Where a new study will lie; raises `SerError` for a name that cannot be, or is taken."""
    target = STUDIES / name
    if not params.NAME.fullmatch(name) or name == "demo":
        what = f"not a name for a new study: {name!r}"
        raise SerError(what, "ser study new", "Use letters, digits, - and _; demo is taken")
    if target.exists():
        raise SerError("this study exists already", target, "Choose another name, or edit its params.yaml")
    return target


def _source(data: Any, source: str | None) -> None:
    """The source of each corpus: what was asked for, else real where the corpus is here; and `data`, what it makes."""
    for corpus, block in data["corpora"].items():
        own = corpus == "table"  # lies where its CSV is
        block["source"] = source or ("real" if own or state(corpus) in ("here", "linked") else block["source"])
        if block["source"] == "real":
            block.pop("synthetic", None)
    kinds = {block["source"] for block in data["corpora"].values()}
    data["data"] = kinds.pop() if len(kinds) == 1 else "mixed"


def _write(target: Path, data: Any, yaml: Any) -> None:
    """The study's folder, or none at all when its params.yaml does not pass the checks."""
    target.mkdir(parents=True)
    try:
        with replacing(target / "params.yaml") as temporary, temporary.open("w", encoding="utf-8") as file:
            yaml.dump(data, file)
        shutil.copyfile("dvc.yaml", target / "dvc.yaml")
        params.settings(target / "params.yaml", target.name)
    except BaseException:
        shutil.rmtree(target)
        raise


def _take(
    data: Any, corpora: Sequence[str], patterns: Sequence[str], base: str, csv: str | None, yaml: Any
) -> dict[str, list[str]]:
    """Leaves in `data`, the base's params.yaml, what these corpora and patterns need; adds the blocks of a CSV.
    Returns the experiments on these corpora that need further ones and are left out: those."""
    if not corpora:
        raise SerError("no corpus is named", "--corpora", "Name some, such as emodb,ravdess; `ser corpora` lists them")
    for corpus in corpora:
        plugins.check_name(corpus, plugins.names("corpora"), "corpus", "--corpora")
    if csv and "table" not in corpora:
        raise SerError("a CSV is the corpus table", "--csv", "Add table to --corpora")
    if "table" in corpora and (csv or "table" not in data["corpora"]):
        from ser.settings import table as _table_blocks

        _table_blocks.add(data, _table_blocks.blocks(csv, yaml))
    for corpus in corpora:
        if corpus not in data["corpora"]:
            known = ", ".join(data["corpora"])
            hint = f"It has {known}; give a --base that has {corpus}, or add its blocks to the base's params.yaml"
            raise SerError(f"study {base} has no corpus {corpus}", "--corpora", hint)
    having = {e["corpus"]: None for e in data["experiments"].values()}
    if not having.keys() & set(corpora):
        hint = f"Corpora with experiments there: {', '.join(having)}"
        raise SerError(f"study {base} has no experiment on {', '.join(corpora)}", "--corpora", hint)
    own = {n: e for n, e in data["experiments"].items() if e["corpus"] in corpora}
    further = {n: sorted(_needs(data, e) - set(corpora)) for n, e in own.items()}
    names = [n for n, more in further.items() if not more]
    _filter(data, set(corpora), patterns)
    if not data["experiments"]:
        what = f"no experiment on {', '.join(corpora)} matches {', '.join(patterns)}"
        raise SerError(what, "--experiments", f"There are {', '.join(names)}")
    return {n: more for n, more in further.items() if more and _any(n, patterns)}


def _filter(data: Any, corpora: set[str], patterns: Sequence[str]) -> None:
    """Keeps the corpora and the experiments on them that match, then only the blocks these need."""
    for block in ("corpora", "audio"):
        _keep(data[block], lambda name, _: name in corpora)
    _keep(
        data["experiments"],
        lambda name, e: _needs(data, e) <= corpora and _any(name, patterns),
    )
    used = list(data["experiments"].values())
    extra = {e["extra"] for e in used}
    _keep(data["pretraining"], lambda name, _: f"pretrained/{name}" in extra)
    _keep(data["semantics"], lambda name, _: f"semantics/{name}" in extra)
    _keep(data["folds"], lambda name, _: any(e["folds"] == name for e in used))
    features = {f"{e['corpus']}-{e[slot]}" for e in used for slot in ("feature", "feature2")}
    _keep(data["features"], lambda name, _: name in features or f"features/{name}" in extra)
    _keep(data["audio"], lambda name, _: any(f["corpus"] == name for f in data["features"].values()))
    _keep(data["models"], lambda name, _: any(e["model"] == name for e in used))


def _any(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatch(name, p) for p in patterns)


def _needs(data: Any, experiment: Any) -> set[str]:
    """The corpora an experiment reads: its own, and those of its pretrained weights or word streams."""
    kind, _, name = experiment["extra"].partition("/")
    block = {"pretrained": "pretraining", "semantics": "semantics"}.get(kind)
    made = data[block][name] if block else {}
    return {experiment["corpus"]} | {made[key] for key in ("corpus", "target") if key in made}


def _keep(block: Any, wanted: Any) -> None:
    for name in [n for n, value in block.items() if not wanted(n, value)]:
        del block[name]
    if not block:  # as {} beside its key: the comment behind the key would part them
        block.fa.set_flow_style()


def status(name: str) -> str:
    """What `dvc repro` of a study would run, with the reason in words, and what follows from it.

    Raises `SerError` for a faulty params.yaml, and for what DVC cannot read.
    """
    from dvc.exceptions import DvcException

    params.settings(folder(name) / "params.yaml", name)  # DVC cannot read the graph without its blocks
    try:
        return _status(name)
    except DvcException as error:
        raise SerError(str(error), "dvc.yaml of this or of another study", "Run: dvc status") from error


def _status(name: str) -> str:
    from dvc.repo import Repo

    file = (folder(name) / "dvc.yaml").as_posix()
    with Repo() as repo:
        graph = repo.index.graph
        stages = {s.addressing: s for s in graph.nodes if s.path_in_repo == file}
        if not Path(file).with_suffix(".lock").exists():
            return f"study {name} never ran: {len(stages)} stages would run"
        changed = repo.status(targets=[file])
        direct = {_short(a): _reasons(r) for a, r in changed.items() if a in stages or _short(a) in map(_short, stages)}
        causes = set(direct)
        if "settings" in direct:  # it rewrites every settings file, but only those that change make others run
            direct |= {s: ["its settings change"] for s in _resettled(name) - causes}
            causes = set(direct) - {"settings"}
        follow = set()
        for address, stage in stages.items():
            if _short(address) not in direct and any(_short(d.addressing) in causes for d in _ancestors(graph, stage)):
                follow.add(_short(address))
    corpora = _changed_corpora(name, file)
    if not direct:
        up = f"study {name}: up to date, dvc repro would run nothing ({len(stages)} stages)"
        return "\n".join([up, *corpora])
    lines = [f"study {name}: {len(direct)} of {len(stages)} stages would run"]
    lines += [f"  {', '.join(same)}: {reason}" for reason, same in _grouped(direct).items()]
    if follow:
        lines.append(f"and after them, if their outputs change: {', '.join(sorted(follow))}")
    return "\n".join([*lines, *_study_times.estimate(name, sorted({*direct, *follow})), *corpora])


def _resettled(name: str) -> set[str]:
    """The stages whose settings the params.yaml of today changes; those without settings yet DVC names itself."""
    made = params.settings(folder(name) / "params.yaml", name)
    places = {key: Layout(name).data / "settings" / f"{key}.json" for key in made if key != "run"}  # run: no stage's
    kept = {key: read_json(path) for key, path in places.items() if path.exists()}
    return {key.replace("/", "@") for key, value in kept.items() if json.loads(json.dumps(made[key])) != value}


def _grouped(direct: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Reasons in words -> the stages they hold for."""
    groups: dict[str, list[str]] = {}
    for stage, reasons in direct.items():
        groups.setdefault("; ".join(reasons), []).append(stage)
    return groups


def _changed_corpora(name: str, file: str) -> list[str]:
    """A line for each corpus whose original files changed since its receipt: DVC does not watch them."""
    from ser.corpora.location import changed

    prefix = "" if name == "demo" else f"{file}:"
    receipts = sorted(Layout(name).receipt("x").parent.glob("*.json"))
    return [
        f"the files of {path.stem} changed since it was read; take them over: dvc repro -f {prefix}download@{path.stem}"
        for path in receipts
        if changed(read_json(path))
    ]


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
