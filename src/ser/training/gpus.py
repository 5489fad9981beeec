"""Several GPUs in one machine: every worker process takes a GPU of its own and keeps it until it ends.

A worker takes the first GPU that no other process has. Only when all are taken does a second process share a GPU, so
that with n GPUs the first n workers have one each, whichever of them ends, is killed or is started again. A GPU is
taken by a lock that the operating system frees with the process (`ser.core.files.claim`), and not by the number of a
worker, which says nothing about the other experiments on the machine.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import cache
from itertools import count
from pathlib import Path

from ser.core.errors import SerError
from ser.core.files import claim

_KEPT = ExitStack()  # the lock of this process; never closed: it ends with the process


def use(device: str, name: str = "") -> None:
    """Makes a GPU that is called `name` (empty: as the first one is) the one that ``cuda`` means in this thread. Does
    nothing on a CPU.

    The number of the GPU is in no setting and no fingerprint, because equal GPUs compute the same. Raises `SerError`
    when no GPU of this machine has that name: another one gives other last digits.
    """
    if device != "cuda":
        return
    import torch

    found = names()
    if not (alike := numbers(found, name or found[0])):
        what = f"the GPUs here are {', '.join(found)}, but this experiment is trained on {name}"
        raise SerError(what, "run.device", "Use machines with the same GPU: in Slurm, name it in run.slurm.gres")
    identities = identified(os.environ.get("CUDA_VISIBLE_DEVICES"), len(found))
    folder = Path(tempfile.gettempdir()) / f"ser-gpus-{os.getuid()}"
    torch.cuda.set_device(alike[taken(tuple(identities[n] for n in alike), folder)])


def names() -> list[str]:
    """The names of the GPUs that this process sees; Slurm and CUDA_VISIBLE_DEVICES may hide others."""
    import torch

    return [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]


def numbers(found: Sequence[str], name: str) -> list[int]:
    """The numbers of the GPUs that are called `name`."""
    return [n for n, own in enumerate(found) if own == name]


def identified(visible: str | None, gpus: int) -> list[str]:
    """What tells each GPU that a process sees from the other GPUs of the machine. With CUDA_VISIBLE_DEVICES=2,5 a
    process sees two GPUs, whose numbers 0 and 1 mean other GPUs in other processes.
    """
    listed = [entry.strip() for entry in (visible or "").split(",") if entry.strip()]
    return listed[:gpus] if len(listed) >= gpus else [str(n) for n in range(gpus)]


def places(gpus: Sequence[str]) -> Iterator[tuple[int, str]]:
    """The order in which workers take GPUs: position of a GPU, name of its place. First a place on each GPU, then a
    second one on each, and so on.
    """
    for place in count():
        for position, gpu in enumerate(gpus):
            yield position, f"{gpu}-{place}"


@cache
def taken(gpus: tuple[str, ...], folder: Path) -> int:
    """The position of the GPU that this process has from now on: that of the first free place."""
    return next(position for position, place in places(gpus) if _taken(folder / f"{place}.claim"))


def _taken(place: Path) -> bool:
    """Whether the place was free, and is this process's now."""
    with ExitStack() as stack:
        mine = stack.enter_context(claim(place))
        if mine:
            _KEPT.push(stack.pop_all())
    return mine
