"""Settings of a pretraining."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from ser.models.layers.mockingjay import Config, Masking

# These change the time of a training but no number, so a stopped training continues after a change of them.
COST_ONLY = ("workers", "cache", "checkpoint_every")


@dataclass(frozen=True)
class Settings:
    """How an encoder is pretrained. Defaults: `full` of papers.md 4.3, ours where it names none."""

    feature: str = "logmel"  # a file of src/ser/features, frame level
    features: dict[str, Any] = field(default_factory=dict)  # the parameters of the feature
    encoder: Config = field(default_factory=Config)
    masking: Masking = field(default_factory=Masking)
    steps: int = 500_000  # papers.md 4.3; `short` has 20 000, `smoke` 50
    batch: int = 6  # utterances per process and step
    halve_above: int = 400  # frames: a batch whose longest utterance exceeds it is halved
    frames: int | None = None  # instead of `batch`: padded frames per process and step, with as many utterances as fit
    longest: int = 3000  # frames; longer utterances are cropped, at random in training, to their beginning on dev
    pool: int = 32  # batches sorted by length together (ours: little padding, and still random)
    lr: float = 4e-4  # peak
    warmup: float = 0.07  # share of the steps; then linear decay to 0
    weight_decay: float = 0.01  # none on biases and layer norms
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-6
    clip: float = 1.0  # largest gradient norm
    dev_share: float = 0.05  # of the speakers, at least one: held out for the dev loss (ours)
    dev_utterances: int = 200  # at most, of all held-out speakers (ours: limits the cost of an evaluation)
    evaluate_every: int = 1000  # steps (ours)
    checkpoint_every: int = 1000  # steps (ours)
    initial: str = ""  # folder of the initial weights: an earlier pretraining or a converted checkpoint
    seed: int = 1
    threads: int = 1  # of torch (ours: not the number of cores, so that sums are the same on every machine)
    workers: int = 1  # loader processes; 0: batches are loaded between the steps
    cache: bool = False  # pack the features once, for a short corpus

    def __post_init__(self) -> None:
        positive = ("steps", "batch", "longest", "pool", "dev_utterances", "evaluate_every", "checkpoint_every")
        for name in (*positive, "threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.frames is not None and self.frames < self.longest:
            raise ValueError(f"frames {self.frames} must hold the longest utterance, {self.longest}")
        if not 0 <= self.warmup < 1 or not 0 < self.dev_share < 1:
            raise ValueError(f"warmup {self.warmup} and dev_share {self.dev_share} are shares below 1")
        if self.lr <= 0 or self.clip <= 0 or self.workers < 0:
            raise ValueError(f"lr {self.lr} and clip {self.clip} are above 0, workers {self.workers} at least 0")

    def numbers(self) -> dict[str, Any]:
        """The settings a result depends on, as plain data."""
        return {k: v for k, v in dataclasses.asdict(self).items() if k not in COST_ONLY}
