"""Pretrains the encoder: L1 on masked frames, AdamW, warm-up and linear decay, dev loss, several processes.

This module, its imports and the feature are the code that a pretrained encoder depends on. Dropout is seeded by the
step, so a stopped run ends with the same bytes on a CPU. With `torchrun` every process takes its part of each batch,
and gradients and losses are those of the whole batch.

Letters: B utterances, T frames (padded), F columns, M masked frames.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ser.core import weights
from ser.core.compute import Processes
from ser.core.errors import SerError
from ser.core.seeds import seed_everything, seed_of
from ser.models.layers import mockingjay
from ser.pretraining import data
from ser.pretraining.data import Batch
from ser.pretraining.settings import Settings
from ser.training.loop import ALONE, Loop, learning_rate
from ser.training.optimiser import Adam

SHOWN, SAMPLES = 300, 3  # frames of a sample reconstruction, and their number: what one page shows legibly (ours)


class Pretrainer(nn.Module):
    """Encoder and head; the forward pass gives the loss before its division by the number of masked frames."""

    def __init__(self, config: mockingjay.Config) -> None:
        super().__init__()
        self.encoder, self.head = mockingjay.Encoder(config), mockingjay.Head(config)

    def forward(self, batch: Batch) -> Tensor:
        """Scalar float32: absolute error, mean over the F columns, summed over the M masked frames."""
        h = self.encoder(mockingjay.masked(batch.x, batch.masks), batch.lengths).flatten(0, 1)[batch.where]  # (M, H)
        return (self.head(h).float() - batch.x.flatten(0, 1)[batch.where]).abs().mean(1).sum()

    @torch.no_grad()
    def predict(self, batch: Batch) -> Tensor:
        """(B, T, F): every frame as the head predicts it from the masked input."""
        return self.head(self.encoder(mockingjay.masked(batch.x, batch.masks), batch.lengths)).float()


class Pretraining:
    """The training of one encoder. `path`: file of its checkpoint; `loop` holds its progress and its curve."""

    def __init__(
        self,
        settings: Settings,
        sizes: mockingjay.Config,
        parts: data.Parts,
        own: Processes = ALONE,
        *,
        bfloat16: bool = False,
        path: Path | None = None,
    ) -> None:
        seed_everything(seed_of(settings.seed, "initial"))
        model = Pretrainer(sizes)
        if settings.initial:
            start(model, Path(settings.initial), sizes)
        self.settings, self.parts, self.own, self.model = settings, parts, own, model.to(own.device)
        self.parallel = DistributedDataParallel(self.model) if own.world > 1 else self.model
        self.loop = Loop(
            self.model,
            optimiser(self.model, settings),
            self._plan,
            self._loss,
            self._evaluate,
            steps=settings.steps,
            every=settings.evaluate_every,
            rate=lambda step: rate(step, settings),
            clip=settings.clip,
            bfloat16=bfloat16,
            processes=own,
            path=path,
            checkpoint_every=settings.checkpoint_every,
            label=f"pretraining {settings.feature}",
        )
        items = data.dev_items(parts.dev_frames, settings, own.rank, own.world)
        # their processes stay for all evaluations, of which there are 500
        self.dev = data.loader(parts.dev, items, settings.workers, own.device != "cpu", persistent=True)

    def fit(self) -> list[dict[str, float]]:
        """Trains to the last step; returns the curve: step, train_l1, dev_l1, baseline_l1, lr, one row per evaluation.

        Raises `SerError` when the loss is not finite.
        """
        columns = ("step", "train_loss", "dev_l1", "baseline_l1")
        curve = [{name: row[name] for name in columns} for row in self.loop.fit()]
        for row in curve:
            row["train_l1"] = row.pop("train_loss")
            row["lr"] = self.settings.lr * rate(int(row["step"]) - 1, self.settings)
        order = ("step", "train_l1", "dev_l1", "baseline_l1", "lr")
        return [{name: row[name] for name in order} for row in curve]

    @property
    def frames(self) -> int:
        """Valid frames that all processes have seen so far."""
        return int(self.loop.extra.get("frames", 0))

    def _plan(self, epoch: int, position: int) -> Iterable[Batch]:
        """All steps are one epoch of the loop, so that loader workers do not stop between passes over the corpus."""
        own, s = self.own, self.settings
        items = data.train_items(self.parts.train_frames, s, position + 1, own.rank, own.world)
        return data.loader(self.parts.train, items, s.workers, own.device != "cpu")

    def _loss(self, batch: Batch) -> Tensor:
        """The part of this process in the mean absolute error of the masked frames of the whole batch."""
        own, loop = self.own, self.loop
        torch.manual_seed(seed_of(self.settings.seed, "dropout", loop.progress.step + 1, own.rank))
        hidden: Any = max(1, batch.hidden)
        frames: Any = batch.seen
        if own.world > 1:  # they stay on the device, because reading a sum of all processes would wait for all of them
            hidden, frames = own.total(torch.tensor([batch.hidden, frames], device=own.device))
            hidden = hidden.clamp(min=1)
        loop.extra["frames"] = loop.extra.get("frames", 0) + frames
        return self.parallel(to(batch, own.device)) / hidden

    @torch.no_grad()
    def _evaluate(self) -> dict[str, float]:
        """Mean absolute error on the masked frames of dev: of the model, and of the utterance's mean frame."""
        own = self.own
        self.model.eval()
        sums = torch.zeros(3, dtype=torch.float64, device=own.device)
        for batch in self.dev:
            batch = to(batch, own.device)
            valid = torch.arange(batch.x.shape[1], device=batch.x.device) < batch.lengths[:, None]
            mean = (batch.x * valid[..., None]).sum(1, keepdim=True) / batch.lengths[:, None, None]
            baseline = (batch.x - mean).abs().mean(2).flatten()[batch.where].sum()
            error = self.model(batch)  # in float32, whatever the training computes in
            sums += torch.stack([error.double(), baseline.double(), batch.masks.loss.sum().double()])
        error, baseline, count = own.total(sums).tolist()
        if not count:
            what = "no dev utterance is long enough for one masked segment"
            raise SerError(what, self.loop.label, "Lower masking.segment")
        return {"dev_l1": error / count, "baseline_l1": baseline / count}

    def samples(self) -> dict[str, np.ndarray]:
        """Reconstructions of some dev utterances, the first `SHOWN` frames of each: original, masked and predicted
        (B, T, F), hidden (B, T), lengths (B,).
        """
        batch = self.parts.dev[data.Item(0, chosen(self.parts.dev_frames))]
        predicted = self.model.eval().cpu().predict(batch)
        frames = {"original": batch.x, "masked": mockingjay.masked(batch.x, batch.masks), "predicted": predicted}
        found = {name: x[:, :SHOWN].numpy() for name, x in {**frames, "hidden": batch.masks.loss}.items()}
        return {**found, "lengths": batch.lengths.clamp(max=SHOWN).numpy()}


