"""Every citation of the specification, such as "papers.md 4.3", leads to a section of docs/papers.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

WHERE = ("src", "packages", "stages", "tests", "benchmarks", "tools", "docs", "studies", "params.yaml", "README.md")
CITATION = (
    re.compile(  # "papers.md 4.2 to 4.6", "papers.md, section 2", "papers.md 4.4 and 4.8"; may continue on a new line
        r"papers\.md,?[\s#]+(?:sections?\s+)?(\d+(?:\.\d+)?)(?:(?:,\s|\s+to\s|\s+and\s)(\d+\.\d+)\b)?"
    )
)


def files() -> list[Path]:
    found = [path for name in WHERE for path in ((ROOT / name).rglob("*") if (ROOT / name).is_dir() else [ROOT / name])]
    return [path for path in found if path.suffix in (".py", ".md", ".yaml")]


def citations(text: str) -> set[str]:
    return {section for found in CITATION.findall(text) for section in found if section}


def sections() -> set[str]:
    return set(re.findall(r"^##+ (\d+(?:\.\d+)?) ", (ROOT / "docs/papers.md").read_text(), flags=re.M))


def test_every_citation_leads_to_a_section():
    cited = {section: path for path in files() for section in citations(path.read_text(encoding="utf-8"))}
    assert len(cited) > 30
    assert not {section: str(path) for section, path in cited.items() if section not in sections()}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("(papers.md 4.2 to 4.6)", {"4.2", "4.6"}),
        ("papers.md, section 2).", {"2"}),
        ("(papers.md 4.4\n    and 4.8)", {"4.4", "4.8"}),
        ("papers.md\n# 7.3: none", {"7.3"}),
        ("papers.md 5.7: P2, 5 and 10", {"5.7"}),
        ("papers.md states none", set()),
    ],
)
def test_citations_are_found(text, found):
    assert citations(text) == found
