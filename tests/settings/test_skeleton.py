"""What `ser new` writes keeps the contract of its kind, and the block that it prints fits params.yaml."""

from __future__ import annotations

import os
import re
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
def test_skeletons_pass_the_contract_tests(package):
    for kind in skeleton.KINDS:
        skeleton.new(kind, f"newcomer_{kind}")
    done = _in(package, "pytest", "-rA", "-p", "no:cacheprovider", "tests/contracts", "-k", "newcomer")
    assert done.returncode == 0, done.stdout[-3000:]
    for kind, folder in skeleton.KINDS.items():
        assert re.search(rf"^PASSED tests/contracts/test_{folder}\.py.*newcomer_{kind}\b", done.stdout, re.M)
    skipped = [line for line in done.stdout.splitlines() if line.startswith("SKIPPED")]
    assert all("test_corpora.py" in line for line in skipped), "only the corpus may: it has no words and turns"


@pytest.mark.parametrize("kind", skeleton.KINDS)
def test_a_skeleton_is_clean_code(package, kind):
    skeleton.new(kind, "newcomer")
    path = package / skeleton.KINDS[kind] / "newcomer.py"
    assert "NAME" not in path.read_text().replace("_NAME", "")
    for command in (["check"], ["format", "--check"]):
        done = _in(package, "ruff", *command, "--config", str(ROOT / "pyproject.toml"), str(path))
        assert done.returncode == 0, done.stdout


def test_the_blocks_pass_the_checks(package, tmp_path):
    """With the demo's params.yaml; the corpus would have to be there."""
    data = load(ROOT / "params.yaml")
    for kind in skeleton.KINDS:
        if kind != "corpus":
            block = YAML(typ="safe").load(skeleton.new(kind, f"newcomer_{kind}").split("\n\n", 1)[1])
            for key, entries in block.items():
                assert not set(data[key]) & set(entries)
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
