"""The quick commands of the documentation, run in the tiny study, whose experiments have other names."""

from __future__ import annotations

import re
import shlex
import sys

import pytest

from tests.conftest import ROOT
from tests.test_docs import ALL, blocks

pytestmark = pytest.mark.slow

QUICK = (
    "ser corpora",
    "ser study status",
    "ser compare",
    "dvc metrics",
    "dvc params diff",
    "dvc exp show",
    "dvc plots",
    "dvc dag",
    "dvc queue status",
    "python tools/comment.py",
    "python stages/settings.py",
    "python stages/train.py",
    "python stages/evaluate.py",
    "python stages/report.py",
)
TINY = {"svm-emodb-loso": "svm-emodb", "cnns-emodb-speaker_independent": "cnns-emodb"}
ELSEWHERE = re.compile(r"\b(mine|emodb/)\b|study \w+ \w|--study|-(groups|actors|kfold)\b")  # not in the tiny study


def quick() -> list[str]:
    return [command for command in ALL if command.startswith(QUICK) and not ELSEWHERE.search(command)]


def test_quick_commands_run_and_change_nothing(finished, copy_of):
    """In a copy, because the page of a report names the commit, and so is another one than that of the first run."""
    clone = copy_of(finished)
    assert len(quick()) >= 12
    for command in quick():
        words = [TINY.get(word, word) for word in shlex.split(command, comments=True)]
        done = clone.run(*words, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        assert done.stdout or "diff" in command, command
    assert not clone.run("git", "status", "--porcelain").stdout


def test_the_loop_for_trackers_logs_every_experiment(finished, tmp_path):
    """The loop runs with a stand-in for the tracker, which is not among the dependencies."""
    code = next(c for language, c in blocks((ROOT / "docs/experiments.md").read_text()) if "dvclive" in c)
    (tmp_path / "dvclive.py").write_text(
        "class Live:\n"
        "    def __init__(self, folder, dvcyaml, save_dvc_exp): print('run', folder)\n"
        "    def __enter__(self): return self\n"
        "    def __exit__(self, *fault): pass\n"
        "    def log_params(self, values): print('params', values['experiment'])\n"
        "    def log_metric(self, name, value): print(name, value)\n"
        "    def next_step(self): pass\n"
    )
    out = finished.run(sys.executable, "-c", code, PYTHONPATH=f"{tmp_path}:{finished.root / 'src'}").stdout
    assert re.findall(r"^run dvclive/(.*)$", out, flags=re.M) == re.findall(r"^params (.*)$", out, flags=re.M)
    assert set(re.findall(r"^run dvclive/(.*)$", out, flags=re.M)) == {
        "majority-sewa",
        "svm-emodb",
        "cnns-emodb",
        "fusion-emodb",
        "aligned-sewa",
        "paralinguistic-sewa",
    }
    assert len(re.findall(r"^UA [\d.]+$", out, flags=re.M)) == 3
    assert len(re.findall(r"^train_loss", out, flags=re.M)) >= 4
