"""What the pictures of a study share: colours, the mark of synthetic data, figures without a display, atomic PNG files.

The files carry neither date nor software: equal inputs give equal bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ser.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, SOFT = "#1f4e79", "#8a8a8a"


def mark(synthetic: bool) -> str:
    return " (SYNTHETIC data)" if synthetic else ""


def figure(width: float, height: float, layout: Literal["constrained"] | None = "constrained") -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(made)  # no display, and no global state of pyplot
    return made


def save(figure: Figure, path: str | Path, dpi: int = 120) -> Path:
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=dpi, metadata={"Software": None})
    return Path(path)
