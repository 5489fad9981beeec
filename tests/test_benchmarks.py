"""Benchmarks and tools are run by hand; this checks that what they import exists and that a page lists them."""

from __future__ import annotations

import ast
import importlib
import re

import pytest

from tests.conftest import ROOT

BENCHMARKS = sorted((ROOT / "benchmarks").glob("*.py"))
SCRIPTS = [*BENCHMARKS, *sorted((ROOT / "tools").glob("*.py"))]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_imports_from_the_package_exist(script):
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "ser":
            module = importlib.import_module(node.module or "")
            for name in node.names:
                if not hasattr(module, name.name):
                    importlib.import_module(f"{node.module}.{name.name}")


def test_the_readme_lists_every_benchmark():
    listed = re.findall(r"^\| `(\w+\.py)`", (ROOT / "benchmarks/README.md").read_text(), flags=re.M)
    assert sorted(listed) == [path.name for path in BENCHMARKS if not path.name.startswith("_")]
