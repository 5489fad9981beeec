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
    own = {n["arithmetic"] for n in (card.get("notes") or {}).values() if "arithmetic" in n}  # only a GPU's is noted
    precision = ", ".join(sorted(own)) or card.get("precision")
    facts = [
        *_spent(cost),
        f"device {device}" if device else "",
        f"precision {precision}" if precision else "",
        f"{span} parameters" if span else "",
    ]
    return ", ".join(fact for fact in facts if fact)


def parameters(card: Mapping[str, Any]) -> str:
    """The number of parameters of the model, or its range over the folds; empty where the card has none."""
    counts = sorted({n["parameters"] for n in (card.get("notes") or {}).values() if "parameters" in n})
    return f"{counts[0]:,} to {counts[-1]:,}" if len(counts) > 1 else f"{counts[0]:,}" if counts else ""


def time(cost: Mapping[str, Any]) -> str:
    """The time of the training, in a unit that suits it."""
    if not cost.get("folds"):
        return "-"
    seconds = cost["seconds"]
    unit, size = next((u, s) for u, s in (("h", 3600), ("min", 60), ("s", 1)) if seconds >= 2 * s or s == 1)
    value = seconds / size
    text = f"{value:.1f}" if value < 10 else f"{value:.0f}"
    return f"{'at least ' if cost['resumed'] else ''}{text} {unit}"


def with_ensembles(
    costs: Mapping[str, Mapping[str, Any]], cards: Mapping[str, Mapping[str, Any]]
) -> dict[str, Mapping[str, Any]]:
    """The costs of trainings, and for each ensemble what its members took together, where that is known of all."""
    found = dict(costs)
    for name, card in cards.items():
        own = [costs[member] for member in card.get("members") or () if member in costs]
        if own and len(own) == len(card["members"]):
            seconds = 60 * sum(map(minutes, own))
            whole = {"seconds": seconds, "threads": 1, "folds": sum(cost["folds"] for cost in own)}
            found[name] = whole | {
                "resumed": any(cost.get("resumed") for cost in own),
                "device": ", ".join(dict.fromkeys(str(cost.get("device", "cpu")) for cost in own)),
            }
    return found


def minutes(cost: Mapping[str, Any]) -> float:
    """The minutes that one core was busy with the training; those of the clock where a GPU did the work, and with each
    thread where the busy time is not known."""
    if _on_gpu(cost):
        return float(cost["seconds"]) / 60
    return float(cost.get("cpu_seconds", cost["seconds"] * cost.get("threads", 1))) / 60


def core_minutes(cost: Mapping[str, Any], part: float = 1.0) -> str:
    """`minutes` of a part of the training, in words."""
    if not cost.get("folds"):
        return "-"
    value = part * minutes(cost)
    text = f"{value:.1f}" if value < 10 else f"{value:,.0f}"
    return f"{'at least ' if cost.get('resumed') else ''}{text}{' on a GPU' if _on_gpu(cost) else ''}"


def _on_gpu(cost: Mapping[str, Any]) -> bool:
    return not str(cost.get("device", "cpu")).startswith("cpu")


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
