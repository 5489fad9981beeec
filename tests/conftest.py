"""Shared fixtures: the real corpora, if they are beside the repository; otherwise tests that need them are skipped."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CORPORA = ROOT.parent / "shared" / "corpora"


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
