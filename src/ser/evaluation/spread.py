"""How far the demo's scores move from one kind of processor to another, as measured by ``tools/spread.py``.

Equal settings give equal bytes on one machine. Another processor adds in another order, which changes the last digits,
and a training amplifies them. ``spread.json`` holds the scores of the demo under several instruction sets, and says how
they were made. An experiment that it does not have is given `LEAST`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ser.core.files import read_json

FACTOR = 2.0  # ours: a few instruction sets show less than all the processors there are
LEAST = 0.03  # ours: what two real processors differed by at most (docs/experiments.md)


@cache
def measured() -> Mapping[str, Any]:
    """The file: ``made_with``, ``processor``, ``versions``, ``variants`` and ``scores``."""
    return read_json(Path(__file__).with_name("spread.json"))


def between_machines(experiment: str) -> float:
    """The largest difference of any score of an experiment that another machine explains: `FACTOR` times the measured
    range, at least `LEAST`.
    """
    scores = measured()["scores"].get(experiment, {}).values()
    ranges = [max(values.values()) - min(values.values()) for values in scores if values]
    return max([LEAST, *(FACTOR * r for r in ranges)])


def differences(old: Mapping[str, float | None], new: Mapping[str, float | None]) -> dict[str, float]:
    """Score -> how far it moved; infinite where only one of the two is defined, without those that are equal."""
    found = {}
    for name in dict.fromkeys((*old, *new)):
        a, b = old.get(name), new.get(name)
        if a != b:
            found[name] = float("inf") if a is None or b is None else abs(b - a)
    return found


def is_within(experiment: str, old: Mapping[str, float | None], new: Mapping[str, float | None]) -> bool:
    """Whether another machine explains the difference between two sets of scores of an experiment of the demo."""
    return max(differences(old, new).values(), default=0.0) <= between_machines(experiment)
