"""The forest plot: all systems of some results with their intervals, as SVG without a library.

Systems that have seen the test speakers in training are in a panel of their own. Within a panel there is one block per
corpus, with its chance line. What a paper printed for the same row is a hollow mark. On the page the colours come from
the style sheet; `standalone` makes a file of its own for light or dark ground.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ser.evaluation import results
from ser.evaluation.published import published
from ser.evaluation.results import Result
from ser.report import ledger
from ser.report.charts import tag
from ser.report.tables import marks_of

ROW, HEAD, AXIS = 22, 30, 34  # pixels: of a system, of the title of a panel, of its axis with the numbers
NARROW_ROW = 36  # a name above its interval
MOST = 30  # ours: systems of a block; the best are shown
LONGEST, NARROW_LONGEST = 41, 36  # letters of a name that fit beside the plot; longer ones lose their middle
PANELS = {
    True: "Speaker-independent: no test speaker is in training",
    False: "Speaker-dependent: the test speakers are also in training",
    None: "Unknown whether the test speakers are in training",
}
THEMES = {  # ink, soft, rule, mark of a system, hollow mark of a published value
    "light": ("#1b1f24", "#57606a", "#d0d7de", "#1f5f99", "#b34700"),
    "dark": ("#e6e9ed", "#a2abb5", "#3a424b", "#7fbcf5", "#ffab70"),
}


@dataclass(frozen=True)
class Row:
    """One system. `reason`: why the published value beside it is another thing, or the verdict on it."""

    name: str
    value: float
    low: float | None
    high: float | None
    control: bool
    printed: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Block:
    """The systems of a panel on one corpus, the best first. `hidden`: how many more there are."""

    corpus: str
    chance: float
    rows: Sequence[Row]
    hidden: int = 0


@dataclass(frozen=True)
class Panel:
    title: str
    metric: str
    least: float  # where the axis begins
    blocks: Sequence[Block]


def panels(found: Mapping[str, Result]) -> list[Panel]:
    """All systems that have a score, by metric and by whether their test speakers are in training."""
    made = []
    reasons = _reasons(found)
    scored = [r for r in found.values() if r.headline.value is not None]
    for metric in ("ua", "ccc"):
        for independent, title in PANELS.items():
            own = [
                r
                for r in scored
                if r.description.headline == metric and r.description.speaker_independent is independent
            ]
            corpora = dict.fromkeys(str(r.description.corpus) for r in own)
            blocks = [_block(c, [r for r in own if str(r.description.corpus) == c], reasons) for c in corpora]
            if blocks:
                lows = [v for b in blocks for r in b.rows for v in (r.low, r.value, r.printed) if v is not None]
                least = 0.0 if metric == "ua" else min(0.0, math.floor(min(lows) * 5) / 5)
                made.append(Panel(title, results.label(metric), least, blocks))
    return made


def _block(corpus: str, own: Sequence[Result], reasons: Mapping[str, str]) -> Block:
    ranked = sorted(own, key=lambda r: -(r.headline.value or 0.0))
    about = ranked[0].description
    chance = 1 / len(about.labels) if about.headline == "ua" else 0.0
    rows = [_row(r, reasons.get(r.description.experiment, "")) for r in ranked[:MOST]]
    name = corpus + (" (SYNTHETIC)" if about.synthetic else "")
    return Block(name, chance, rows, max(0, len(ranked) - MOST))


def _row(result: Result, reason: str) -> Row:
    about, score = result.description, result.headline
    assert score.value is not None
    cell = published(about.paper)
    printed = cell.numbers.get(about.headline) if cell else None
    name = about.experiment + marks_of(about.transductive, about.control, about.selection)
    return Row(name, score.value, score.low, score.high, about.is_control, printed, reason)


def _reasons(found: Mapping[str, Result]) -> dict[str, str]:
    """The verdict of the ledger on the headline metric of each experiment that answers to a published value."""
    heads = {name: results.label(r.description.headline) for name, r in found.items()}
    own = (row for row in ledger.rows(found) if row.ran and row.kind == "own")
    return {row.experiment: row.verdict for row in own if row.metric == heads.get(row.experiment)}


def remarks(drawn: Sequence[Panel]) -> list[str]:
    """One sentence per published value in the plot: what it is, and whether it can be compared."""
    return [f"{row.name}: {p.metric} {row.printed:.3f} published; {row.reason}" for p, row in _printed(drawn)]


def reasons(drawn: Sequence[Panel]) -> str:
    """The verdicts on the published values in the plot, each once: ``not comparable: reduced size``."""
    return "; ".join(dict.fromkeys(row.reason for _, row in _printed(drawn)))


def _printed(drawn: Sequence[Panel]) -> list[tuple[Panel, Row]]:
    rows = [(panel, row) for panel in drawn for block in panel.blocks for row in block.rows]
    return [(panel, row) for panel, row in rows if row.printed is not None]


def svg(drawn: Sequence[Panel], title: str, narrow: bool = False) -> Markup:
    """The plot, 900 pixels wide, or 360 for a phone."""
    width = 360 if narrow else 900
    parts: list[Markup] = []
    top: float = 4
    for panel in drawn:
        made, top = _panel(panel, top, width, narrow)
        parts += made
    kind = "forest narrow" if narrow else "forest"
    return tag(
        "svg", *parts, viewBox=f"0 0 {width} {top}", role="img", aria_label=title, class_=kind, width=width, height=top
    )


def standalone(drawn: Sequence[Panel], title: str, theme: str) -> str:
    """The plot as a file of its own with the colours of a theme (a key of `THEMES`)."""
    ink, soft, rule, mark, hollow = THEMES[theme]
    style = (
        f"text{{font:12.5px system-ui,'Segoe UI',Helvetica,Arial,sans-serif;fill:{ink}}}.soft{{fill:{soft}}}"
        f".head{{font-weight:600}}.grid{{stroke:{rule}}}.chance{{stroke:{soft};stroke-dasharray:4 3}}"
        f".span{{stroke:{mark};stroke-width:2}}.at{{fill:{mark}}}.control{{opacity:.55}}"
        f".hollow{{fill:none;stroke:{hollow};stroke-width:1.8}}"
    )
    text = str(svg(drawn, title)).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return text.replace(">", f"><style>{style}</style>", 1) + "\n"


def _panel(panel: Panel, top: float, width: int, narrow: bool) -> tuple[list[Markup], float]:
    """The elements of a panel that begins at `top`, and where it ends."""
    left, right = (8, width - 12) if narrow else (308, width - 134)
    scale = _Scale(panel.least, left, right)
    title = f"{panel.metric}. {panel.title}"
    parts = [tag("text", title.split(":")[0] if narrow else title, x=0, y=top + 16, class_="head")]
    y = top + HEAD
    for block in panel.blocks:
        if len(panel.blocks) > 1 or "SYNTHETIC" in block.corpus:
            parts.append(tag("text", block.corpus, x=0, y=y + 14, class_="soft"))
            y += ROW
        bottom = y + len(block.rows) * (NARROW_ROW if narrow else ROW)
        at = scale(block.chance)
        word = f"chance {block.chance:.2f}"
        lines = [tag("path", d=f"M{scale(v)} {y}V{bottom}", class_="grid") for v in scale.ticks]
        parts += [*lines, tag("path", tag("title", word), d=f"M{at} {y - 4}V{bottom}", class_="chance")]
        for row in block.rows:
            parts += _narrow_row(row, y, width, scale) if narrow else _wide_row(row, y, width, scale)
            y += NARROW_ROW if narrow else ROW
        if not narrow:
            parts.append(tag("text", word, x=at + 3, y=bottom + 12, class_="soft small"))
        if block.hidden:
            parts.append(tag("text", f"and {block.hidden} more, in the table", x=0, y=y + 14, class_="soft"))
        y += 16 if block is not panel.blocks[-1] else 0
    parts += [
        tag("text", f"{v:g}", x=scale(v), y=y + (14 if narrow else 26), text_anchor="middle", class_="soft")
        for v in scale.ticks
    ]
    return parts, y + (AXIS + 6)


def _wide_row(row: Row, y: float, width: int, scale: _Scale) -> list[Markup]:
    middle = y + ROW / 2
    name = tag("text", _short(row.name), x=296, y=middle + 4, text_anchor="end")
    numbers = tag("text", _numbers(row), x=width, y=middle + 4, text_anchor="end")
    return [name, *_marks(row, middle, scale), numbers]


def _narrow_row(row: Row, y: float, width: int, scale: _Scale) -> list[Markup]:
    name = tag("text", _short(row.name, NARROW_LONGEST), x=0, y=y + 13)
    numbers = tag("text", _numbers(row), x=width, y=y + 13, text_anchor="end")
    return [name, *_marks(row, y + 24, scale), numbers]


def _marks(row: Row, y: float, scale: _Scale) -> list[Markup]:
    kind = " control" if row.control else ""
    made = []
    if row.low is not None and row.high is not None:
        a, b = scale(row.low), scale(row.high)
        made.append(tag("path", d=f"M{a} {y}H{b}M{a} {y - 4}v8M{b} {y - 4}v8", class_=f"span{kind}"))
    made.append(tag("circle", cx=scale(row.value), cy=y, r=4.5, class_=f"at{kind}"))
    if row.printed is not None:
        x, about = scale(row.printed), tag("title", f"published {row.printed:.3f}; {row.reason}")
        made.append(tag("path", about, d=f"M{x} {y - 6}l6 6l-6 6l-6 -6z", class_="hollow"))
    return made


def _numbers(row: Row) -> str:
    return results.text(results.Score(row.value, row.low, row.high))


def _short(name: str, longest: int = LONGEST) -> str:
    half = longest // 2
    return name if len(name) <= longest else f"{name[:half]}…{name[1 - half :]}"


@dataclass(frozen=True)
class _Scale:
    """Places of values between `least` and 1 on a line from `left` to `right`."""

    least: float
    left: float
    right: float

    def __call__(self, value: float) -> float:
        share = (min(max(value, self.least), 1.0) - self.least) / (1 - self.least)
        return round(self.left + share * (self.right - self.left), 1)

    @property
    def ticks(self) -> list[float]:
        return [round(0.2 * k, 1) for k in range(round(self.least * 5), 6)]
