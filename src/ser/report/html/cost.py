"""What an experiment cost: a paragraph of its section, a cell of the table of results.

Times and memory are the only values of a report that differ from run to run, so each lies in an element of the class
`cost`: without these elements equal inputs give equal bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ser.report.html.markup import Html, join, tag

LEGEND = (
    "Training: the time on the clock of all folds and seeds added up, each on its worker, beside whatever else the "
    "machine did, predictions of their test parts included. "
    "Times and memory are what differs from run to run; all else here is the same at every run."
)


def paragraph(card: Mapping[str, Any], cost: Mapping[str, Any]) -> Html | None:
    """Seconds, memory, device and size; without a cost file (a study trained before there was one) the last two."""
    counts = sorted({n["parameters"] for n in (card.get("notes") or {}).values() if "parameters" in n})
    span = f"{counts[0]:,} to {counts[-1]:,}" if len(counts) > 1 else f"{counts[0]:,}" if counts else ""
    device = cost.get("device") or card.get("device")
    facts = [
        *_spent(cost),
        f"device {device}" if device else "",
        f"precision {card['precision']}" if card.get("precision") else "",
        f"{span} parameters" if span else "",
    ]
    said = ", ".join(f for f in facts if f)
    return tag("p", join([tag("strong", "Cost: "), said]), class_="cost") if said else None


def cell(cost: Mapping[str, Any]) -> Html:
    """The time of training, for a table."""
    return tag("td", _time(cost) if cost.get("folds") else "-", class_="cost")


def _spent(cost: Mapping[str, Any]) -> list[str]:
    """Time, memory and threads in words; nothing where nothing was measured."""
    if not cost.get("folds"):
        return []
    threads = cost["threads"]
    return [
        f"{_time(cost)} of training ({cost['folds']} folds and seeds added up"
        + ("; what was trained before an interruption is not counted)" if cost["resumed"] else ")"),
        f"at most {_size(cost['peak_bytes'])} of memory a worker",
        f"at most {_size(cost['gpu_bytes'])} on the GPU" if "gpu_bytes" in cost else "",
        f"{threads} thread" + ("s" if threads != 1 else ""),
    ]


def _time(cost: Mapping[str, Any]) -> str:
    seconds = cost["seconds"]
    unit, size = next((u, s) for u, s in (("h", 3600), ("min", 60), ("s", 1)) if seconds >= 2 * s or s == 1)
    value = seconds / size
    text = f"{value:.1f}" if value < 10 else f"{value:.0f}"
    return f"{'at least ' if cost['resumed'] else ''}{text} {unit}"


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
