"""docs/from_a_wav_to_a_result.md: its blocks are one script that runs and gives what the page says."""

from __future__ import annotations

import contextlib
import io

from tests.conftest import ROOT
from tests.test_docs import blocks


def test_the_script_runs_from_a_wav_to_a_result(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/from_a_wav_to_a_result.md").read_text()
    code = "\n".join(content for language, content in blocks(page) if language == "python")
    names: dict = {"__name__": "page"}
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(code, "from_a_wav_to_a_result.md", "exec"), names)
    assert names["matrix"].sum() == 48
    assert names["ua"] > 0.6, "the hums are easy to tell apart; chance is 1/3"
    assert abs(names["answer"].sum() - 1) < 1e-6
    assert "UA" in out.getvalue()
