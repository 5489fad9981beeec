"""The pretraining loop: L1 on masked frames, AdamW, warm-up and linear decay, dev loss, checkpoints, processes.

A killed run continues at its last checkpoint with the same batches and the same dropout, which is seeded by the step,
and ends with the same bytes on a CPU. With `torchrun` every process takes its part of each batch; gradients and losses
are those of the whole batch.

Letters: B utterances, T frames (padded), F columns, M masked frames.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from ser.errors import SerError
from ser.models.layers.mockingjay import Config, Encoder, Head, masked
from ser.pretraining.data import Batch
from ser.pretraining.settings import Settings
from ser.seeds import seed_of
from ser.training import checkpoint


class Pretrainer(nn.Module):
    """Encoder and head; the forward pass gives the loss before division by the number of masked frames."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.encoder, self.head = Encoder(config), Head(config)

    def forward(self, batch: Batch) -> Tensor:
        """Scalar float32: absolute error, mean over the F columns, summed over the M masked frames."""
        h = self.encoder(masked(batch.x, batch.masks), batch.lengths)[batch.masks.loss]  # (M, H)
        return (self.head(h).float() - batch.x[batch.masks.loss]).abs().mean(1).sum()

    @torch.no_grad()
    def predict(self, batch: Batch) -> Tensor:
        """(B, T, F): every frame as the head predicts it from the masked input."""
        return self.head(self.encoder(masked(batch.x, batch.masks), batch.lengths)).float()


@dataclass(frozen=True)
class Processes:
    """This process among those `torchrun` started; alone without it."""

    rank: int = 0
    world: int = 1
    device: str = "cpu"

    def total(self, values: Tensor) -> Tensor:
        """Sum over all processes."""
        if self.world > 1:
            distributed.all_reduce(values)
        return values


@contextlib.contextmanager
def processes(device: str):
    """Joins the processes of `torchrun` (gloo on CPU, nccl on CUDA) and leaves them again."""
    world, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        if not torch.cuda.is_available():
            raise SerError("no CUDA device here", "run.device", "Set run.device: auto or cpu")
        device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
        torch.cuda.set_device(device)
    if world == 1:
        yield Processes(0, 1, device)
        return
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield Processes(rank, world, device)
    finally:
        distributed.destroy_process_group()


@dataclass
class Progress:
    """Where a pretraining stands; all of it is in the checkpoint."""

    step: int = 0
    frames: int = 0  # valid frames seen, by all processes
    history: list[dict[str, float]] = field(default_factory=list)


