"""The README's tables are those of the committed metrics, and its commands are real."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT


def test_the_results_tables_are_not_stale(tmp_path):
    """Of what is committed: a run on another machine may change last digits in the working tree."""
    archive = subprocess.run(
        ["git", "archive", "HEAD", "README.md", "metrics"], cwd=ROOT, capture_output=True, check=False
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


def test_every_ser_command_it_names_parses():
    from ser.cli import parser

    text = (ROOT / "README.md").read_text()
    commands = re.findall(r"^ser ([^#\n]+)", text, flags=re.M)
    assert len(commands) >= 5
    for command in commands:
        import shlex

        parser().parse_args(shlex.split(command))


def test_every_file_it_names_is_there():
    text = (ROOT / "README.md").read_text()
    paths = re.findall(r"`((?:src|studies|tools|metrics)/[\w./-]+)`", text)
    assert paths
    for path in paths:
        assert (ROOT / path).exists(), path


def test_the_lock_names_no_host():
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    assert not re.search(r"^-", lock, flags=re.M)
    assert "torch==2.11.0" in lock
    assert "torchaudio==2.11.0" in lock
