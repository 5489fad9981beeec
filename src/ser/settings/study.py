"""Studies: `ser study start` and `ser study new`.

The demo study is the repository root. Another study is a folder studies/<name> with a params.yaml; once it is started,
also with a copy of the graph (dvc.yaml). DVC loads every graph that it finds at every command, so a study that nobody
runs has none: copies are not committed. They cannot be git-ignored either, because DVC then refuses to run them.
"""

from __future__ import annotations

import fnmatch
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ser.core import plugins
from ser.core.errors import SerError
from ser.core.files import remove, replacing
from ser.corpora.overview import state
from ser.settings import check
from ser.settings.schema import GROUPS

STUDIES = Path("studies")
GRAPH = Path("dvc.yaml")
WIDE = 16_000  # Hz, of waveforms of real speech


def folder(name: str) -> Path:
    """Where a study's params.yaml is: "." for the demo. Raises `SerError` for a study that does not exist."""
    if not Path("params.yaml").exists():
        raise SerError("no params.yaml here", Path.cwd(), "Run this from the repository root")
    known = ["demo", *sorted(p.parent.name for p in STUDIES.glob("*/params.yaml"))]
    plugins.check_name(name, known, "study")
    return Path() if name == "demo" else STUDIES / name


def start(name: str) -> str:
    """Copies the graph into a study's folder, so that DVC can run it; checks its params.yaml first."""
    place = folder(name)
    check.read(place / "params.yaml", name)
    if place != Path():
        shutil.copyfile(GRAPH, place / GRAPH)
    return f"study {name} is ready. Run it: {command(name)}"


def command(name: str) -> str:
    return "dvc repro" if name == "demo" else f"dvc repro {(STUDIES / name / GRAPH).as_posix()}"


def check_graph(name: str) -> None:
    """Raises `SerError` unless a study's copy of the graph is there and current."""
    copy = folder(name) / GRAPH
    if not copy.exists():
        raise SerError(f"study {name} has not been started", copy, f"Run: ser study start {name}")
    if copy != GRAPH and copy.read_bytes() != GRAPH.read_bytes():
        raise SerError("this copy of the graph is older than dvc.yaml", copy, f"Run: ser study start {name}")


def new(
    name: str,
    corpora: Sequence[str],
    patterns: Sequence[str],
    base: str = "demo",
    source: str | None = None,
    csv: str | None = None,
    audio: str | None = None,
) -> str:
    """Makes and starts studies/<name>: of the base's params.yaml only what these corpora and experiments need.

    A corpus that the base does not have gets a baseline (`ser.settings.starter`). `csv` is a user's own table, and
    `audio` the folder that its paths are relative to. Raises `SerError` when the study exists and when no experiment is
    left.
    """
    from ruamel.yaml import YAML

    target = _free(name)
    yaml = YAML()
    yaml.width = 200
    origin = folder(base) / "params.yaml"
    check.read(origin)
    data = yaml.load(origin.read_text(encoding="utf-8"))
    _add_missing(data, corpora, csv, audio, yaml)
    left_out = _take(data, corpora, patterns, base)
    _set_source(data, source)
    enlarged = _enlarge(data)
    data["study"], data["root"], data["params"] = name, "../..", f"{target.as_posix()}/params.yaml"
    data.yaml_set_start_comment(
        f"Study {name}: {command(name)}\nMade from study {base} by ser study new; edit freely.\n"
    )
    _write(target, data, yaml)
    sources = ", ".join(f"{c} ({b['source']})" for c, b in data["corpora"].items())
    lines = [f"{target}: {sources}; {len(_experiments(data))} experiments"]
    lines += [f"left out: {experiment} also needs {', '.join(more)}" for experiment, more in left_out.items()]
    lines += [f"for real speech: {', '.join(enlarged)}; networks are as small as in {base}"] if enlarged else []
    return "\n".join([*lines, f"Run it: {command(name)}"])


def _free(name: str) -> Path:
    """The folder of a new study; raises `SerError` for a name that is not possible or is taken."""
    target = STUDIES / name
    if not check.NAME.fullmatch(name) or name == "demo":
        what = f"not a name for a new study: {name!r}"
        raise SerError(what, "ser study new", "Use letters, digits, - and _; demo is taken")
    if target.exists():
        raise SerError("this study exists already", target, "Choose another name, or edit its params.yaml")
    return target


def _experiments(data: Any) -> dict[str, Any]:
    """The experiments of all groups."""
    return {name: e for group in GROUPS for name, e in data[group].items()}


def _set_source(data: Any, source: str | None) -> None:
    """The source of each corpus: the one asked for, or else real where the corpus is here; `data` follows from them."""
    for corpus, block in data["corpora"].items():
        own = corpus == "table"  # it is where its CSV is
        block["source"] = source or ("real" if own or state(corpus) in ("here", "linked") else block["source"])
        if block["source"] == "real":
            block.pop("synthetic", None)
    kinds = {block["source"] for block in data["corpora"].values()}
    data["data"] = kinds.pop() if len(kinds) == 1 else "mixed"