class Loop:
    """Trains a `Pretrainer`.

    `train(first)` gives the training batches from step `first` on, `dev()` the dev batches, both this process's part.
    """

    def __init__(
        self,
        model: Pretrainer,
        settings: Settings,
        own: Processes,
        train: Callable[[int], Iterable[Batch]],
        dev: Callable[[], Iterable[Batch]],
        *,
        bfloat16: bool = False,
        path: Path | None = None,
        label: str = "pretraining",
    ) -> None:
        self.model, self.settings, self.own = model.to(own.device), settings, own
        self.train, self.dev, self.bfloat16, self.path, self.label = train, dev, bfloat16, path, label
        self.optimiser = optimiser(model, settings)
        self.progress = Progress()
        self.losses: list[Tensor] = []  # since the last evaluation; read then, so that a GPU is not waited for
        self.cost = {
            "seconds": 0.0,
            "waited": 0.0,
            "steps": 0.0,
            "frames": 0.0,
        }  # seconds, frames: without the first step
        self._resume()

    def fit(self) -> list[dict[str, float]]:
        """Trains to the last step; returns the curve: step, train_l1, dev_l1, baseline_l1, lr, one row an evaluation.

        Raises `SerError` when the loss is not finite.
        """
        p, s = self.progress, self.settings
        if p.step >= s.steps:
            return p.history
        parallel: nn.Module = self.model
        if self.own.world > 1:
            parallel = DistributedDataParallel(self.model)
        bar = tqdm(total=s.steps, initial=p.step, desc=self.label, unit="step", disable=True if self.own.rank else None)
        batches = iter(self.train(p.step + 1))
        while p.step < s.steps:
            asked = time.perf_counter()
            batch = next(batches)
            got = time.perf_counter()
            self._step(parallel, batch)
            self._account(asked, got)
            bar.update()
            if p.step % s.evaluate_every == 0 or p.step == s.steps:
                self._evaluate()
                bar.set_postfix({k: f"{v:.3f}" for k, v in p.history[-1].items() if k in ("train_l1", "dev_l1")})
            if p.step % s.checkpoint_every == 0 or p.step == s.steps:
                self._save()
        bar.close()
        return p.history

    def _account(self, asked: float, got: float) -> None:
        if self.cost["steps"]:  # in the first one the workers start
            self.cost["waited"] += got - asked
            self.cost["seconds"] += time.perf_counter() - asked
        self.cost["steps"] += 1

    def _autocast(self) -> Any:
        kind = self.own.device.split(":")[0]
        return torch.autocast(kind, torch.bfloat16) if self.bfloat16 else contextlib.nullcontext()

    def _step(self, parallel: nn.Module, batch: Batch) -> None:
        p, own = self.progress, self.own
        torch.manual_seed(seed_of(self.settings.seed, "dropout", p.step + 1, own.rank))
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.lr * rate(p.step, self.settings)
        counts = own.total(torch.tensor([batch.hidden, int(batch.lengths.sum())], device=own.device)).cpu()
        batch = to(batch, own.device)
        self.model.train()
        self.optimiser.zero_grad(set_to_none=True)
        with self._autocast():
            loss = parallel(batch) / max(1, int(counts[0]))
        (loss * own.world).backward()  # gradients are averaged over the processes; the loss is a sum over them
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip)
        self.optimiser.step()
        self.losses.append(own.total(loss.detach().clone()))
        p.step += 1
        p.frames += int(counts[1])
        if self.cost["steps"]:
            self.cost["frames"] += int(counts[1])

    def _train_l1(self) -> float:
        value = float(torch.stack(self.losses).double().mean())
        if not math.isfinite(value):
            raise SerError(f"the loss is {value} before step {self.progress.step + 1}", self.label, "Lower lr")
        return value

    def _evaluate(self) -> None:
        p = self.progress
        row = {"step": float(p.step), "train_l1": self._train_l1(), **self.dev_l1()}
        p.history.append({**row, "lr": self.settings.lr * rate(p.step - 1, self.settings)})
        self.losses = []

    @torch.no_grad()
    def dev_l1(self) -> dict[str, float]:
        """Mean absolute error on the masked frames of dev: of the model, and of the utterance's mean frame."""
        self.model.eval()
        sums = torch.zeros(3, dtype=torch.float64, device=self.own.device)
        for batch in self.dev():
            batch = to(batch, self.own.device)
            valid = torch.arange(batch.x.shape[1], device=batch.x.device) < batch.lengths[:, None]
            mean = (batch.x * valid[..., None]).sum(1, keepdim=True) / batch.lengths[:, None, None]
            baseline = (batch.x - mean).abs().mean(2)[batch.masks.loss].sum()
            with self._autocast():
                error = self.model(batch)
            sums += torch.stack([error.double(), baseline.double(), batch.masks.loss.sum().double()])
        error, baseline, count = self.own.total(sums).tolist()
        if not count:
            raise SerError(
                "no dev utterance is long enough for one masked segment", self.label, "Lower masking.segment"
            )
        return {"dev_l1": error / count, "baseline_l1": baseline / count}

    def _save(self) -> None:
        if self.path is None or self.own.rank:
            return
        if self.losses:
            self._train_l1()  # a diverged run leaves no checkpoint
        last = self.progress.step >= self.settings.steps
        state: dict[str, Any] = {"model": self.model.state_dict(), "progress": vars(self.progress)}
        state |= {"losses": [] if last else [float(v) for v in self.losses]}
        checkpoint.save(self.path, state | {"optimiser": None if last else self.optimiser.state_dict()})

    def _resume(self) -> None:
        state = checkpoint.load(self.path) if self.path else None
        if state is None:
            return
        self.model.load_state_dict(state["model"])
        if state["optimiser"] is not None:
            self.optimiser.load_state_dict(state["optimiser"])
        self.progress = Progress(**state["progress"])
        self.losses = [torch.tensor(v, device=self.own.device) for v in state["losses"]]


def rate(step: int, settings: Settings) -> float:
    """Factor on the peak rate at a step (counted from 0): linear warm-up, then linear decay to 0 (papers.md 4.3)."""
    warm = math.ceil(settings.warmup * settings.steps)
    if step < warm:
        return (step + 1) / warm
    return (settings.steps - step) / max(1, settings.steps - warm)


def optimiser(model: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """AdamW, the stand-in for BertAdam; no weight decay on biases and layer norms, the one-dimensional weights."""
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in model.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.lr, betas=settings.betas, eps=settings.eps, fused=True)


def to(batch: Batch, device: str) -> Batch:
    if device == "cpu":
        return batch
    masks = type(batch.masks)(*(t.to(device, non_blocking=True) for t in batch.masks))
    x, lengths = batch.x.to(device, non_blocking=True), batch.lengths.to(device, non_blocking=True)
    return Batch(x, lengths, masks, batch.hidden)
