"""Trains one network on the examples of one fold, and applies it.

It never sees test data in training: `Trainer.fit` gets training and dev examples, and `Trainer.predict` gets inputs
without labels.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ser.core.compute import Processes
from ser.core.errors import SerError, TrainingError
from ser.core.recipe import Training
from ser.core.seeds import seed_everything, seed_of
from ser.core.tasks import Batch, Examples, Inputs, Window
from ser.training import windows
from ser.training.augmentation import class_weights, softened
from ser.training.batches import Prepared, ahead, batches, order, prepare
from ser.training.loop import Loop, Losses, learning_rate
from ser.training.optimiser import Adam
from ser.training.scores import Scores, classes, judge, traces


class Trainer:
    """Trains and applies one network.

    Parameters: `model` with ``forward(batch) -> output``, whose ``output.logits`` is (B, K) or ``output.values``
    (B, R, D), and ``loss(output, batch)``, a scalar or named scalars that add up to the loss. A model may have
    ``prepare(train)``, called with the training part before the first step, for scalers and other statistics;
    ``at_step(step, total)``, called before every step, for schedules of its own; and ``parameter_groups(training)``,
    for several learning rates. With `selection` "dev" the weights of the best dev score are kept, with "last" those of
    the last step. `folder` holds the checkpoint. `classes` is needed for soft labels.
    """

    def __init__(
        self,
        model: Any,
        training: Training,
        *,
        selection: str,
        seed: int,
        device: str = "cpu",
        bfloat16: bool = False,
        folder: Path | None = None,
        label: str = "",
        classes: int = 0,
    ) -> None:
        if training.epochs is None and training.steps is None:
            raise SerError(
                "neither epochs nor steps are given", "training", "Set how long to train, such as epochs: 40"
            )
        self.model = model.to(device)
        self.training, self.selection, self.seed, self.device = training, selection, seed, device
        self.classes = classes
        self.loop = Loop(
            self.model,
            _optimiser(self.model, training),
            self._plan,
            self._losses,
            self._evaluate,
            clip=training.clip,
            average=training.average,
            steps=training.steps or 1,
            patience=training.patience,
            keep_best=selection == "dev",
            bfloat16=bfloat16,
            processes=Processes(device=device),
            path=folder / "checkpoint.pt" if folder else None,
            checkpoint_every=training.checkpoint_every,
            label=label,
        )

    def fit(self, train: Examples, dev: Examples | None, watched: Inputs | None = None) -> list[dict[str, float]]:
        """Trains and leaves the selected weights in the model; returns the curve, one row per evaluation.

        `watched`: inputs whose scores are kept at every evaluation in `snapshots`, for ``selection: test_oracle``.
        Raises `SerError` when the selection needs a dev part and there is none.
        """
        if self.selection == "dev" and (dev is None or not len(dev)):
            hint = "Set selection: last, or choose a protocol with a dev part"
            raise SerError("selection is dev, but this fold has no dev part", self.loop.label, hint)
        if self.training.chance_after and (dev is None or not len(dev) or not self.classes):
            what = "chance_after looks at classes of a dev part, and there are none"
            raise SerError(what, self.loop.label, "Remove training.chance_after, or choose a protocol with a dev part")
        self.train, self.dev, self.watched = train, dev, watched
        self.weights = torch.ones(self.classes, device=self.device)
        if self.training.class_weights and self.classes:
            self.weights = class_weights(torch.as_tensor(train.labels), self.classes).to(self.device)
        seed_everything(seed_of(self.seed, "weights"))
        per_epoch = steps_per_epoch(train, self.training)
        total = self.training.steps or (self.training.epochs or 0) * per_epoch
        self.loop.steps, self.loop.every = total, self.training.evaluate_every or per_epoch
        self.loop.rate = functools.partial(rate, self.training, total=total, per_epoch=per_epoch)
        if hasattr(self.model, "prepare"):
            self.model.prepare(train)
        return self.loop.fit()

    @property
    def snapshots(self) -> list[Any]:
        """The scores of the watched inputs at each evaluation, as `Scores.values` has them."""
        kept = [s.numpy() for s in self.loop.extra.get("snapshots", ())]
        rows = self.watched.rows if self.watched is not None else ()
        return [np.split(s, np.cumsum(rows)[:-1]) for s in kept] if rows else kept

    def _plan(self, epoch: int, position: int) -> Iterable[list[Prepared]]:
        """The micro-batches of each batch of an epoch; for a GPU they are prepared while it computes."""
        planned = enumerate(order(self.train, self.training, self.seed, epoch))
        made = (self._prepared(items, epoch, number) for number, items in planned if number >= position)
        return made if self.device == "cpu" else ahead(made)

    def _prepared(self, items: list[Window], epoch: int, position: int) -> list[Prepared]:
        crop = np.random.default_rng(seed_of(self.seed, "crop", epoch, position))
        size = self.training.micro_batch or len(items)
        micro = [items[first : first + size] for first in range(0, len(items), size)]
        made = [prepare(self.train, part, self.training, crop) for part in micro]
        return made if self.device == "cpu" else [m.each(torch.Tensor.pin_memory) for m in made]

    def _losses(self, micro: list[Prepared]) -> Iterator[Losses]:
        """The losses of the micro-batches, each multiplied by its share of the examples of the batch."""
        if hasattr(self.model, "at_step"):
            self.model.at_step(self.loop.progress.step, self.loop.steps)
        examples = sum(len(m.batch.targets) for m in micro)
        for prepared in micro:
            batch = prepared.on(self.device)
            if self.classes:
                batch = softened(batch, self.training, self.weights)
            losses, share = self.model.loss(self.model(batch), batch), len(prepared.batch.targets) / examples
            yield {k: v * share for k, v in losses.items()} if isinstance(losses, dict) else losses * share

    def _evaluate(self) -> dict[str, float]:
        if self.watched is not None:
            values = self.predict(self.watched).values
            values = np.concatenate(values) if self.watched.rows else values
            self.loop.extra.setdefault("snapshots", []).append(torch.from_numpy(values))
        if self.dev is None or not len(self.dev):
            return {}
        found = judge(self.predict(self.dev), self.dev)
        self._check_chance(max(found["dev_score"], self.loop.progress.best))
        return found

    def _check_chance(self, best: float) -> None:
        """Raises `TrainingError` where the training has had its steps and is still at chance."""
        after, step = self.training.chance_after, self.loop.progress.step
        if after and step >= after and best <= 1 / self.classes + self.training.chance_margin:
            what = (
                f"dev is at chance after {step} steps: the best macro recall is {best:.3f} with {self.classes} classes"
            )
            raise TrainingError(what, self.loop.label, "Lower the learning rate lr")

    def predict(self, inputs: Inputs) -> Scores:
        """Class probabilities (len(inputs), K) float64, or one array (R, D) float32 per utterance.

        They are computed in float32 whatever the training computes in: logits in bfloat16 tie, and ties would go to
        the first class.
        """
        return predict(self.model, inputs, self.training, self.device)

    @torch.no_grad()
    def artefacts(self, inputs: Inputs) -> dict[str, np.ndarray]:
        """The arrays a model gives for its figures, from inputs without labels; empty for a model that gives none."""
        if not hasattr(self.model, "artefacts"):
            return {}
        self.model.eval()
        return self.model.artefacts(
            ([w.utterance for w in items], batch) for items, batch in batches(inputs, self.training, self.device)
        )


def predict(model: Any, inputs: Inputs, training: Training, device: str = "cpu") -> Scores:
    """As `Trainer.predict`, of a model that is trained already and is on `device`."""
    model.eval()
    outputs = _outputs(model, inputs, batches(inputs, training, device))
    return traces(inputs, outputs) if inputs.rows else classes(inputs, outputs, training.window in ("crops", "blocks"))


@torch.no_grad()
def _outputs(
    model: Any, inputs: Inputs, parts: Iterable[tuple[list[Window], Batch]]
) -> Iterator[tuple[list[Window], np.ndarray]]:
    for items, batch in parts:
        output = model(batch)
        found = output.values.float() if inputs.rows else output.logits.double().softmax(1)
        yield items, found.cpu().numpy()


def steps_per_epoch(examples: Inputs, training: Training) -> int:
    return math.ceil(len(windows.drawn(examples, training)) / training.batch)


def rate(training: Training, step: int, total: int, per_epoch: int = 1) -> float:
    """Factor on the peak learning rate at a step; see `learning_rate`."""
    return learning_rate(
        step,
        total,
        warmup=training.warmup,
        schedule=training.schedule,
        per_epoch=per_epoch,
        decay_start=training.decay_start,
        gamma=training.gamma,
        decay_every=training.decay_every,
    )


def _optimiser(model: Any, training: Training) -> Adam:
    groups: Any = [p for p in model.parameters() if p.requires_grad]
    if hasattr(model, "parameter_groups"):
        groups = model.parameter_groups(training)
    decoupled = training.optimiser == "adamw"
    return Adam(groups, training.lr, training.betas, weight_decay=training.weight_decay, decoupled=decoupled)
