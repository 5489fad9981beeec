"""tools/comment.py: two revisions of a small repository -> the comment, with the right differences."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

LEDGER = """\
# Published and ours: study demo

## A Paper: of which only this much is named (Venue 2020)

| table | row | experiment | corpus | protocol | metric | published | ours | verdict |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
| table 4 | cnns | {experiment} | emodb | speaker independent | UA | 0.781 | {ours} | {verdict} |
| table 4 | bert |  | emodb | speaker independent | UA | 0.830 |  | not run: GPU |
"""


def git(place: Path, *arguments: str) -> str:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    return subprocess.run(
        ["git", *who, *arguments], cwd=place, check=True, capture_output=True, text=True
    ).stdout.strip()


def metrics(place: Path, experiment: str, ua: float, study: str = "demo", data: str = "synthetic", **about) -> None:
    path = place / "metrics" / study / f"{experiment}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = {"ua": ua, "ua_low": ua - 0.1, "ua_high": ua + 0.1, "n": 40, "data": data}
    path.write_text(json.dumps({**numbers, "about": [{"experiment": experiment, "selection": "dev", **about}]}))


def ledger(place: Path, experiment: str, ours: str, verdict: str, study: str = "demo") -> None:
    path = place / "reports" / study / "ledger.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(LEDGER.format(experiment=experiment, ours=ours, verdict=verdict))


def commit(place: Path) -> str:
    git(place, "add", "-A")
    git(place, "commit", "-qm", "state", "--allow-empty")
    return git(place, "rev-parse", "--short", "HEAD")


def comment(place: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools/comment.py"), *arguments],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.fixture
def place(tmp_path):
    git(tmp_path, "init", "-q")
    return tmp_path


@pytest.fixture
def first(place):
    """A first revision of four experiments and a ledger without answers."""
    for name, ua in (("kept", 0.5), ("better", 0.5), ("gone", 0.25), ("reworded", 0.75)):
        metrics(place, name, ua)
    metrics(place, "elsewhere", 0.5, study="real", data="real")
    ledger(place, "", "", "not run: GPU")
    (place / "reports/demo/ua.png").write_bytes(b"one")
    (place / "reports/demo/same.png").write_bytes(b"same")
    return commit(place)


def table(text: str, first_column: str) -> list[list[str]]:
    """Rows of a Markdown table by the head of its first column, without head and rule."""
    lines = text.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith(f"| {first_column} |"))
    rows = []
    for line in lines[at + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_changed_added_and_removed_experiments(place, first):
    metrics(place, "better", 0.625)
    metrics(place, "fresh", 0.4)
    metrics(place, "reworded", 0.75, selection="last")
    (place / "metrics/demo/gone.json").unlink()
    second = commit(place)
    text = comment(place, first, second)
    assert table(text, "experiment") == [
        ["better", "SYNTHETIC", "UA", "0.5000 [0.4000, 0.6000]", "0.6250 [0.5250, 0.7250]", "+0.1250"],
        ["fresh", "SYNTHETIC", "UA", "", "0.4000 [0.3000, 0.5000]", "new"],
        ["gone", "SYNTHETIC", "UA", "0.2500 [0.1500, 0.3500]", "", "removed"],
    ]
    assert f"| experiment | data | metric | {first} | {second} | difference |" in text
    assert "- reworded, selection: dev → last" in text
    assert "1 of 5 experiments are unchanged." in text
    assert "### Study demo (SYNTHETIC data)" in text
    assert "### Study real\n" in text, "real results are not called synthetic"
    assert "1 of 1 experiments are unchanged." in text


def test_a_changed_interval_count_and_kind_of_data(place, first):
    path = place / "metrics/demo/better.json"
    found = json.loads(path.read_text())
    path.write_text(json.dumps({**found, "ua_low": 0.3, "n": 50, "data": "real"}))
    rows = table(comment(place, first, commit(place)), "experiment")
    assert rows == [
        ["better", "SYNTHETIC → real", "UA", "0.5000 [0.4000, 0.6000]", "0.5000 [0.3000, 0.6000]", "interval only"],
        ["better", "SYNTHETIC → real", "n", "40", "50", "+10"],
    ]


def test_nothing_changed(place, first):
    (place / "code.py").write_text("print()\n")
    text = comment(place, first, commit(place))
    assert "4 of 4 experiments are unchanged." in text
    assert "ledger of published numbers is unchanged" in text
    assert "|" not in text
    assert "Plots" not in text


def test_the_ledgers_changes(place, first):
    ledger(place, "cnns-emodb", "0.620 [0.575, 0.653]", "not comparable: reduced size")
    second = commit(place)
    answered = "cnns-emodb 0.620 [0.575, 0.653]: not comparable: reduced size"
    key = ["A Paper", "table 4", "cnns", "emodb", "speaker independent", "UA", "0.781"]
    assert table(comment(place, first, second), "paper") == [[*key, "not run: GPU", answered]]
    assert table(comment(place, second, first), "paper") == [[*key, answered, "not run: GPU"]]


def test_further_tables_of_a_paper_stay_its_own_and_long_ones_are_cut(place, first):
    more = "\n### Cited from others: context only\n\n| table | row | corpus | protocol | metric | published | verdict |"
    more += "\n| --- | --- | --- | --- | --- | --- | --- |\n"
    for number in range(70):
        more += f"| table 8 | guo | emodb | speaker independent | UA | 0.{number + 100} | cited: context only |\n"
    path = place / "reports/demo/ledger.md"
    path.write_text(path.read_text() + more)
    text = comment(place, first, commit(place))
    rows = table(text, "paper")
    key = ["A Paper", "table 8", "guo", "emodb", "speaker independent", "UA", "0.100"]
    assert rows[0] == [*key, "not in it", "cited: context only"]
    assert len(rows) == 60
    assert "\n\nAnd 10 more rows.\n" in text


def test_the_table_of_dvc_is_added_behind_a_fold(place, first):
    """The comment and `dvc metrics diff` agree on a number that changed."""
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], cwd=place, check=True)
    (place / "dvc.yaml").write_text("metrics:\n- metrics/demo/better.json\n")
    base = commit(place)
    metrics(place, "better", 0.75)
    text = comment(place, "--dvc", base, commit(place))
    assert text.index("<details><summary>dvc metrics diff</summary>") < text.index("</details>")
    (row,) = [r for r in table(text, "Path".ljust(len("metrics/demo/better.json"))) if r[1] == "ua"]
    assert row == ["metrics/demo/better.json", "ua", "0.5", "0.75", "0.25"]
    assert table(text, "experiment")[0][3:] == ["0.5000 [0.4000, 0.6000]", "0.7500 [0.6500, 0.8500]", "+0.2500"]
    assert "nothing changed" in comment(place, "--dvc", base, base)


def test_plots_that_changed_are_embedded_up_to_a_number(place, first):
    for name in ("ua.png", "confusion-a.png", "confusion-b.png"):
        (place / "reports/demo" / name).write_bytes(b"two")
    text = comment(place, first, commit(place), "--plots", "2")
    assert [line for line in text.splitlines() if line.startswith("!")] == [
        "![ua, study demo (SYNTHETIC data)](reports/demo/ua.png)",
        "![confusion-a, study demo (SYNTHETIC data)](reports/demo/confusion-a.png)",
    ]
    assert "And `reports/demo/confusion-b.png`" in text
    assert "same.png" not in text


def test_a_side_without_results_is_told(place):
    empty = commit(place)
    assert f"No results are committed in {empty} nor in {empty}." in comment(place, "HEAD", "HEAD")
    metrics(place, "fresh", 0.4)
    ledger(place, "fresh", "0.400 [0.300, 0.500]", "not comparable: SYNTHETIC data")
    full = commit(place)
    text = comment(place, empty, full)
    assert f"No results are committed in {empty}." in text
    assert table(text, "experiment")[0][-1] == "new"
    assert "The ledger is new: 1 of 2 published numbers have an answer" in text
    back = comment(place, full, empty)
    assert table(back, "experiment")[0][-1] == "removed"
    assert "The ledger is gone" in back


def test_faults_are_one_line(place, first):
    assert comment(place, first, "nowhere").startswith("error: ")
    assert comment(place, first, "nowhere").count("\n") == 1
    (place / "metrics/demo/kept.json").write_text("{")
    second = commit(place)
    assert "not valid JSON: Expecting property name" in comment(place, first, second)
    assert f"{second}:metrics/demo/kept.json" in comment(place, first, second)
