"""The report in a real browser, at the widths of a phone and of screens: nothing is cut off, asked for or broken.

Skipped where there is no Chromium.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess

import pytest

from ser.evaluation import compare
from ser.report.study import load
from ser.report.write import write
from tests.evaluation.conftest import classification_table
from tests.report.test_page import make

__all__ = ["make"]

BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--window-size=2000,1200", "--dump-dom"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--virtual-time-budget=20000",
)
WIDTHS = (390, 1280, 1920)
WATCH = """<script>
window.faults = [];
addEventListener("error", (event) => faults.push(String(event.message || event.target)), true);
</script>"""
MEASURE = """<script>
addEventListener("load", () => {
  const wide = (e) => e.scrollWidth > e.clientWidth + 1;
  const cut = (list) => [...list].filter(wide).map((e) => e.getAttribute("aria-label"));
  const closed = [document.documentElement.scrollWidth, document.documentElement.clientWidth];
  document.querySelectorAll("details").forEach((d) => (d.open = true));
  const cell = document.querySelector("#ab button.cell");
  if (cell) cell.click();
  setTimeout(() => {
    document.querySelectorAll("details").forEach((d) => (d.open = true));
    const asked = performance.getEntriesByType("resource").map((e) => e.name).filter((n) => !n.startsWith("data:"));
    parent.postMessage({
      width: innerWidth, closed, open: [document.documentElement.scrollWidth, document.documentElement.clientWidth],
      cut: cut(document.querySelectorAll(".scroll")), asked, faults,
      compared: document.querySelector("#ab p") ? document.querySelector("#ab p").textContent : "",
      utterances: document.querySelectorAll("#ab details.utterance").length,
      sort: document.querySelectorAll("button.sort").length,
    }, "*");
  }, 500);
});
</script>"""
OUTER = """<!DOCTYPE html><body>{frames}<pre id="found"></pre><script>
const found = [];
addEventListener("message", (event) => {{
  found.push(event.data);
  document.getElementById("found").textContent = JSON.stringify(found);
}});
</script></body>"""


@pytest.fixture
def emotions():
    """Predictions of two seeds with one truth, as a corpus has it."""
    table = classification_table()
    first = table[table["seed"] == 1].set_index("utterance")["truth"]
    return table.assign(truth=first.loc[table["utterance"]].to_numpy())


@pytest.fixture(scope="module")
def seen():
    return {}


@pytest.fixture
def measured(make, seen, tmp_path):
    """What the page measures of itself at each width, in a frame of that width."""
    if not BROWSER:
        pytest.skip("no Chromium on this machine")
    page = write(make()).read_text(encoding="utf-8")
    if not seen:
        watched = page.replace("<style>", WATCH + "<style>", 1).replace("</body>", MEASURE + "</body>")
        (tmp_path / "report.html").write_text(watched, encoding="utf-8")
        frames = "".join(
            f'<iframe width="{w}" height="800" style="border:0" src="report.html"></iframe>' for w in WIDTHS
        )
        (tmp_path / "outer.html").write_text(OUTER.format(frames=frames), encoding="utf-8")
        command = [BROWSER, *OPTIONS, f"--user-data-dir={tmp_path / 'profile'}", f"file://{tmp_path / 'outer.html'}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
        (text,) = re.findall(r'<pre id="found">(.*?)</pre>', done.stdout, flags=re.S)
        assert text, done.stderr[-2000:]
        seen |= {one["width"]: one for one in json.loads(html.unescape(text))}
    return seen


def test_no_page_scrolls_sideways_and_no_table_is_cut_off_on_a_screen(measured):
    assert set(measured) == set(WIDTHS)
    for width, one in measured.items():
        assert one["closed"][0] <= one["closed"][1], width
        assert one["open"][0] <= one["open"][1], width
        if width >= 1280:
            assert one["cut"] == [], width


def test_nothing_is_asked_for_and_nothing_fails(measured):
    for one in measured.values():
        assert one["asked"] == []
        assert one["faults"] == []


def test_the_script_compares_as_the_command_line_does_and_opens_cells(measured, make):
    study = load(make())
    one, two = (study.experiments[name] for name in ("good", "bad-<b>"))
    expected = compare.compare(("good", "bad-<b>"), one.scored, two.scored, 100, only=["ua"])
    (d,) = expected.differences
    for found in measured.values():
        difference, p = re.search(r"less that of B: ([+-][\d.]+), p = ([\d.]+) ", found["compared"]).groups()
        assert float(difference) == pytest.approx(d.difference, abs=0.0006)
        assert float(p) == pytest.approx(d.p, rel=0.05)
        assert f"all {expected.ways} ways" in found["compared"]
        assert found["utterances"] > 0
        assert found["sort"] > 10
