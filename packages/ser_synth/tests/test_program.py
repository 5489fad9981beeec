"""`python -m ser_synth`, as `ser` runs it: one line on standard output, and an exit status."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ser_synth import build


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "ser_synth", *map(str, arguments)], capture_output=True, text=True)


def test_a_corpus_from_the_command_line(tmp_path: Path) -> None:
    made = run("emodb", tmp_path / "made", "--settings", '{"speakers": 1, "per_cell": 1}', "--jobs", 1)
    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout == f"emodb: synthetic speech in {tmp_path / 'made'}\n"
    assert len(list((tmp_path / "made/wav").iterdir())) == 7


@pytest.mark.parametrize(
    ("corpus", "settings", "fault"),
    [
        ("emo", "{}", "there is no look-alike of 'emo'. Known: emodb, iemocap, librispeech, ravdess, sewa.\n"),
        ("emodb", '{"speaker": 1}', "wrong settings of emodb: 'speaker' is not one of seed, speakers, "),
        ("emodb", '{"speakers": 11}', "wrong settings of emodb: speakers must be 1..10"),
        ("emodb", '{"speakers": "all"}', "wrong settings of emodb: "),
        ("emodb", "speakers", "wrong settings of emodb: "),
    ],
)
def test_faults_are_one_line(tmp_path: Path, corpus: str, settings: str, fault: str) -> None:
    failed = run(corpus, tmp_path / "made", "--settings", settings)
    assert (failed.returncode, failed.stderr) == (1, "")
    assert failed.stdout.startswith(fault)
    assert failed.stdout.count("\n") == 1
    assert not (tmp_path / "made").exists()


def test_nothing_of_ser_is_imported() -> None:
    modules = ", ".join(f"ser_synth.{name}" for name in build.names())
    code = f"import sys, {modules}, ser_synth.build, ser_synth.texts; sys.exit(any(m == 'ser' for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
