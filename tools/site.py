"""A hook of mkdocs: pages of docs link to files elsewhere in the repository, as README.md, and work on both sides.

In the repository such a link is a path like ``../README.md``. The site gets a copy of every file that is linked so,
below ``repository/``, and the links of all pages lead there.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT, DOCS, COPIES = Path(__file__).parents[1], "docs", "repository"
LINK = re.compile(r"(\]\(|<img[^>]* src=\"|<source[^>]* srcset=\")(?!\w+:|#|/)([^)\s\"#]+)")
PAGES = ("README.md", "CONTRIBUTING.md")  # of the repository, that the site shows as pages of their own


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages, and every file outside docs that a page links to."""
    found = {Path(name) for name in PAGES}
    for page in [*(ROOT / DOCS).glob("*.md"), *(ROOT / name for name in PAGES)]:
        for _, link in LINK.findall(page.read_text(encoding="utf-8")):
            target = (page.parent / link).resolve().relative_to(ROOT)
            if target.parts[0] != DOCS and (ROOT / target).is_file():
                found.add(target)
    for target in sorted(found):
        path = f"{COPIES}/{target.as_posix()}"
        files.append(File.generated(config, path, content=(ROOT / target).read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The text of a page, with the links of the repository as those of the site."""
    source = page.file.src_uri
    inside = source.startswith(f"{COPIES}/")
    folder = posixpath.dirname(source.removeprefix(f"{COPIES}/") if inside else f"{DOCS}/{source}")

    def relinked(match: re.Match[str]) -> str:
        start, link = match.groups()
        target = posixpath.normpath(posixpath.join(folder, link))
        there = target.removeprefix(f"{DOCS}/") if target.startswith(f"{DOCS}/") else f"{COPIES}/{target}"
        return start + posixpath.relpath(there, posixpath.dirname(source) or ".")

    return LINK.sub(relinked, markdown)
