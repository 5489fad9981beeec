"""Tiny emotion-embedding autoencoders and batches for the tests."""

from __future__ import annotations

from typing import Any

import torch

from ser.core.tasks import Batch, Task
from ser.models.emotion_autoencoder import TINY, Config, Model

F, K, V = 12, 3, 1966  # bins, classes, functionals of IS10 and IS09
VARIANTS: dict[str, dict[str, Any]] = {  # papers.md 5.6
    "ae": {"emotion_embedding": False, "norm": "batch"},
    "ae_ee": {"norm": "batch"},
    "ae_in": {"emotion_embedding": False},
    "ae_ee_in": {},
    "ae_no_os": {"emotion_embedding": False, "norm": "batch", "functionals": False},
    "ae_no_os_ee_in": {"functionals": False},
}
STILL = {"dropout": 0.0, "classifier_dropout": 0.0}


def task(classes: int = K, bins: int = F, functionals: int = V) -> Task:
    inputs = {"logmag": bins, "functionals": functionals}
    levels = {"logmag": "frame", "functionals": "utterance"}
    return Task("classification", tuple("abcdefg"[:classes]), inputs, levels)


def config(**values: Any) -> Config:
    return Config(**{**TINY, "dense": (16, 8), "functionals": True, **values})


def model(seed: int = 0, **values: Any) -> Model:
    """Its functionals are taken as they are."""
    torch.manual_seed(seed)
    made = Model(config(**values), task())
    made.functionals.factor.fill_(1.0)
    return made


def batch(n: int = 6, frames: int = 32, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    inputs = {"logmag": torch.rand(n, frames, F, generator=generator)}
    inputs["functionals"] = torch.randn(n, V, generator=generator)
    return Batch(inputs, {"logmag": torch.full((n,), frames)}, torch.arange(n) % K)


def total(losses: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.stack(list(losses.values())).sum()
