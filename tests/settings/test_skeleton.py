"""What `ser new` writes keeps the contract of its kind, and the block that it prints fits params.yaml."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from ruamel.yaml import YAML

from ser.core import plugins
from ser.core.errors import SerError
from ser.settings import skeleton
from ser.settings.yamlfile import load
from tests.conftest import ROOT


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package that files may be added to."""
    copy = tmp_path / "src" / "ser"
    shutil.copytree(ROOT / "src/ser", copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(plugins, "PACKAGE", copy)
    return copy


def _in(package, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{package.parent}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", skeleton.KINDS)
def test_a_skeleton_passes_the_contract_tests(package, kind):
    skeleton.new(kind, "newcomer")
    tests = f"tests/contracts/test_{skeleton.KINDS[kind]}.py"
    done = _in(package, "pytest", "-q", "-p", "no:cacheprovider", tests, "-k", "newcomer")
    assert done.returncode == 0, done.stdout[-3000:]
    assert "passed" in done.stdout or "100%" in done.stdout
    assert "skipped" not in done.stdout or kind == "corpus"  # which has no words and turns


@pytest.mark.parametrize("kind", skeleton.KINDS)
def test_a_skeleton_is_clean_code(package, kind):
    skeleton.new(kind, "newcomer")
    path = package / skeleton.KINDS[kind] / "newcomer.py"
    assert "NAME" not in path.read_text().replace("_NAME", "")
    for command in (["check"], ["format", "--check"]):
        done = _in(package, "ruff", *command, "--config", str(ROOT / "pyproject.toml"), str(path))
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("kind", [k for k in skeleton.KINDS if k != "corpus"])
def test_the_block_passes_the_checks(package, kind, tmp_path):
    """With the demo's params.yaml; the corpus would have to be there."""
    block = YAML(typ="safe").load(skeleton.new(kind, "newcomer").split("\n\n", 1)[1])
    data = load(ROOT / "params.yaml")
    for key, entries in block.items():
        data[key].update(entries)
    YAML().dump(data, tmp_path / "params.yaml")
    code = "from ser.settings import check; check.read('params.yaml')"
    environment = {**os.environ, "PYTHONPATH": str(package.parent)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("model", "cnns", r"this name is taken \(.*models/cnns.py\)"),
        ("model", "layers", "this name is taken"),
        ("feature", "My-Feature", "not a name for a file of Python: 'My-Feature'"),
        ("protocol", "class", "not a name for a file of Python"),
        ("corpus", "../x", "not a name for a file of Python"),
    ],
)
def test_names_that_cannot_be(package, kind, name, message):
    with pytest.raises(SerError, match=message):
        skeleton.new(kind, name)