def chosen(frames: np.ndarray) -> tuple[int, ...]:
    """Indices of the samples among utterances of `frames` (n,) frames: the shortest, middle and longest of those that
    fill `SHOWN` frames, or of the longest where few do.
    """
    order = np.argsort(frames, kind="stable")
    long = order[frames[order] >= SHOWN]
    order = long if len(long) >= SAMPLES else order[-SAMPLES:]
    picks = np.linspace(0, len(order) - 1, min(SAMPLES, len(order))).round().astype(int)
    return tuple(int(order[i]) for i in picks)


def rate(step: int, settings: Settings) -> float:
    """Factor on the peak learning rate (papers.md 4.3)."""
    return learning_rate(step, settings.steps, warmup=settings.warmup, schedule="linear")


def optimiser(model: nn.Module, settings: Settings) -> Adam:
    """AdamW in place of BertAdam; no weight decay on biases and layer norms, which are the one-dimensional weights."""
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in model.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    return Adam(groups, settings.lr, settings.betas, settings.eps, decoupled=True)


def start(model: Pretrainer, folder: Path, sizes: mockingjay.Config) -> None:
    """Initial weights from an earlier pretraining, with its head, or from a converted checkpoint, which has none.

    Dropout may differ; raises `SerError` when the sizes do.
    """
    found, tensors = mockingjay.load_encoder(folder)
    weights.check(tensors, model.encoder.state_dict(), folder / "encoder.safetensors")
    same = ("heads", "activation", "layer_norm_eps")
    if any(getattr(found, k) != getattr(sizes, k) for k in same):
        raise SerError(f"{', '.join(same)} of the initial weights differ from these settings", folder / "card.json")
    model.encoder.load_state_dict(tensors)
    head = folder / "head.safetensors"
    if head.exists():
        model.head.load_state_dict(weights.load(head, model.head.state_dict()))


def to(batch: Batch, device: str) -> Batch:
    if device == "cpu":
        return batch
    masks = type(batch.masks)(*(t.to(device, non_blocking=True) for t in batch.masks))
    x, lengths, where = (t.to(device, non_blocking=True) for t in (batch.x, batch.lengths, batch.where))
    return batch._replace(x=x, lengths=lengths, masks=masks, where=where)
