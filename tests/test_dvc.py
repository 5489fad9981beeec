"""dvc.yaml against the code: what a stage imports it must depend on, and every study has the same graph."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.closure import ROOT, closure

STUDIES = sorted(ROOT.glob("studies/*/dvc.yaml"))


@pytest.fixture(scope="module")
def stages():
    """Every stage of the demo: (name, project files among its deps, all deps)."""
    from dvc.repo import Repo

    with Repo(str(ROOT)) as repo:
        return [
            (s.addressing, [Path(d.fs_path) for d in s.deps if d.protocol == "local"], s.cmd)
            for s in repo.index.stages
            if s.path_in_repo == "dvc.yaml"
        ]


def test_deps_cover_what_each_stage_imports(stages):
    assert len(stages) > 10
    for name, deps, _ in stages:
        roots = [d for d in deps if d.suffix == ".py"] + [
            p for d in deps if "src" in d.parts and d.is_dir() for p in d.rglob("*.py")
        ]
        missing = [str(f.relative_to(ROOT)) for f in closure(roots) if not any(f == d or d in f.parents for d in deps)]
        assert not missing, f"{name} imports what dvc.yaml does not list for it: {missing}"


def test_the_closure_finds_lazy_and_indirect_imports():
    names = {p.name for p in closure([ROOT / "stages" / "train.py"])}
    assert {"loop.py", "checkpoint.py", "metrics.py", "store.py"} <= names
    assert "cnns.py" not in names, "models are found by name: a stage lists its own"


def test_every_command_runs_a_stage_that_is_there(stages):
    for name, deps, command in stages:
        script = command.split()[1]
        assert (ROOT / script).exists(), name
        assert ROOT / script in deps, name


@pytest.mark.parametrize("path", STUDIES, ids=lambda p: p.parent.name)
def test_studies_share_one_graph(path):
    assert path.read_bytes() == (ROOT / "dvc.yaml").read_bytes()
    assert not path.is_symlink()
    data = YAML(typ="safe").load((path.parent / "params.yaml").read_text())
    assert (data["study"], data["root"]) == (path.parent.name, "../..")
    assert data["params"] == f"studies/{path.parent.name}/params.yaml"


def test_stages_are_thin():
    for path in (ROOT / "stages").glob("*.py"):
        assert len(path.read_text().splitlines()) <= 40, path.name


@pytest.mark.parametrize(
    "module",
    [
        "ser",
        "ser.cli",
        "ser.evaluation.evaluate",
        "ser.report.summary",
        "ser.report.write",
        "ser.settings.params",
        "ser.settings.study",
    ],
)
def test_heavy_libraries_are_imported_lazily(module):
    heavy = ("torch", "librosa", "opensmile", "gensim", "sklearn", "matplotlib", "dvc")
    code = f"import sys, {module}; print([h for h in {heavy} if h in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
