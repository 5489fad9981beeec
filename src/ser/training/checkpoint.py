"""Checkpoints of a running training: files of tensors and plain values, written atomically, that execute nothing."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ser.files import replacing


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Writes a state. Equal states give equal bytes: torch.save would write the name of the file into the file."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def load(path: Path) -> dict[str, Any] | None:
    """The state, or None when there is no checkpoint."""
    return torch.load(path, map_location="cpu", weights_only=True) if path.exists() else None


def random_state() -> dict[str, Tensor]:
    """The states of the generators from which models draw dropout."""
    state = {"torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_random_state(state: Mapping[str, Tensor]) -> None:
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
