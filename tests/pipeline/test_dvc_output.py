"""What DVC prints of a finished study fits a terminal of 120 columns, and leaves out nothing."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from ser.settings import check
from tests.conftest import ROOT
from tests.pipeline.conftest import Clone

pytestmark = pytest.mark.slow
WIDTH = 120


def on_terminal(clone: Clone, *command: str) -> list[str]:
    """The lines that a command prints on a terminal of 120 columns, without colours."""
    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, WIDTH, 0, 0))
    environment = {k: v for k, v in clone.environment.items() if k not in ("COLUMNS", "LINES")}
    environment |= {"TERM": "xterm", "PAGER": "cat", "DVC_PAGER": "cat"}
    process = subprocess.Popen(
        command, cwd=clone.root, env=environment, stdin=terminal, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    found = b""
    while True:
        try:
            part = os.read(main, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        found += part
    os.close(main)
    assert process.wait() == 0, found
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]", "", found.decode())
    return plain.replace("\r\n", "\n").rstrip("\n").split("\n")


def test_status_is_one_line(finished):
    done = finished.run("dvc", "status")
    assert (done.stdout, done.stderr) == ("Data and pipelines are up to date.\n", "")


def test_metrics_are_one_row_per_experiment(finished):
    done = finished.run("dvc", "metrics", "show")
    head, *rows = done.stdout.splitlines()
    experiments = check.read(finished.root / "params.yaml").all_experiments
    names = [Path(row.split()[0]).stem for row in rows]
    assert names == ["summary", *sorted(experiments)]
    assert head.split() == ["Path", "CCC", "F1", "UA", "WA", "mean", "CCC", "mean", "UA"]
    assert max(map(len, (head, *rows))) <= WIDTH
    assert "failed" not in done.stderr


def test_metrics_of_the_demo_fit_as_well():
    """The names of the tiny study are shorter than those of the demo."""
    kept = [p for p in ("metrics/demo/scores", "metrics/demo/summary.json") if (ROOT / p).exists()]
    command = [sys.executable, "-m", "dvc", "metrics", "show", *kept]
    lines = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    extra = len("  mean CCC  mean UA") * (len(kept) == 1)  # columns of the summary
    assert max(map(len, lines)) + extra <= WIDTH
    assert len(lines) == 1 + (len(kept) == 2) + len(list((ROOT / "metrics/demo/scores").glob("*.json")))


def test_experiments_are_readable_on_a_terminal(finished):
    lines = on_terminal(finished, "dvc", "exp", "show", "--no-pager")
    assert max(map(len, lines)) <= WIDTH
    text = " ".join(lines)
    assert "Experiment" in text
    assert "mean UA" in text
    assert "mean CCC" in text
    mean = json.loads((finished.root / "metrics/demo/summary.json").read_text())["mean UA"]
    assert [line for line in lines if "workspace" in line and f"{mean:.5g}" in line]
    assert "failed to load" not in text


def test_a_difference_has_no_bounds(finished, copy_of):
    clone = copy_of(finished)
    path = clone.root / "metrics/demo/scores/svm-emodb.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "UA": 0.125}))
    head, *rows = clone.run("dvc", "metrics", "diff").stdout.splitlines()
    assert [row.split()[:2] for row in rows] == [["metrics/demo/scores/svm-emodb.json", "UA"]]
    assert max(map(len, (head, *rows))) <= WIDTH


def test_the_curves_of_a_group_are_in_one_plot(finished, tmp_path):
    done = finished.run("dvc", "plots", "show", "-o", str(tmp_path / "plots"))
    assert "failed" not in done.stdout + done.stderr
    page = (tmp_path / "plots/index.html").read_text()
    groups = {p.stem for p in (finished.root / "metrics/demo/plots").glob("*.csv")}
    assert groups == {"emodb-si", "sewa-partitions"}
    assert page.count("vegaEmbed(") == len(groups)
    for name in ("aligned-sewa", "paralinguistic-sewa"):
        assert f'"experiment": "{name}"' in page or f'"experiment":"{name}"' in page
