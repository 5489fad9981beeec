"""Mutators of bytes, and a harness that counts what a reader makes of the mutations."""

from __future__ import annotations

import re
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from ser.core.errors import SerError
from ser.core.seeds import seed_of

SLOW = 60.0  # seconds that no input may take
WORDS = [b"", b"nan", b"-inf", b"-1", b"1e999", b"9" * 5000, b"true", b"null", b"[", b"{" * 300, b"\0", b"\xff\xfe"]
WORDS += [b"../../x", b"=1+1", b"\n", b'"', b",", b": ", b"&a *a", b"<<: 3", b"!!omap ", b"\xe2\x80\x8b", b"\x00" * 64]


def mutated(data: bytes, generator: np.random.Generator) -> bytes:
    """`data` after one to three random mutations."""
    for _ in range(int(generator.integers(1, 4))):
        data = MUTATORS[generator.integers(len(MUTATORS))](data, generator)
    return data


def _span(data: bytes, g: np.random.Generator) -> tuple[int, int]:
    start = int(g.integers(len(data) + 1))
    return start, min(len(data), start + int(g.integers(1, 40)))


def _flip(data: bytes, g: np.random.Generator) -> bytes:
    if not data:
        return data
    changed = bytearray(data)
    # half of the flips are near the start, where headers are
    changed[int(g.integers(min(len(data), 200 if g.random() < 0.5 else len(data))))] ^= 1 << int(g.integers(8))
    return bytes(changed)


def _cut(data: bytes, g: np.random.Generator) -> bytes:
    return data[: int(g.integers(len(data) + 1))]


def _delete(data: bytes, g: np.random.Generator) -> bytes:
    start, end = _span(data, g)
    return data[:start] + data[end:]


def _double(data: bytes, g: np.random.Generator) -> bytes:
    start, end = _span(data, g)
    return data[:end] + data[start:end] + data[end:]


def _word(data: bytes, g: np.random.Generator) -> bytes:
    start, end = _span(data, g)
    return data[:start] + WORDS[g.integers(len(WORDS))] + data[start if g.random() < 0.5 else end :]


def _field(data: bytes, g: np.random.Generator) -> bytes:
    """Another word in place of a field of a table or a value of a text."""
    fields = data.replace(b"\n", b",\n,").replace(b": ", b",: ,").split(b",")
    fields[g.integers(len(fields))] = WORDS[g.integers(len(WORDS))]
    return b",".join(fields).replace(b",: ,", b": ").replace(b",\n,", b"\n")


MUTATORS = [_flip, _flip, _cut, _delete, _double, _word, _field]


def fuzz(name: str, inputs: int, make: Callable[[np.random.Generator], Callable[[], object]]) -> str:
    """Runs `inputs` trials: ``make(generator)`` prepares one and returns the reader to call, which returns whether the
    input was accepted or, as False, silently gave something else. Returns a line with the numbers; fails on the first
    tracebacks, silent changes and inputs that take more than `SLOW` seconds.
    """
    counts: Counter[str] = Counter()
    faults: list[str] = []
    slowest = 0.0
    for trial in range(inputs):
        read = make(np.random.default_rng(seed_of(0, "chaos", name, trial)))
        start = time.perf_counter()
        try:
            outcome = "silent change" if read() is False else "accepted"
        except SerError:
            outcome = "one line"
        except Exception as error:
            # `run_command` makes one line of an OSError that names a file
            outcome = "one line" if isinstance(error, OSError) and error.filename else "traceback"
            if outcome == "traceback":
                faults.append(f"{name}, trial {trial}:\n{traceback.format_exc(limit=-4)}")
        slowest = max(slowest, time.perf_counter() - start)
        counts[outcome] += 1
        if outcome == "silent change":
            faults.append(f"{name}, trial {trial}: silent change")
    assert slowest < SLOW
    line = f"{name}: {inputs} inputs, {counts['one line']} refused in one line, {counts['accepted']} accepted, "
    line += f"{counts['traceback']} tracebacks, {counts['silent change']} silent changes, slowest {slowest:.2f} s"
    assert not faults, "\n".join([line, *faults[:3]])
    return line


def total(lines: Sequence[str]) -> str:
    """The sums of the lines of `fuzz`."""
    numbers = [re.findall(r" (\d+) (inputs|refused|accepted|tracebacks|silent)", line) for line in lines]
    sums: Counter[str] = Counter()
    for name, found in [(name, int(found)) for of_one in numbers for found, name in of_one]:
        sums[name] += found
    return (
        f"all fuzzers: {sums['inputs']} inputs, {sums['refused']} refused in one line, {sums['accepted']} accepted, "
        f"{sums['tracebacks']} tracebacks, {sums['silent']} silent changes, none took more than {SLOW:.0f} s"
    )
