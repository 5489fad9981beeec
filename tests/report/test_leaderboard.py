"""`ser leaderboard` and `ser report`: all studies in one table, and where a report is."""

from __future__ import annotations

import pytest

from ser import cli
from ser.core.errors import SerError
from ser.report import leaderboard
from tests.report.test_page import make

__all__ = ["make"]


def test_all_studies_are_in_blocks_that_may_be_compared(make):
    layout = make()
    text = leaderboard.table()
    assert "emodb, speaker-independent, 4 classes, chance 0.25" in text
    assert "sewa, speaker-independent, arousal, valence" in text
    lines = [line.split() for line in text.splitlines() if " good " in line or " bad-<b> " in line]
    assert [line[3] for line in lines] == ["good", "bad-<b>"]
    assert all(line[4] == layout.study for line in lines)


def test_without_results_it_says_what_to_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SerError, match="no study has been evaluated here"):
        leaderboard.table()


def test_report_names_the_page_or_how_to_make_it(make, capsys):
    layout = make()
    with pytest.raises(SystemExit):
        cli.main(["report", "s"])
    assert "no report here (reports/s/report.html)" in capsys.readouterr().err
    layout.report.mkdir(parents=True)
    (layout.report / "report.html").write_text("page")
    cli.main(["report", "s"])
    assert capsys.readouterr().out == "reports/s/report.html\n"
