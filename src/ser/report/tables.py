"""Tables as data, the same for HTML, Markdown and the terminal. HTML is made by ``templates/macros.html``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ser.evaluation import results


@dataclass(frozen=True)
class Cell:
    """What one cell of a table shows."""

    text: str = ""
    note: str = ""  # a second, smaller line
    href: str = ""  # the id of the part of the page that the text links to
    kind: str = ""  # classes of the style sheet
    inner: str = ""  # markup, on the page only, such as a bar or a player

    @property
    def empty(self) -> bool:
        return not (self.text or self.note or self.inner)


@dataclass(frozen=True)
class Table:
    """A table whose first column names the row. Columns without any content are left out."""

    caption: str
    header: Sequence[str]
    body: Sequence[Sequence[object]]  # a value that is no `Cell` is shown as text
    kind: str = ""  # a class of the style sheet
    name: str = ""  # the experiment that it is about, for the script of the page

    @property
    def columns(self) -> list[str]:
        return [self.header[k] for k in self._shown(False)]

    @property
    def rows(self) -> list[list[Cell]]:
        """The cells of each row, for the page."""
        shown = self._shown(False)
        return [[_cell(row[k]) for k in shown] for row in self.body]

    def markdown(self) -> str:
        """The table without what only a page can show."""
        shown = self._shown(True)
        lines = [[self.header[k] for k in shown], ["---"] * len(shown)]
        lines += [[_plain(_cell(row[k])) for k in shown] for row in self.body]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)

    def only(self, columns: Sequence[str]) -> Table:
        """The table with these columns alone."""
        kept = [k for k, name in enumerate(self.header) if name in columns]
        return replace(self, header=[self.header[k] for k in kept], body=[[row[k] for k in kept] for row in self.body])

    def _shown(self, text_only: bool) -> list[int]:
        cells = [[_cell(value) for value in row] for row in self.body]
        return [k for k in range(len(self.header)) if any(_has(row[k], text_only) for row in cells)]


def plural(count: int, noun: str, several: str = "") -> str:
    """``1 corpus``, ``2 corpora``."""
    return f"{count} {noun if count == 1 else several or noun + 's'}"


def number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None or value != value else f"{value:.{digits}f}"


def slug(text: str) -> str:
    """An id for an anchor: the text with everything but letters, digits, - and _ replaced."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in text)


def marks_of(transductive: object, control: object, selection: object) -> str:
    """The signs beside the name of a system, which the legend explains."""
    signs = ("†" if transductive else "") + ("‡" if control not in (None, "none") else "")
    return signs + ("§" if results.is_biased(selection) else "")


def listed(names: Iterable[str], everyone: int) -> str:
    """The names, or ``all experiments`` where they are all of them."""
    names = list(names)
    return "all experiments" if len(names) == everyone else ", ".join(names)


def _cell(value: object) -> Cell:
    return value if isinstance(value, Cell) else Cell(str(value))


def _has(cell: Cell, text_only: bool) -> bool:
    return bool(cell.text or cell.note) if text_only else not cell.empty


def _plain(cell: Cell) -> str:
    text = f"{cell.text} ({cell.note})" if cell.text and cell.note else cell.text or cell.note
    return text.replace("|", "\\|")
