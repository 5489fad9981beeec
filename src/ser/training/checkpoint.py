"""Checkpoints of a running training: files of tensors and plain values, written atomically, that execute nothing."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ser.core.errors import SerError
from ser.core.files import reading, replacing, set_aside

_HASH = 32  # bytes of SHA-256


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Writes a state after its hash. Equal states give equal bytes: torch.save would write the name of the file into
    the file.
    """
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    content = buffer.getvalue()
    with replacing(path) as temporary:
        temporary.write_bytes(hashlib.sha256(content).digest() + content)


def load(path: Path) -> dict[str, Any] | None:
    """The state, or None when there is no checkpoint. A damaged one is set aside: the training starts again."""
    if not path.exists():
        return None
    try:
        with reading(path):
            content = path.read_bytes()
            if hashlib.sha256(content[_HASH:]).digest() != content[:_HASH]:
                raise ValueError("its content does not fit its hash")
            return torch.load(io.BytesIO(content[_HASH:]), map_location="cpu", weights_only=True)
    except SerError as error:
        set_aside(path, error)
        return None


def random_state(device: str) -> dict[str, Tensor]:
    """The states of the generators from which models draw dropout. Nothing is asked of CUDA for a training on a CPU: it
    would start, and take some hundred MB of a GPU."""
    state = {"torch": torch.get_rng_state()}
    if device != "cpu":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def restore_random_state(state: Mapping[str, Tensor], device: str) -> None:
    torch.set_rng_state(state["torch"])
    if device != "cpu" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
