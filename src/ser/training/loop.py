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

from ser.errors import SerError
from ser.recipe import Training
from ser.seeds import seed_of
from ser.tasks import Batch, Examples, Inputs, Window
from ser.training import checkpoint, windows
from ser.training.batches import batches, collate, order
from ser.training.scores import Scores, classes, judge, traces


@dataclass
class Progress:
    """Where a training stands; all of it is in the checkpoint."""

    step: int = 0
    epoch: int = 0
    position: int = 0  # batches of this epoch already used
    losses: list[float] = field(default_factory=list)  # since the last evaluation
    parts: dict[str, float] = field(default_factory=dict)  # sums of the loss's parts, likewise
    history: list[dict[str, float]] = field(default_factory=list)
    best: float = -math.inf
    best_step: int = 0
    waited: int = 0  # evaluations since the best one
    done: bool = False


class Loop:
    """Trains one model on one fold.

    Parameters: `model` with ``forward(batch) -> output``, whose ``output.logits`` is (B, K) or ``output.values``
    (B, R, D), and ``loss(output, batch)``, a scalar or named scalars that add up to the loss and each get a column
    ``train_<name>`` of the curve. A model may have ``prepare(train)``, called before the first step with the training
    part, for scalers and other statistics, and ``at_step(step, total)``, called before every step, for schedules of
    its own. `selection` "dev" keeps the weights of the best dev score (the first on ties), "last" those of the last
    step."""

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
        self.per_epoch = 1
        self.snapshots: list[np.ndarray] = []  # scores on `watch` at each evaluation

    def _optimiser(self) -> torch.optim.Optimizer:
        groups: Any = [p for p in self.model.parameters() if p.requires_grad]
        if hasattr(self.model, "parameter_groups"):  # a model with several learning rates says so itself
            groups = self.model.parameter_groups(self.training)
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[self.training.optimiser]
        t = self.training
        # fused: one pass over the weights, a third of the time of the default on a CPU
        optimiser = kind(groups, lr=t.lr, betas=t.betas, weight_decay=t.weight_decay, fused=True)
        for group in optimiser.param_groups:
            group["peak"] = group["lr"]
        return optimiser

    def total_steps(self, examples: Inputs) -> int:
        if self.training.steps is not None:
            return self.training.steps
        return (self.training.epochs or 0) * self.steps_per_epoch(examples)

    def steps_per_epoch(self, examples: Inputs) -> int:
        return math.ceil(len(windows.drawn(examples, self.training)) / self.training.batch)

    def rate(self, step: int, total: int, per_epoch: int = 1) -> float:
        """Factor on the peak rate at a step (counted from 0): linear warm-up, then constant, linear decay to 0, or
        factors at epochs."""
        t = self.training
        warm = math.ceil(t.warmup * total)
        if step < warm:
            return (step + 1) / warm
        if t.schedule == "linear":
            return (total - step) / max(1, total - warm)
        late = step // per_epoch - t.decay_start  # epochs past the start of the decay
        if t.schedule == "step" and late >= 0:
            return t.gamma ** (1 if t.decay_every is None else 1 + late // t.decay_every)
        return 1.0

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
        total, self.per_epoch = self.total_steps(train), self.steps_per_epoch(train)
        every = self.training.evaluate_every or self.per_epoch
        if hasattr(self.model, "prepare"):
            self.model.prepare(train)
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
        for items in plan[p.position :]:
            crop = np.random.default_rng(seed_of(self.seed, "crop", p.epoch, p.position))
            p.position += 1
            yield collate(train, items, self.training, self.device, crop)
        p.epoch, p.position = p.epoch + 1, 0

    def _autocast(self) -> Any:
        return torch.autocast(self.device, torch.bfloat16) if self.bfloat16 else contextlib.nullcontext()

    def _step(self, batch: Batch, total: int) -> None:
        p = self.progress
        self.model.train()
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * self.rate(p.step, total, self.per_epoch)
        if hasattr(self.model, "at_step"):
            self.model.at_step(p.step, total)
        self.optimiser.zero_grad(set_to_none=True)
        with self._autocast():
            loss = self.model.loss(self.model(batch), batch)
        parts = loss if isinstance(loss, dict) else {}
        if parts:
            loss = sum(parts.values())
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
        for name, part in parts.items():
            p.parts[name] = p.parts.get(name, 0.0) + float(part.detach())
        p.step += 1

    def _evaluate(self, dev: Examples | None, watch: Inputs | None) -> None:
        p = self.progress
        row = {"step": float(p.step), "epoch": float(p.epoch + 1), "train_loss": float(np.mean(p.losses))}
        row |= {f"train_{name}": value / len(p.losses) for name, value in p.parts.items()}
        p.losses, p.parts = [], {}
        state = checkpoint.random_state()  # whether there is a dev part must not change what is drawn in training
        if watch is not None:
            self.snapshots.append(self.predict(watch).values)
        if dev is not None and len(dev):
            row |= judge(self.predict(dev), dev)
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

    def predict(self, inputs: Inputs) -> Scores:
        """Class probabilities (len(inputs), K) float64, or one array (R, D) float32 an utterance."""
        self.model.eval()
        if inputs.rows:
            return traces(inputs, self._outputs(inputs))
        return classes(inputs, self._outputs(inputs), self.training.window != "whole")

    @torch.no_grad()
    def _outputs(self, inputs: Inputs) -> Iterator[tuple[list[Window], np.ndarray]]:
        for items, batch in batches(inputs, self.training, self.device):
            with self._autocast():
                output = self.model(batch)
            found = output.values.float() if inputs.rows else output.logits.double().softmax(1)
            yield items, found.cpu().numpy()

    @torch.no_grad()
    def artefacts(self, inputs: Inputs) -> dict[str, np.ndarray]:
        """What the model gives for its figures, from inputs without labels; empty for a model that gives nothing."""
        if not hasattr(self.model, "artefacts"):
            return {}
        self.model.eval()
        return self.model.artefacts(
            ([w.utterance for w in items], batch) for items, batch in batches(inputs, self.training, self.device)
        )

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
