"""The results in README.md and docs/results.md are those of the files in git, and the lock names no host."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT


def test_the_results_are_those_of_the_files_in_git(tmp_path):
    """From the committed files: a run on another machine may change last digits in the working tree."""
    archive = subprocess.run(
        ["git", "archive", "HEAD", "README.md", "docs", "metrics"], cwd=ROOT, capture_output=True, check=False
    )
    if archive.returncode:
        pytest.skip("not a git checkout")
    subprocess.run(["tar", "-x"], cwd=tmp_path, input=archive.stdout, check=True)
    checked = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "readme.py"), "--check"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


def test_the_readme_is_short_and_its_picture_small():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 120
    pictures = re.findall(r'(?:src|srcset)="([^"]+)"', text)
    assert pictures == ["docs/forest-dark.svg", "docs/forest-light.svg"]
    assert all(0 < (ROOT / name).stat().st_size < 100_000 for name in pictures)


def test_the_lock_names_no_host():
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    assert not re.search(r"^-", lock, flags=re.M)
    assert "torch==2.11.0" in lock
    assert "torchaudio==2.11.0" in lock
