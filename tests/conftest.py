"""Shared fixtures: the real corpora, if they are beside the repository; otherwise tests that need them are skipped. And
how the tests share the cores: one thread per process, and what uses the same study in the same process.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ser.core.files import claim

# before torch is imported: processes with as many threads as there are cores wait for each other most of the time
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parents[1]
CORPORA = ROOT.parent / "shared" / "corpora"
# What shares a study comes first. The other files of the pipeline use the study that the first one has made.
LONGEST = ("pipeline/test_pipeline.py", "packages", "chaos", "pipeline")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, so that no process of `pytest -n` is left with them at the end. `--dist loadfile` gives each
    process whole files: what the tests of a file share is made once.
    """
    places = [ROOT / "tests" / name for name in LONGEST]
    order = {
        path: next((n for n, place in enumerate(places) if path.is_relative_to(place)), len(places))
        for path in {item.path for item in items}
    }
    items.sort(key=lambda item: order[item.path])


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that is made by the first process of the tests that needs it; the others wait, and use it as well."""
    shared = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent  # of all processes
    folder = shared / name
    done = folder.with_name(f"{folder.name}.done")
    with claim(folder.with_name(f"{folder.name}.claim"), wait=True):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a process that failed
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


def _real(name: str) -> Path:
    if not (CORPORA / name).exists():
        pytest.skip(f"the real {name} is not beside the repository")
    return CORPORA / name


@pytest.fixture(scope="session")
def real_emodb() -> Path:
    return _real("emodb")


@pytest.fixture(scope="session")
def real_librispeech() -> Path:
    return _real("librispeech")
