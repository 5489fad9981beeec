"""Checkpoints of a running training: model, optimiser, random states, position in the data. Written atomically."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ser.files import replacing


def random_state() -> dict[str, Any]:
    """States of every global generator a model may draw from (numpy's and Python's only as a guard; ours are named)."""
    state = {"torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_random_state(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


def seed_everything(seed: int) -> None:
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def save(path: Path, state: dict[str, Any]) -> None:
    """torch.save stores the file's name inside, so the bytes go through memory: equal states give equal files."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def load(path: Path) -> dict[str, Any] | None:
    """The state, or None when there is no checkpoint. Tensors only: nothing in the file is executed."""
    return torch.load(path, map_location="cpu", weights_only=True) if path.exists() else None
