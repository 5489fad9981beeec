"""The training loop of every network: experiments, the pretraining of the encoder, and Speech2Vec.

It holds what they share: steps, learning-rate schedule, gradient accumulation, clipping, the check for losses that are
not finite, evaluation and selection, early stopping, the progress bar, checkpoints and resuming. A stopped training
continues at its last checkpoint with the same batches in the same order and ends, on a CPU, with the same weights.

What a user of `Loop` provides:

``plan(epoch, position)``
    An iterable of the batches of an epoch (counted from 0) from the batch at `position` on. It must be a pure function
    of the two, so draw from ``seed_of(seed, epoch, position)`` and not from a generator that lives on. A batch may be
    anything: tensors, or only the names of the examples, to be read in `step`. An endless plan is one epoch.
``step(batch)``
    The loss of a batch: a scalar tensor, or a mapping of named scalar tensors that add up to the loss and get a column
    ``train_<name>`` each. For gradient accumulation `step` is a generator which yields the losses of one micro-batch
    after the other, each multiplied by the share of the examples that the micro-batch holds. The loop has called
    ``model.train()`` and set the learning rate; it calls ``backward()`` itself. ``loop.progress.step`` counts from 0.
``evaluate()``
    Called at each evaluation; the mapping of numbers it returns goes to the row of the curve. The state of torch's
    generator is restored afterwards. A key ``dev_score`` (higher is better) drives selection and early stopping.

Example, one epoch of a linear regression in batches of two::

    def plan(epoch, position):
        yield from torch.arange(6.0).view(3, 2, 1)[position:]

    def step(x):
        return (model(x) - 2 * x).square().mean()

    model = torch.nn.Linear(1, 1)
    curve = Loop(model, torch.optim.SGD(model.parameters(), lr=0.01), plan, step, epochs=1).fit()
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from ser.core.compute import Processes
from ser.core.errors import TrainingError
from ser.core.recipe import Schedule
from ser.training import checkpoint
from ser.training.optimiser import Optimiser

Losses = Tensor | Mapping[str, Tensor]
ALONE = Processes()
_LOSS = ""  # the name of the sum of all terms
_END = object()


@dataclass
class Progress:
    """The state of a training; all of it is in the checkpoint."""

    step: int = 0  # optimiser steps done
    epoch: int = 0
    position: int = 0  # batches of this epoch already used
    losses: list[float] = field(default_factory=list)  # of each batch since the last evaluation
    sizes: list[float] = field(default_factory=list)  # the weight of each of them in the mean
    terms: dict[str, float] = field(default_factory=dict)  # sums of the named terms of the loss, likewise
    history: list[dict[str, float]] = field(default_factory=list)  # the curve, one row per evaluation
    best: float = -math.inf
    best_step: int = 0
    waited: int = 0  # evaluations since the best one
    done: bool = False


@dataclass
class Timing:
    """What the steps cost, without the first one, in which workers start. Not in the checkpoint."""

    steps: int = 0
    seconds: float = 0.0
    waiting: float = 0.0  # seconds of them in which the next batch was waited for


class Loop:
    """Trains `model` with `optimiser` for `steps` steps or `epochs` epochs, whichever is given (or comes first).

    Parameters
    ----------
    model, optimiser
        The network, on its device, and an optimiser, of torch or `ser.training.optimiser`, whose groups have their
        peak learning rates.
    plan, step, evaluate
        See the module's docstring.
    every
        Steps between evaluations; None: at the end of each epoch. There is always one after the last step.
    rate
        Factor on the peak learning rates at a step (counted from 0), such as `learning_rate`; None: constant.
    clip
        Largest norm of the gradient of all weights; None: not clipped.
    patience
        Evaluations without a better ``dev_score`` after which the training stops; None: never.
    keep_best
        Whether the weights of the best ``dev_score`` (the first on ties) are put back at the end.
    average
        Decay per step of an exponential mean of weights and buffers, which starts at those of the first step. It is the
        mean that is evaluated and left in the model; None: the weights themselves.
    size
        The weight of a batch in the mean training loss, such as its number of examples; None: all count the same.
    bfloat16
        Whether `step` runs under autocast to bfloat16.
    processes
        This process among those of `torchrun`, with its device. With several of them `step` gives the part of this
        process in a loss that is the sum over all.
    path
        File of the checkpoint; it is continued where it exists, so its name must contain a fingerprint of everything
        the training depends on. None: no checkpoints.
    checkpoint_every
        Steps between checkpoints. The last one, written when the training is done, holds no state of the optimiser.
    label
        What the progress bar and error messages call the training.

    Attributes
    ----------
    progress : Progress
    extra : dict
        Tensors and plain values of the user's that are saved in the checkpoint and restored from it.
    timing : Timing
    """

    def __init__(
        self,
        model: nn.Module,
        optimiser: torch.optim.Optimizer | Optimiser,
        plan: Callable[[int, int], Iterable[Any]],
        step: Callable[[Any], Losses | Iterator[Losses]],
        evaluate: Callable[[], Mapping[str, float]] | None = None,
        *,
        steps: int | None = None,
        epochs: int | None = None,
        every: int | None = None,
        rate: Callable[[int], float] | None = None,
        clip: float | None = None,
        patience: int | None = None,
        keep_best: bool = False,
        average: float | None = None,
        size: Callable[[Any], float] | None = None,
        bfloat16: bool = False,
        processes: Processes = ALONE,
        path: Path | None = None,
        checkpoint_every: int = 500,
        label: str = "training",
    ) -> None:
        if steps is None and epochs is None:
            raise ValueError("give steps or epochs")
        self.model, self.optimiser, self.plan, self.step, self.evaluate = model, optimiser, plan, step, evaluate
        self.steps, self.epochs, self.every, self.rate, self.clip = steps, epochs, every, rate, clip
        self.patience, self.keep_best, self.size, self.bfloat16 = patience, keep_best, size, bfloat16
        self.average = average
        self.processes, self.path, self.checkpoint_every, self.label = processes, path, checkpoint_every, label
        self.progress, self.timing = Progress(), Timing()
        self.extra: dict[str, Any] = {}
        self._best_weights: dict[str, Tensor] | None = None
        self._mean_weights: dict[str, Tensor] | None = None
        self._pending: list[dict[str, Tensor]] = []  # losses on the device, not read yet
        for group in optimiser.param_groups:
            group["peak"] = group["lr"]

    def fit(self) -> list[dict[str, float]]:
        """Trains to the end and returns the curve: step, epoch, train_loss, train_<name> of each named term, and what
        `evaluate` gives, one row per evaluation. Raises `TrainingError` when a loss is not finite.
        """
        self._resume()
        p = self.progress
        with self._bar() as bar:
            while not p.done:
                self._epoch(bar)
        if chosen := self._best_weights if self.keep_best and self._best_weights else self._mean_weights:
            self.model.load_state_dict(chosen)
        return p.history

    def _epoch(self, bar: tqdm) -> None:
        p, start = self.progress, (self.progress.step, self.progress.position)
        batches = iter(self.plan(p.epoch, p.position))
        while not p.done:
            asked = time.perf_counter()
            batch = next(batches, _END)
            if batch is _END:
                break
            waited = time.perf_counter() - asked
            p.position += 1
            self.train_step(batch)
            self._account(time.perf_counter() - asked, waited)
            if self.steps is not None:
                bar.update()
            p.done = p.step == self.steps
            if p.done or (self.every and p.step % self.every == 0):
                self._evaluate(bar)
            if p.done or p.step % self.checkpoint_every == 0:
                self._save()
        if not p.done:
            if start == (p.step, 0):
                raise ValueError(f"{self.label}: the plan has no batch")
            self._end_epoch(bar)

    def _end_epoch(self, bar: tqdm) -> None:
        p = self.progress
        last = p.epoch + 1 == self.epochs
        if (last or not self.every) and (p.losses or self._pending):
            self._evaluate(bar)
        p.epoch, p.position = p.epoch + 1, 0
        if self.steps is None:
            bar.update()
        if last or p.done:
            p.done = True
            self._save()

    def train_step(self, batch: Any) -> None:
        """One step of the optimiser; `fit` calls it for each batch."""
        p = self.progress
        self.model.train()
        if self.rate is not None:
            for group in self.optimiser.param_groups:
                group["lr"] = group["peak"] * self.rate(p.step)
        self.optimiser.zero_grad(set_to_none=True)
        sums: dict[str, Tensor] = {}
        for losses in self._losses(batch):
            terms = dict(losses) if isinstance(losses, Mapping) else {}
            loss: Any = losses if isinstance(losses, Tensor) else sum(terms.values())
            # gradients are averaged over the processes, while the loss is a sum over them
            (loss * self.processes.world).backward()
            for name, term in {**terms, _LOSS: loss}.items():
                value = self.processes.total(term.detach().clone())
                sums[name] = sums[name] + value if name in sums else value
        if self.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimiser.step()
        if self.average is not None:
            self._average(self.average)
        p.step += 1
        p.sizes.append(1.0 if self.size is None else float(self.size(batch)))
        self._pending.append(sums)
        if self.processes.device == "cpu":  # reading a loss would make a GPU wait
            self._read()

    @torch.no_grad()
    def _average(self, decay: float) -> None:
        state = self.model.state_dict()
        if self._mean_weights is None:
            self._mean_weights = _copy(state)
        for name, mean in self._mean_weights.items():
            if mean.is_floating_point():
                mean.lerp_(state[name], 1 - decay)
            else:
                mean.copy_(state[name])

    @contextlib.contextmanager
    def _with_mean_weights(self) -> Iterator[None]:
        """Puts the mean of the weights into the model for an evaluation."""
        if self._mean_weights is None:
            yield
            return
        own = _copy(self.model.state_dict())
        self.model.load_state_dict(self._mean_weights)
        yield
        self.model.load_state_dict(own)

    def _losses(self, batch: Any) -> Iterator[Losses]:
        """The losses of the micro-batches of a batch; the backward passes run outside the autocast."""
        with self.autocast():
            found = self.step(batch)
        if isinstance(found, Tensor | Mapping):
            yield found
            return
        while True:
            with self.autocast():
                losses = next(found, None)
            if losses is None:
                return
            yield losses

    def autocast(self) -> Any:
        """The context in which forward passes run, for predictions too."""
        return autocast(self.processes.device, self.bfloat16)

    def _read(self) -> None:
        """Takes over the losses of the last steps. Raises `TrainingError` when one is not finite."""
        p = self.progress
        first = p.step - len(self._pending) + 1
        # one transfer from a GPU for all of them
        unread = [value.double() for sums in self._pending for value in sums.values()]
        numbers = iter(torch.stack(unread).tolist() if unread else ())
        for number, sums in enumerate(self._pending, first):
            values = {name: next(numbers) for name in sums}
            loss = values.pop(_LOSS)
            if not math.isfinite(loss):
                hint = "Lower the learning rate lr, or set clip"
                raise TrainingError(f"the loss is {loss} at step {number}", self.label, hint)
            p.losses.append(loss)
            for name, value in values.items():
                p.terms[name] = p.terms.get(name, 0.0) + value
        self._pending = []

    def _account(self, seconds: float, waited: float) -> None:
        if self.timing.steps:
            self.timing.seconds += seconds
            self.timing.waiting += waited
        self.timing.steps += 1

    def _evaluate(self, bar: tqdm) -> None:
        self._read()
        p = self.progress
        row = {"step": float(p.step), "epoch": float(p.epoch + 1)}
        row["train_loss"] = float(np.average(p.losses, weights=p.sizes))
        row |= {f"train_{name}": value / len(p.losses) for name, value in p.terms.items()}
        p.losses, p.sizes, p.terms = [], [], {}
        if self.evaluate is not None:
            state = checkpoint.random_state(
                self.processes.device
            )  # an evaluation must not change what is drawn in training
            with self._with_mean_weights():
                row |= self.evaluate()
            checkpoint.restore_random_state(state, self.processes.device)
        p.history.append(row)
        if "dev_score" in row:
            self._select(row["dev_score"])
        bar.set_postfix({k: f"{v:.3f}" for k, v in row.items() if k.startswith(("train_loss", "dev_"))})

    def _select(self, score: float) -> None:
        p = self.progress
        if score > p.best:
            p.best, p.best_step, p.waited = score, p.step, 0
            if self.keep_best:
                self._best_weights = _copy(self._mean_weights or self.model.state_dict())
        else:
            p.waited += 1
        p.done = p.done or (self.patience is not None and p.waited >= self.patience)

    def _bar(self) -> tqdm:
        p, by_step = self.progress, self.steps is not None
        return tqdm(
            total=self.steps if by_step else self.epochs,
            initial=p.step if by_step else p.epoch,
            desc=self.label,
            unit="step" if by_step else "epoch",
            disable=True if self.processes.rank else None,
            leave=False,
        )

    def _save(self) -> None:
        self._read()  # a training that diverged leaves no checkpoint
        if self.path is None or self.processes.rank:
            return
        state = {
            "model": self.model.state_dict(),
            "optimiser": None if self.progress.done else self.optimiser.state_dict(),
            "best": self._best_weights,
            "mean": self._mean_weights,
            "progress": vars(self.progress),
            "extra": self.extra,
            "random": checkpoint.random_state(self.processes.device),
        }
        checkpoint.save(self.path, state)

    def _resume(self) -> None:
        state = checkpoint.load(self.path) if self.path else None
        if state is None:
            return
        self.model.load_state_dict(state["model"])
        if state["optimiser"] is not None:
            self.optimiser.load_state_dict(state["optimiser"])
        self._best_weights, self._mean_weights, self.extra = state["best"], state["mean"], state["extra"]
        self.progress = Progress(**state["progress"])
        checkpoint.restore_random_state(state["random"], self.processes.device)


def autocast(device: str, bfloat16: bool) -> Any:
    """The context in which a forward pass runs in bfloat16 or, without `bfloat16`, as its weights are."""
    return torch.autocast(device.split(":")[0], torch.bfloat16) if bfloat16 else contextlib.nullcontext()


def _copy(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k: v.detach().clone() for k, v in state.items()}


def learning_rate(
    step: int,
    total: int,
    *,
    warmup: float = 0.0,
    schedule: Schedule = "constant",
    per_epoch: int = 1,
    decay_start: int = 10,
    gamma: float = 0.1,
    decay_every: int | None = None,
) -> float:
    """Factor on the peak learning rate at a step (counted from 0) of `total`.

    A linear warm-up over the share `warmup` of the steps comes first. Then ``constant`` keeps the rate, ``linear``
    brings it down to 0, ``cosine`` brings it down to 0 along a half wave, and ``step`` multiplies it by `gamma` after
    `decay_start` epochs of `per_epoch` steps, and again after each `decay_every` epochs. ``one_cycle`` has a warm-up of
    its own: along a half wave from 1/25 to 1, then along another down to 4e-6, as
    `torch.optim.lr_scheduler.OneCycleLR` does by default, but without changing the momentum.
    """
    if schedule == "one_cycle":
        top, last, low, end = warmup * total - 1, total - 1, 1 / 25, 1 / 25e4
        if step <= top:
            return low + (1 - low) * _half_wave(step / top)
        return end + (1 - end) * _half_wave((last - step) / (last - top))
    warm = math.ceil(warmup * total)
    if step < warm:
        return (step + 1) / warm
    if schedule == "linear":
        return (total - step) / max(1, total - warm)
    if schedule == "cosine":
        return _half_wave((total - step) / max(1, total - warm))
    late = step // per_epoch - decay_start  # epochs since the start of the decay
    if schedule == "step" and late >= 0:
        return gamma ** (1 if decay_every is None else 1 + late // decay_every)
    return 1.0


def _half_wave(share: float) -> float:
    """From 0 at share 0 to 1 at share 1, along half a cosine wave."""
    return (1 - math.cos(math.pi * share)) / 2
