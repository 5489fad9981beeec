"""Small pieces of HTML. What is not `Html` is escaped, so no name from a corpus can become markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def tag(name: str, /, *children: object, **attributes: object) -> Html:
    """``<name attribute="...">children</name>``; children that are not `Html` are escaped, None is left out.

    An attribute's underscores become hyphens, a trailing one is dropped (``class_``, ``for_``); None leaves it out.
    """
    inner = "".join(c if isinstance(c, Html) else escape(str(c), quote=False) for c in children if c is not None)
    pairs = ((k.rstrip("_").replace("_", "-"), v) for k, v in attributes.items() if v is not None)
    written = "".join(f' {key}="{escape(str(value))}"' for key, value in pairs)
    return Html(f"<{name}{written}>" + ("" if name in ("img", "meta", "br") else f"{inner}</{name}>"))


def join(parts: Iterable[object], between: str = "") -> Html:
    return Html(between.join(p if isinstance(p, Html) else escape(str(p), quote=False) for p in parts))


def table(caption: str, header: Sequence[str], rows: Iterable[Sequence[object]], class_: str | None = None) -> Html:
    """A table whose first column names the row. It scrolls by itself, with the keyboard too, where it is too wide."""
    head = tag("tr", *(tag("th", cell, scope="col") for cell in header))
    body = join(
        tag("tr", tag("th", row[0], scope="row"), *(c if _is_cell(c) else tag("td", c) for c in row[1:]))
        for row in rows
    )
    inner = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", body), class_=class_)
    return tag("div", inner, class_="scroll", tabindex=0, role="group", aria_label=caption)


def _is_cell(value: object) -> bool:
    return isinstance(value, Html) and value.startswith("<td")


def section(id_: str, level: int, title: object, *children: object) -> Html:
    return tag("section", tag(f"h{level}", title), *children, id=id_, aria_label=str(title))


def bullets(items: Iterable[object]) -> Html | None:
    made = [tag("li", item) for item in items]
    return tag("ul", *made) if made else None


def slug(text: str) -> str:
    """An id for an anchor: the text with everything but letters, digits, - and _ replaced."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in text)
