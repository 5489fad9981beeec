"""What an experiment cost, in words.

Times and memory are the only values of a report that differ from run to run, so each is in an element of the class
`cost`: without these elements equal inputs give equal bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def sentence(card: Mapping[str, Any], cost: Mapping[str, Any]) -> str:
    """Seconds, memory, device and size; without a cost file the last two only."""
    span = parameters(card)
    device = cost.get("device") or card.get("device")
    facts = [
        *_spent(cost),
        f"device {device}" if device else "",
        f"precision {card['precision']}" if card.get("precision") else "",
        f"{span} parameters" if span else "",
    ]
    return ", ".join(fact for fact in facts if fact)


def parameters(card: Mapping[str, Any]) -> str:
    """The number of parameters of the model, or its range over the folds; empty where the card has none."""
    counts = sorted({n["parameters"] for n in (card.get("notes") or {}).values() if "parameters" in n})
    return f"{counts[0]:,} to {counts[-1]:,}" if len(counts) > 1 else f"{counts[0]:,}" if counts else ""


def core_minutes(cost: Mapping[str, Any]) -> float:
    """Time of all folds and seeds, times the threads that each used, in minutes."""
    return float(cost["seconds"]) * int(cost["threads"]) / 60


def time(cost: Mapping[str, Any]) -> str:
    """The time of the training, in a unit that suits it."""
    if not cost.get("folds"):
        return "-"
    seconds = cost["seconds"]
    unit, size = next((u, s) for u, s in (("h", 3600), ("min", 60), ("s", 1)) if seconds >= 2 * s or s == 1)
    value = seconds / size
    text = f"{value:.1f}" if value < 10 else f"{value:.0f}"
    return f"{'at least ' if cost['resumed'] else ''}{text} {unit}"


def _spent(cost: Mapping[str, Any]) -> list[str]:
    """Time, memory and threads; nothing where nothing was measured."""
    if not cost.get("folds"):
        return []
    threads = cost["threads"]
    return [
        f"{time(cost)} of training ({cost['folds']} folds and seeds added up"
        + ("; what was trained before an interruption is not counted)" if cost["resumed"] else ")"),
        f"at most {size(cost['peak_bytes'])} of memory per worker",
        f"at most {size(cost['gpu_bytes'])} on the GPU" if "gpu_bytes" in cost else "",
        f"{threads} thread" + ("s" if threads != 1 else ""),
    ]


def size(count: int) -> str:
    """``1.2 GB``, ``830 MB``."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
