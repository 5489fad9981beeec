"""The training loop of every torch model.

What it is given: training examples, dev examples or none. It never sees test data; `predict` gets inputs without
labels. A killed run continues at its last checkpoint with the same batches in the same order and ends with the same
weights."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from ser.core.errors import SerError
from ser.training import checkpoint
from ser.training.data import Batch, Examples, Inputs, batches, collate, macro_recall, order
from ser.training.seeds import seed_of
from ser.training.settings import Training


@dataclass
class Progress:
    """Where a training stands; all of it is in the checkpoint."""

    step: int = 0
    epoch: int = 0
    position: int = 0  # batches of this epoch already used
    losses: list[float] = field(default_factory=list)  # since the last evaluation
    history: list[dict[str, float]] = field(default_factory=list)
    best: float = -math.inf
    best_step: int = 0
    waited: int = 0  # evaluations since the best one
    done: bool = False


class Loop:
    """Trains one model on one fold.

    Parameters: `model` with ``loss(output, batch) -> scalar`` and ``forward(batch) -> output`` whose
    ``output.logits`` is (B, K); `selection` "dev" keeps the weights of the best dev macro recall (the first on ties),
    "last" those of the last step."""

    def __init__(
        self,
        model: Any,
        training: Training,
        *,
        selection: str,
        seed: int,
        device: str,
        bfloat16: bool,
        folder: Path | None = None,
        label: str = "",
    ) -> None:
        if training.epochs is None and training.steps is None:
            raise SerError("neither epochs nor steps given", "training", "Say how long to train, such as epochs: 40")
        self.model = model.to(device)
        self.training, self.selection, self.seed, self.device = training, selection, seed, device
        self.bfloat16, self.label = bfloat16, label
        self.path = folder / "checkpoint.pt" if folder else None
        self.optimiser = self._optimiser()
        self.best_weights: dict[str, torch.Tensor] | None = None
        self.progress = Progress()
        self.snapshots: list[np.ndarray] = []  # scores on `watch` at each evaluation

    def _optimiser(self) -> torch.optim.Optimizer:
        groups: Any = [p for p in self.model.parameters() if p.requires_grad]
        if hasattr(self.model, "parameter_groups"):  # a model with several learning rates says so itself
            groups = self.model.parameter_groups(self.training)
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[self.training.optimiser]
        optimiser = kind(
            groups, lr=self.training.lr, betas=self.training.betas, weight_decay=self.training.weight_decay
        )
        for group in optimiser.param_groups:
            group["peak"] = group["lr"]
        return optimiser

    def total_steps(self, examples: Inputs) -> int:
        if self.training.steps is not None:
            return self.training.steps
        return (self.training.epochs or 0) * math.ceil(len(examples) / self.training.batch)

    def rate(self, step: int, total: int) -> float:
        """Factor on the peak rate at a step (counted from 0): linear warm-up, then constant or linear decay to 0."""
        warm = math.ceil(self.training.warmup * total)
        if step < warm:
            return (step + 1) / warm
        return (total - step) / max(1, total - warm) if self.training.schedule == "linear" else 1.0

    def fit(self, train: Examples, dev: Examples | None, watch: Inputs | None = None) -> list[dict[str, float]]:
        """Trains and leaves the selected weights in the model; returns the curve, one row an evaluation.

        `watch`: inputs whose scores are kept at every evaluation, for `selection: test_oracle`, judged outside.
        """
        if self.selection == "dev" and (dev is None or not len(dev)):
            raise SerError(
                "selection is dev, but this fold has no dev part",
                self.label,
                "Set selection: last, or a protocol with dev",
            )
        checkpoint.seed_everything(seed_of(self.seed, "weights"))
        total = self.total_steps(train)
        every = self.training.evaluate_every or math.ceil(len(train) / self.training.batch)
        self._resume()
        p = self.progress
        bar = tqdm(total=total, initial=p.step, desc=self.label, unit="step", disable=None, leave=False)
        while not p.done:
            for batch in self._epoch(train):
                self._step(batch, total)
                bar.update()
                if p.step % every == 0 or p.step == total:
                    self._evaluate(dev, watch)
                    bar.set_postfix(
                        {k: f"{v:.3f}" for k, v in p.history[-1].items() if k in ("train_loss", "dev_score")}
                    )
                p.done = p.done or p.step >= total
                if p.done:
                    break
                if p.step % self.training.checkpoint_every == 0:
                    self._save()
        bar.close()
        if self.selection == "dev" and self.best_weights is not None:
            self.model.load_state_dict(self.best_weights)
        return p.history

    def _epoch(self, train: Examples) -> Iterator[Batch]:
        p = self.progress
        plan = order(train, self.training, self.seed, p.epoch)
        for indices in plan[p.position :]:
            crop = np.random.default_rng(seed_of(self.seed, "crop", p.epoch, p.position))
            p.position += 1
            yield collate(train, indices, self.training, self.device, crop)
        p.epoch, p.position = p.epoch + 1, 0

    def _autocast(self) -> Any:
        return torch.autocast(self.device, torch.bfloat16) if self.bfloat16 else contextlib.nullcontext()

    def _step(self, batch: Batch, total: int) -> None:
        p = self.progress
        self.model.train()
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * self.rate(p.step, total)
        self.optimiser.zero_grad(set_to_none=True)
        with self._autocast():
            loss = self.model.loss(self.model(batch), batch)
        loss.backward()
        if self.training.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.training.clip)
        self.optimiser.step()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise SerError(
                f"the loss is {value} at step {p.step + 1}", self.label, "Lower models.<model>.training.lr or set clip"
            )
        p.losses.append(value)
        p.step += 1

    def _evaluate(self, dev: Examples | None, watch: Inputs | None) -> None:
        p = self.progress
        row = {"step": float(p.step), "epoch": float(p.epoch + 1), "train_loss": float(np.mean(p.losses))}
        p.losses = []
        state = checkpoint.random_state()  # whether there is a dev part must not change what is drawn in training
        if watch is not None:
            self.snapshots.append(self.predict(watch))
        if dev is not None and len(dev):
            scores = self.predict(dev)
            truth = np.asarray(dev.labels)
            row["dev_loss"] = float(-np.log(np.maximum(scores[np.arange(len(truth)), truth], 1e-12)).mean())
            row["dev_score"] = macro_recall(truth, scores.argmax(1), scores.shape[1])
            self._select(row["dev_score"])
        checkpoint.restore_random_state(state)
        p.history.append(row)

    def _select(self, score: float) -> None:
        p = self.progress
        if score > p.best:
            p.best, p.best_step, p.waited = score, p.step, 0
            if self.selection == "dev":
                self.best_weights = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        else:
            p.waited += 1
        p.done = self.training.patience is not None and p.waited >= self.training.patience

    @torch.no_grad()
    def predict(self, inputs: Inputs) -> np.ndarray:
        """Class probabilities (len(inputs), K) float64."""
        self.model.eval()
        rows: list[np.ndarray | None] = [None] * len(inputs)
        for indices, batch in batches(inputs, self.training, self.device):
            with self._autocast():
                logits = self.model(batch).logits
            for i, row in zip(indices, logits.double().softmax(1).cpu().numpy(), strict=True):
                rows[i] = row
        return np.stack(rows)  # type: ignore[arg-type]

    def _save(self) -> None:
        if self.path is None:
            return
        checkpoint.save(
            self.path,
            {
                "model": self.model.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "best": self.best_weights,
                "progress": vars(self.progress),
                "snapshots": [torch.from_numpy(s) for s in self.snapshots],
                "random": checkpoint.random_state(),
            },
        )

    def _resume(self) -> None:
        state = checkpoint.load(self.path) if self.path else None
        if state is None:
            return
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.best_weights = state["best"]
        self.progress = Progress(**state["progress"])
        self.snapshots = [s.numpy() for s in state["snapshots"]]
        checkpoint.restore_random_state(state["random"])
