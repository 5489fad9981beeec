"""The pages of docs, README and CONTRIBUTING: every command is valid, and every value, file and link exists.

Nothing is run here. `tests/pipeline/test_doc_commands.py` runs the quick commands.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import ser
from ser.cli import parser
from ser.core import plugins
from ser.settings import check as checks
from ser.settings.schema import GROUPS, Experiment, Package, Run
from ser.settings.yamlfile import load
from tests.conftest import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
IN_ROOT = {"cwd": ROOT, "capture_output": True, "text": True, "check": True}
COMMANDS = ("ser", "dvc", "python", "torchrun", "make", "sbatch", "dask", "git", "pip", "find")
NAMED = {  # stage -> blocks of params.yaml that its NAME is a key of
    "download": ("corpora",),
    "corpus": ("corpora",),
    "features": ("features",),
    "folds": ("folds",),
    "pretrain": ("pretraining",),
    "words": ("words",),
    "train": ("experiments",),
    "finetune": ("finetuning",),
    "train_with_functionals": ("with_functionals",),
    "train_with_words": ("with_words",),
    "package": ("packages",),
}


def blocks(text: str) -> list[tuple[str, str]]:
    """Language and content of each fenced block."""
    return re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.M | re.S)


def first_word(line: str) -> str:
    words = [w for w in line.split() if not re.match(r"\w+=", w)]  # SER_JOBS=2 dvc ...
    return words[0] if words else ""


def commands(path: Path) -> list[str]:
    """The lines of a page's command blocks, without comments. Such a block has the language `sh`, or none and a command
    as its first word."""
    found = []
    for language, content in blocks(path.read_text()):
        lines = [line for line in content.splitlines() if line.strip()]
        if language == "sh" or (not language and first_word(lines[0]) in COMMANDS):
            found += [re.sub(r"\s+# .*", "", line) for line in lines]
    return found


ALL = sorted({command for page in PAGES for command in commands(page)})
MADE = {name for command in ALL for name in re.findall(r"ser study new ([\w-]+)", command)}  # by the reader


def study(name: str) -> dict:
    return load(ROOT / ("params.yaml" if name == "demo" else f"studies/{name}/params.yaml"))


def names(found: dict, *of: str) -> set[str]:
    """The keys of some blocks of a params.yaml."""
    return {key for block in of for key in found.get(block) or {}}


def check(command: str) -> None:
    """Fails when a command could not work: an unknown option, study, stage, experiment, script or value."""
    words = shlex.split(command, comments=True)
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    if "&&" in words:
        at = words.index("&&")
        check(shlex.join(words[:at]))
        return check(shlex.join(words[at + 1 :]))
    tool, *rest = words
    checks = {"ser": _ser, "dvc": _dvc, "python": _python, "torchrun": _torchrun, "make": _make, "sbatch": _sbatch}
    checks["dask"] = _dask
    assert tool in COMMANDS, f"a command nobody checks: {command}"
    if tool in checks:
        checks[tool](rest)
    return None


def _ser(words: list[str]) -> None:
    options = parser().parse_args(words)
    if options.command == "compare":
        assert {options.a, options.b} <= names(study(options.study or "demo"), *GROUPS)
    if options.command == "corpora" and options.name:
        assert options.name in plugins.names("corpora")
    if options.command == "predict":
        data, name, packages, package = Path(options.package).parts
        assert (data, packages) == ("data", "packages")
        assert package in names(study(name), "packages")
    if options.command == "study" and options.study_command in ("start", "status") and options.name not in MADE:
        study(options.name)


def _dvc(words: list[str]) -> None:
    from dvc.cli.parser import get_main_parser

    options = get_main_parser().parse_args(words)
    if words[0] in ("repro", "commit"):
        for target in options.targets:
            _target(target)
    if words[:2] == ["exp", "run"]:
        _values(options.set_param or [])


def _target(target: str) -> None:
    file, _, stage = target.rpartition(":") if ":" in target else (target, "", "")
    if not file.endswith("dvc.yaml"):
        file, stage = "dvc.yaml", file
    name = Path(file).parent.name or "demo"
    if name in MADE:
        return
    found, stages = study(name), load(ROOT / "dvc.yaml")["stages"]
    kind, _, key = stage.partition("@")
    assert not kind or kind in stages, target
    assert not key or key == "NAME" or key in names(found, *NAMED[kind]), target


def _values(overrides: list[str]) -> None:
    """The values of `-S` pass the checks of params.yaml and change something, at each point of a grid."""
    from dvc.utils.hydra import apply_overrides, get_hydra_sweeps

    for point in get_hydra_sweeps({"params.yaml": overrides}):
        Path("params.yaml").write_text((ROOT / "params.yaml").read_text())
        before = checks.read("params.yaml", "demo")
        apply_overrides("params.yaml", point["params.yaml"])
        assert checks.read("params.yaml", "demo") != before, f"{point} changes nothing"


def _python(words: list[str]) -> None:
    if words[0] == "-m":
        assert importlib.util.find_spec(words[1]), words
        return
    script, *arguments = words
    assert (ROOT / script).exists(), script
    if not script.startswith("stages/"):
        return
    stage = Path(script).stem
    if stage == "settings":
        assert (ROOT / arguments[0]).exists()
        assert study(arguments[1])["params"] == arguments[0]
        return
    found = study(arguments[0])
    assert len(arguments) == (1 if stage in ("evaluate", "report") else 2)
    if len(arguments) == 2:
        assert arguments[1] in names(found, *(GROUPS if stage == "train" else NAMED[stage])), arguments


def _torchrun(words: list[str]) -> None:
    from torch.distributed.run import get_args_parser

    options = get_args_parser().parse_args(words)
    _python([options.training_script, *options.training_script_args])


def _make(words: list[str]) -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.M)
    assert set(words) <= set(targets)


def _sbatch(words: list[str]) -> None:
    check(words[words.index("--wrap") + 1])


def _dask(words: list[str]) -> None:
    command = importlib.import_module(f"distributed.cli.dask_{words[0]}").main
    command.make_context(f"dask {words[0]}", words[1:])


@pytest.mark.parametrize("command", ALL)
def test_a_command_is_valid(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check(command)


@pytest.mark.parametrize(
    "wrong",
    [
        "ser compare svm-emodb-loso nothing",
        "ser study stats",
        "dvc repro train@nothing",
        "dvc repro trian@svm-emodb-loso",
        "dvc repro studies/nothing/dvc.yaml",
        "dvc exp run -S models.cnns.dens=3",
        "dvc exp run -S +models.cnns.dens=3",
        "dvc exp run -S models.cnns.dense=64",
        "dvc exp shw",
        "python stages/train.py demo nothing",
        "python -m ser.nothing",
        "make nothing",
        "sbatch --wrap 'python stages/trai.py demo svm-emodb-loso'",
        "curl something",
    ],
)
def test_the_checks_see_a_wrong_command(wrong, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((AssertionError, SystemExit, Exception)):
        check(wrong)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_no_command_hides_in_another_block(page):
    for language, content in blocks(page.read_text()):
        lines = [line for line in content.splitlines() if line.strip()]
        if language in ("csv", "yaml", "python") or (not language and first_word(lines[0]) not in COMMANDS):
            assert not [line for line in lines if first_word(line) in COMMANDS], content


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md", ROOT / "benchmarks/README.md"], ids=lambda p: p.name)
def test_every_link_and_path_leads_somewhere(page):
    text = page.read_text()
    links = [link.partition("#")[0] for link in re.findall(r"\]\((?!\w+://)([^)]+)\)", text)]
    for link in filter(None, links):
        target = (page.parent / link).resolve().relative_to(ROOT)
        generated = target.parts[0] == "reports" and target.parts[1] in ("demo", *_studies())
        assert generated or (ROOT / target).exists(), link
    named = re.findall(r"`((?:src|packages|studies|tools|tests|stages|\.github|benchmarks)/[\w./-]+)`", text)
    assert page.name != "CHANGELOG.md" or not links  # a changelog may name files that are gone
    named = [] if page.name == "CHANGELOG.md" else named
    for path in (p for p in named if not set(Path(p).parts) & MADE):
        assert (ROOT / path).exists(), path


def _studies() -> list[str]:
    return [p.parent.name for p in (ROOT / "studies").glob("*/params.yaml")]


def test_the_index_names_every_page():
    linked = set(re.findall(r"\((\w+\.md)\)", (ROOT / "docs/README.md").read_text()))
    assert {p.name for p in (ROOT / "docs").glob("*.md")} == linked | {"README.md"}


@pytest.mark.parametrize("model", ["fusion_convbert", "emotion_autoencoder", "clstm", "semantic"])
def test_the_values_a_system_page_names_exist(model):
    """`{variant: bert}` and the like are values of the model; the rows of CLSTM's table are values as well."""
    text = (ROOT / f"docs/{model}.md").read_text()
    found = [YAML(typ="safe").load(m) for m in re.findall(r"`(?:config: )?(\{\w+: [^`]+\})`", text)]
    if model == "clstm":
        table = re.findall(r"^\|[^|]+\| (none|add) \| (\w+) \| ([\d.]+) \|$", text, flags=re.M)
        assert len(table) == 7
        keys = ("skip", "recurrent", "center_weight")
        found = [dict(zip(keys, (s, r, float(w)), strict=True)) for s, r, w in table]
    assert len(found) >= 4
    for values in found:
        plugins.build(plugins.parameters("models", model), values, f"models.{model}")


