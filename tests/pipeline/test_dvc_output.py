"""What DVC prints of a finished study fits a terminal of 120 columns, and leaves out nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ser.settings import check
from tests.conftest import ROOT

pytestmark = pytest.mark.slow
WIDTH = 120


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
    """DVC shows the table in `less`, which cuts its lines at the edge of the terminal and scrolls sideways."""
    done = finished.run("dvc", "exp", "show")
    lines = [line[:WIDTH].split() for line in done.stdout.splitlines()]
    assert ["Experiment", "Created", "mean", "UA", "mean", "CCC"] in [line[:6] for line in lines]
    summary = json.loads((finished.root / "metrics/demo/summary.json").read_text())
    means = [f"{summary[name]:.5g}" for name in ("mean UA", "mean CCC")]
    assert [line for line in lines if line[:1] == ["workspace"] and line[2:4] == means]
    assert "failed to load" not in done.stdout + done.stderr


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
    assert groups == {"sewa-partitions"}, "the networks of emodb-si are evaluated twice, which is no curve"
    assert page.count("vegaEmbed(") == len(groups)
    for name in ("aligned-sewa", "paralinguistic-sewa"):
        assert f'"experiment": "{name}"' in page or f'"experiment":"{name}"' in page
