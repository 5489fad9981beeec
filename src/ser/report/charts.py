"""Charts without a library: bars in table cells, and small SVG drawings. Colours come from the style sheet alone.

Sizes are in CSS pixels (ours: 320 x 200 fits a phone without being scaled down).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from ser.report.tables import Cell

WIDTH, HEIGHT = 320, 200
LEFT, RIGHT, TOP, BOTTOM = 40, 8, 8, 34
LINES = 6  # colours and dashes of lines; the style sheet has as many
STEPS = 5  # shades of a confusion matrix; the style sheet has as many
MOST = 150  # points of a line, more than 320 pixels can show apart
Pairs = Sequence[tuple[float, float]]


def bar(marks: Sequence[float], low: float | None = None, high: float | None = None, least: float = 0.0) -> Cell:
    """A bar from `low` to `high` with ticks at `marks`, on a scale from `least` to 1.

    The numbers are in cells of their own, so screen readers skip it.
    """

    def place(value: float) -> float:
        return round(100 * min(max((value - least) / (1 - least), 0.0), 1.0), 1)

    pieces = []
    if low is not None and high is not None:
        start, end = place(low), place(high)
        pieces.append(tag("i", class_="bar", style=f"left:{start}%;width:{round(end - start, 1)}%"))
    if least < 0:
        pieces.append(tag("i", class_="zero", style=f"left:{place(0)}%"))
    pieces += [tag("i", class_="tick", style=f"left:{place(v)}%") for v in marks if not np.isnan(v)]
    return Cell(kind="track", inner=tag("span", *pieces))


def shaded(share: float, text: str) -> Cell:
    """A cell of a confusion matrix, shaded by its share of the row."""
    return Cell(text, kind=f"s{min(int(share * STEPS), STEPS - 1)}" if share > 0 else "s")


def lines(title: str, curves: Mapping[str, NDArray], x_label: str, y_label: str) -> Markup:
    """Curves over the same steps 1, 2, ...; values that are no number leave a gap at the ends."""
    there = {name: v for name, v in curves.items() if not np.isnan(v).all()}
    finite = np.concatenate([v[~np.isnan(v)] for v in there.values()])
    low, high = float(finite.min()), float(finite.max())
    steps = max(len(v) for v in there.values())
    drawn = []
    for k, (name, values) in enumerate(there.items()):
        points = [(i + 1, v) for i, v in enumerate(values) if not np.isnan(v)]
        points = points[:: max(1, -(-len(points) // MOST))]
        drawn.append(_path(points, (1, max(steps, 2)), (low, high), f"line l{k % LINES}", name))
    keys = Markup().join(tag("span", tag("i", class_=f"key l{k % LINES}"), name) for k, name in enumerate(there))
    return _figure(title, drawn, (1, max(steps, 2)), (low, high), x_label, y_label, keys)


def reliability(title: str, confidence: Sequence[float], accuracy: Sequence[float], counts: Sequence[int]) -> Markup:
    """Accuracy over confidence, a dot a bin (its area follows the number of utterances) and the diagonal."""
    diagonal = _path([(0, 0), (1, 1)], (0, 1), (0, 1), "zero")
    most = max(counts)
    dots = [
        tag("circle", cx=_x(c, (0, 1)), cy=_y(a, (0, 1)), r=round(2 + 6 * (n / most) ** 0.5, 1), class_="dot")
        for c, a, n in zip(confidence, accuracy, counts, strict=True)
    ]
    return _figure(title, [diagonal, *dots], (0, 1), (0, 1), "confidence", "share correct")


class Point(NamedTuple):
    """A system in the curve of score against cost. `key`: the short text beside its dot."""

    x: float
    y: float
    key: str
    name: str


def frontier(title: str, points: Sequence[Point], x_label: str, y_label: str) -> Markup:
    """Dots over a logarithmic axis, and as a line the best score that a cost buys."""
    xs = [np.log10(max(p.x, 1e-3)) for p in points]
    span = float(np.floor(min(xs))), float(np.ceil(max(xs) + 1e-9))
    heights = (min(0.0, *(p.y for p in points)), 1.0)
    best, steps = -np.inf, ""
    for x, point in sorted(zip(xs, points, strict=True)):
        if point.y > best:
            best = point.y
            steps += f"{'H' if steps else 'M'}{_x(x, span)}{' ' if not steps else 'V'}{_y(point.y, heights)}"
    steps += f"H{WIDTH - RIGHT}"
    drawn = [tag("path", d=steps, class_="line l1")]
    for x, point in zip(xs, points, strict=True):
        at, height = _x(x, span), _y(point.y, heights)
        drawn.append(tag("circle", tag("title", point.name), cx=at, cy=height, r=3.5, class_="dot"))
        left = at > WIDTH - RIGHT - 20
        drawn.append(
            tag("text", point.key, x=at + (-6 if left else 6), y=height + 4, text_anchor="end" if left else None)
        )
    ends = (f"{10 ** span[0]:g}", f"{10 ** span[1]:g}")
    return _figure(title, drawn, span, heights, f"{x_label}, logarithmic", y_label, ends=ends)


def scatter(title: str, points: Pairs, span: tuple[float, float]) -> Markup:
    """True against predicted values, and the diagonal of equality."""
    moves = "".join(f"M{_x(x, span)} {_y(y, span)}h0" for x, y in points)
    cloud = tag("path", d=moves, class_="cloud")
    diagonal = _path([(span[0], span[0]), (span[1], span[1])], span, span, "zero")
    return _figure(title, [diagonal, cloud], span, span, "true", "predicted")


def _x(value: float, span: tuple[float, float]) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * _share(value, span), 1)


def _y(value: float, span: tuple[float, float]) -> float:
    return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * _share(value, span), 1)


def _share(value: float, span: tuple[float, float]) -> float:
    width = span[1] - span[0]
    return float(np.clip((value - span[0]) / width, 0, 1)) if width > 0 else 0.5


def _path(points: Pairs, xs: tuple[float, float], ys: tuple[float, float], class_: str, title: str = "") -> Markup:
    d = "M" + "L".join(f"{_x(x, xs)} {_y(y, ys)}" for x, y in points)
    return tag("path", tag("title", title) if title else None, d=d, class_=class_)


def _figure(
    title: str,
    drawn: Sequence[Markup],
    xs: tuple[float, float],
    ys: tuple[float, float],
    x_label: str,
    y_label: str,
    keys: Markup | None = None,
    ends: tuple[str, str] | None = None,
) -> Markup:
    """Axes with their ends named, the drawing, and a caption below. `ends`: texts for those of the horizontal axis."""
    first, last = ends or (_end(xs[0]), _end(xs[1]))
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    middle = (TOP + bottom) / 2
    frame = [
        tag("path", d=f"M{LEFT} {TOP}V{bottom}H{right}", class_="axis"),
        tag("text", _end(ys[1]), x=LEFT - 4, y=TOP + 9, text_anchor="end"),
        tag("text", _end(ys[0]), x=LEFT - 4, y=bottom, text_anchor="end"),
        tag("text", first, x=LEFT, y=bottom + 14),
        tag("text", last, x=right, y=bottom + 14, text_anchor="end"),
        tag("text", x_label, x=(LEFT + right) / 2, y=bottom + 28, text_anchor="middle"),
        tag("text", y_label, x=-middle, y=12, text_anchor="middle", transform="rotate(-90)"),
    ]
    svg = tag("svg", *frame, *drawn, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=title)
    return tag("figure", svg, tag("figcaption", title, tag("span", keys, class_="keys") if keys else None))


def _end(value: float) -> str:
    return f"{value:.3g}"


def tag(name: str, /, *children: object, **attributes: object) -> Markup:
    """``<name attribute="...">children</name>``; children that are no `Markup` are escaped, None is left out.

    Underscores of an attribute become hyphens, a trailing one is dropped (``class_``); None leaves it out.
    """
    inner = Markup().join(escape(c) for c in children if c is not None)
    pairs = ((k.rstrip("_").replace("_", "-"), v) for k, v in attributes.items() if v is not None)
    written = Markup().join(Markup(' {}="{}"').format(key, value) for key, value in pairs)
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), written, inner)