def test_yaml_and_python_blocks_are_valid():
    yaml, python = [], []
    for page in PAGES:
        for language, content in blocks(page.read_text()):
            {"yaml": yaml, "python": python}.get(language, []).append(content)
    assert yaml
    assert python
    for content in yaml:
        found = YAML(typ="safe").load(content)
        for block, kind in (("experiments", Experiment), ("packages", Package)):
            for name, values in found.get(block, {}).items():
                plugins.build(kind, values, name)
        plugins.build(Run, found.get("run", {}), "run")
    for content in python:
        compile(content, "docs", "exec")


def test_the_page_of_keys_is_up_to_date():
    shown = subprocess.run(
        [sys.executable, "-c", "from tools import keys; print(keys.page(), end='')"], **IN_ROOT
    ).stdout
    assert (ROOT / "docs/parameters.md").read_text() == shown, "run: make docs"


def test_the_two_ci_files_are_twins():
    files = [ROOT / ".github/workflows/experiments.yml", ROOT / ".gitlab-ci.yml"]
    steps = [re.findall(r"make \w+|tools/\w+\.py|dvc exp run|git add .*", path.read_text()) for path in files]
    assert set(steps[0]) == set(steps[1])
    assert {"make quick", "make repro", "make test", "dvc exp run", "tools/comment.py"} <= set(steps[0])
    for path, found in zip(files, steps, strict=True):
        assert found.index("make quick") < found.index("make repro") < found.index("make test")
        assert YAML(typ="safe").load(path)
    _make([step.split()[1] for step in steps[0] if step.startswith("make ")])


def test_the_github_workflow_never_puts_input_into_a_script():
    jobs = YAML(typ="safe").load(ROOT / ".github/workflows/experiments.yml")["jobs"]
    scripts = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert scripts
    assert not [script for script in scripts if "${{" in script]


def test_one_version_everywhere():
    cited = YAML(typ="safe").load(ROOT / "CITATION.cff")["version"]
    newest = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), flags=re.M)[0]
    projects = [(ROOT / p).read_text() for p in ("pyproject.toml", "packages/ser_synth/pyproject.toml")]
    assert {ser.__version__, newest, *(re.findall(r'^version = "(.+)"', t, flags=re.M)[0] for t in projects)} == {cited}
