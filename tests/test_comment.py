"""tools/comment.py: two revisions of a small repository -> the comment, with the right differences."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ser.evaluation import spread
from tests.conftest import ROOT

CELL = "fusion_convbert.table_4.cnns.emodb/speaker_independent"


def git(place: Path, *arguments: str) -> str:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    return subprocess.run(
        ["git", *who, *arguments], cwd=place, check=True, capture_output=True, text=True
    ).stdout.strip()


def details(place: Path, experiment: str, ua: float, study: str = "demo", data: str = "synthetic", **about) -> None:
    path = place / "metrics" / study / "details" / f"{experiment}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    description = {"experiment": experiment, "selection": "dev", "data": data, "utterances": 40, **about}
    score = {"value": ua, "low": ua - 0.1, "high": ua + 0.1}
    path.write_text(json.dumps({"description": description, "scores": {"ua": score}, "notes": []}))


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
    """A first revision of four experiments."""
    for name, ua in (("kept", 0.5), ("better", 0.5), ("gone", 0.25), ("reworded", 0.75)):
        details(place, name, ua)
    details(place, "elsewhere", 0.5, study="real", data="real")
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
    details(place, "better", 0.625)
    details(place, "fresh", 0.4)
    details(place, "reworded", 0.75, selection="last")
    (place / "metrics/demo/details/gone.json").unlink()
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
    details(place, "better", 0.5, data="real", utterances=50)
    path = place / "metrics/demo/details/better.json"
    found = json.loads(path.read_text())
    found["scores"]["ua"]["low"] = 0.3
    path.write_text(json.dumps(found))
    rows = table(comment(place, first, commit(place)), "experiment")
    assert rows == [
        ["better", "SYNTHETIC → real", "UA", "0.5000 [0.4000, 0.6000]", "0.5000 [0.3000, 0.6000]", "interval only"],
        ["better", "SYNTHETIC → real", "n", "40", "50", "+10"],
    ]


def test_nothing_changed(place, first):
    (place / "code.py").write_text("print()\n")
    text = comment(place, first, commit(place))
    assert "4 of 4 experiments are unchanged." in text
    assert "|" not in text


def test_published_numbers_whose_answer_changed(place, first):
    about = {"paper": CELL, "corpus": "emodb", "protocol": "speaker_independent", "size": "reduced"}
    details(place, "cnns-emodb", 0.62, **about)
    second = commit(place)
    key = ["fusion_convbert", "table 4", "cnns", "emodb", "speaker_independent", "UA", "0.7812"]
    answered = "cnns-emodb 0.620 [0.520, 0.720]: not comparable: SYNTHETIC data, reduced size"
    missing = "not run: emodb is not in this study, or only its synthetic look-alike"
    assert [*key, missing, answered] in table(comment(place, first, second), "paper")
    assert [*key, answered, missing] in table(comment(place, second, first), "paper")


def test_a_study_whose_details_are_not_in_git_is_compared_by_its_scores(place):
    path = place / "metrics/demo/scores/svm.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"UA": 0.5}')
    base = commit(place)
    path.write_text('{"UA": 0.625}')
    rows = table(comment(place, base, commit(place)), "experiment")
    assert rows == [["svm", "unknown", "UA", "0.5000", "0.6250", "+0.1250"]]


def test_long_tables_are_cut(place, first):
    for number in range(70):
        details(place, f"more{number}", 0.5)
    text = comment(place, first, commit(place))
    assert len(table(text, "experiment")) == 60
    assert "\n\nAnd 10 more rows.\n" in text


def test_the_table_of_dvc_is_added_behind_a_fold(place, first):
    """The comment and `dvc metrics diff` agree on a number that changed."""
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], cwd=place, check=True)
    (place / "dvc.yaml").write_text("metrics:\n- metrics/demo/scores\n")
    path = place / "metrics/demo/scores/better.json"
    path.parent.mkdir()
    path.write_text('{"UA": 0.5}')
    base = commit(place)
    details(place, "better", 0.75)
    path.write_text('{"UA": 0.75}')
    text = comment(place, "--dvc", base, commit(place))
    assert text.index("<details><summary>dvc metrics diff</summary>") < text.index("</details>")
    (row,) = [r for r in table(text, "Path".ljust(len("metrics/demo/scores/better.json"))) if r[1] == "UA"]
    assert row == ["metrics/demo/scores/better.json", "UA", "0.5", "0.75", "0.25"]
    assert table(text, "experiment")[0][3:] == ["0.5000 [0.4000, 0.6000]", "0.7500 [0.6500, 0.8500]", "+0.2500"]
    assert "nothing changed" in comment(place, "--dvc", base, base)


def test_a_side_without_results_is_named(place):
    empty = commit(place)
    assert f"No results are committed in {empty} nor in {empty}." in comment(place, "HEAD", "HEAD")
    details(place, "fresh", 0.4)
    full = commit(place)
    text = comment(place, empty, full)
    assert f"No results are committed in {empty}." in text
    assert table(text, "experiment")[0][-1] == "new"
    back = comment(place, full, empty)
    assert table(back, "experiment")[0][-1] == "removed"


def test_faults_are_one_line(place, first):
    assert comment(place, first, "nowhere").startswith("error: ")
    assert comment(place, first, "nowhere").count("\n") == 1
    (place / "metrics/demo/details/kept.json").write_text("{")
    second = commit(place)
    assert "not valid JSON: Expecting property name" in comment(place, first, second)
    assert f"{second}:metrics/demo/details/kept.json" in comment(place, first, second)


def test_what_another_machine_explains_is_folded_apart(place):
    for name, ua in (("near", 0.5), ("far", 0.5)):
        details(place, name, ua)
    before = commit(place)
    details(place, "near", 0.5 + spread.LEAST / 2)
    details(place, "far", 0.75)
    text = comment(place, before, commit(place))
    first, folded = text.split("<details><summary>1 experiment differs by no more than machines do</summary>")
    assert "| far |" in first
    assert "| near |" not in first
    assert "| near |" in folded