def _write(target: Path, data: Any, yaml: Any) -> None:
    """The study's folder, started; nothing is left of it when its params.yaml does not pass the checks."""
    target.mkdir(parents=True)
    try:
        with replacing(target / "params.yaml") as temporary, temporary.open("w", encoding="utf-8") as file:
            yaml.dump(data, file)
        start(target.name)
    except BaseException:
        remove(target, STUDIES)
        raise


def _enlarge(data: Any) -> list[str]:
    """Where the speech is real, takes back what the demo makes small for synthetic speech: the label `size: demo`, and
    waveforms of 2 kHz, in which little of real speech is left. Returns what it did, in words.
    """
    real = {corpus for corpus, block in data["corpora"].items() if block["source"] == "real"}
    done = []
    for name, feature in data["features"].items():
        if feature["corpus"] in real and feature["feature"] == "waveform" and feature.get("rate", WIDE) < WIDE:
            feature["segment"] = round(feature["segment"] * WIDE / feature["rate"])
            feature["rate"] = WIDE
            done.append(f"{name} at {WIDE // 1000} kHz")
    blocks = [data.get("defaults") or {}, *_experiments(data).values()]
    small = [block for block in blocks if real and block.get("size") == "demo"]
    for block in small:
        block["size"] = "reduced"
    return [*(["size reduced"] if small else []), *done]


def _take(data: Any, corpora: Sequence[str], patterns: Sequence[str], base: str) -> dict[str, list[str]]:
    """Leaves in `data`, the base's params.yaml, what these corpora and patterns need.

    Returns the experiments on these corpora that are left out because they need further corpora, and those corpora.
    """
    having = {e["corpus"]: None for e in _experiments(data).values()}
    if not having.keys() & set(corpora):
        hint = f"Corpora with experiments there: {', '.join(having)}"
        raise SerError(f"study {base} has no experiment on {', '.join(corpora)}", "--corpora", hint)
    own = {n: e for n, e in _experiments(data).items() if e["corpus"] in corpora}
    further = {n: sorted(_needs(data, e) - set(corpora)) for n, e in own.items()}
    names = [n for n, more in further.items() if not more]
    _filter(data, set(corpora), patterns)
    if not _experiments(data):
        what = f"no experiment on {', '.join(corpora)} matches {', '.join(patterns)}"
        raise SerError(what, "--experiments", f"There are {', '.join(names)}")
    return {n: more for n, more in further.items() if more and _any(n, patterns)}


def _add_missing(data: Any, corpora: Sequence[str], csv: str | None, audio: str | None, yaml: Any) -> None:
    """Adds to `data` the blocks of the corpora that it lacks, and of a user's own table. Every corpus must exist."""
    if not corpora:
        raise SerError("no corpus is named", "--corpora", "Name some, such as emodb,ravdess; `ser corpora` lists them")
    for corpus in corpora:
        plugins.check_name(corpus, plugins.names("corpora"), "corpus", "--corpora")
    if (csv or audio) and "table" not in corpora:
        raise SerError("a CSV is the corpus table", "--csv" if csv else "--audio", "Add table to --corpora")
    if audio and not csv:
        raise SerError("a folder of audio needs its table", "--audio", "Give the path of your CSV: --csv PATH")
    from ser.settings import starter

    for corpus in corpora:
        if corpus not in data["corpora"] or (corpus == "table" and csv):
            starter.add(data, starter.blocks(corpus, yaml, csv, audio))


def _filter(data: Any, corpora: set[str], patterns: Sequence[str]) -> None:
    """Keeps the corpora and the experiments on them that match, then only the blocks that these need."""
    for block in ("corpora", "audio"):
        _keep(data[block], corpora)
    for group in GROUPS:
        _keep(data[group], [n for n, e in data[group].items() if _needs(data, e) <= corpora and _any(n, patterns)])
    left = _experiments(data)
    if "ensembles" in data:
        _keep(data["ensembles"], [n for n, e in data["ensembles"].items() if left.keys() >= set(e["members"])])
    packaged = {*left, *data.get("ensembles", ())}
    _keep(data["packages"], [n for n, p in data["packages"].items() if p["experiment"] in packaged])
    used = list(left.values())
    _keep(data["pretraining"], {e.get("pretrained") for e in used})
    _keep(data["words"], {e.get("words") for e in used})
    _keep(data["folds"], {f"{e['corpus']}-{e['folds']}" for e in used})
    _keep(data["features"], {f"{e['corpus']}-{e[k]}" for e in used for k in ("feature", "functionals") if k in e})
    _keep(data["audio"], {f["corpus"] for f in data["features"].values()})
    _keep(data["models"], {e["model"] for e in used})


def _any(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatch(name, p) for p in patterns)


def _needs(data: Any, experiment: Mapping[str, str]) -> set[str]:
    """The corpora that an experiment reads: its own, and those of its pretrained encoder or its word streams."""
    needed = {experiment["corpus"]}
    for key, block in (("pretrained", "pretraining"), ("words", "words")):
        if key in experiment:
            entry = data[block][experiment[key]]
            needed |= {entry[k] for k in ("corpus", "target") if k in entry}
    return needed


def _keep(block: Any, names: Any) -> None:
    for name in [n for n in block if n not in names]:
        del block[name]
    if not block:  # written as {} beside its key, or the comment behind the key would come between the two
        block.fa.set_flow_style()
