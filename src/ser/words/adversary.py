"""Adversarial training of W: a discriminator tells mapped speech vectors from text vectors, W makes that hard.

MUSE's procedure and numbers (papers.md 7.3). A killed training continues at its last epoch and ends, on a CPU, with the
same bytes. Letters: n, m words of speech and text, d dimensions, B words of a batch from each.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torch.nn.functional import normalize
from tqdm import tqdm

from ser.errors import SerError
from ser.seeds import seed_of
from ser.training import checkpoint
from ser.words import csls
from ser.words.settings import Alignment


def discriminator(dim: int, settings: Alignment) -> nn.Sequential:
    """(2 B, d) -> (2 B, 1), the logit of "speech"; 4 405 249 parameters at d = 100."""
    H = settings.hidden
    return nn.Sequential(
        nn.Dropout(settings.dropout),
        nn.Linear(dim, H),
        nn.LeakyReLU(settings.slope),
        nn.Linear(H, H),
        nn.LeakyReLU(settings.slope),
        nn.Linear(H, 1),
    )


def orthogonalise(w: Tensor, beta: float) -> Tensor:
    """(1 + beta) W - beta (W W^T) W: a step towards the orthogonal matrices."""
    return (1 + beta) * w - beta * (w @ w.T) @ w


def criterion(x: Tensor, y: Tensor, w: Tensor, settings: Alignment) -> float:
    """Mean cosine of the most frequent speech words x (n, d), mapped, and their CSLS neighbours among as many text
    words y (m, d): the unsupervised measure W is selected by."""
    mapped, target = normalize(x[: settings.criterion] @ w.T), normalize(y[: settings.criterion])
    found = csls.nearest(mapped, target, 1, settings.neighbours).columns[:, 0]
    return float((mapped * target[found]).sum(1).double().mean())


@dataclass
class Progress:
    """Where a training stands; with W and the discriminator it is the checkpoint."""

    epoch: int = 0
    lr: float = 0.0  # of the map
    best: float = -2.0  # criterion; below any cosine
    fell: bool = False  # has the criterion fallen before?
    history: list[dict[str, Any]] = field(default_factory=list)


class Game:
    """Both sides: `w` (d, d) and the discriminator."""

    def __init__(self, x: Tensor, y: Tensor, settings: Alignment, path: Path | None) -> None:
        self.x, self.y, self.settings, self.path = x, y, settings, path
        checkpoint.seed_everything(seed_of(settings.seed, "adversary", "weights"))
        self.w = torch.eye(x.shape[1], device=x.device)
        self.best = self.w.clone()
        self.judge = discriminator(x.shape[1], settings).to(x.device)
        self.optimiser = torch.optim.SGD(self.judge.parameters(), lr=settings.lr)
        self.progress = Progress(lr=settings.lr)
        real, made = 1 - settings.smooth, settings.smooth
        self.labels = torch.tensor([real] * settings.batch + [made] * settings.batch, device=x.device)[:, None]
        self._resume()

    def epoch(self) -> None:
        """One epoch of ``samples`` words, its evaluation and its checkpoint."""
        p, s = self.progress, self.settings
        torch.manual_seed(seed_of(s.seed, "adversary", "dropout", p.epoch))
        losses = torch.zeros(2, dtype=torch.float64)
        draws = self._draws()
        label = f"adversarial epoch {p.epoch + 1} of {s.epochs}"
        for ids in tqdm(draws, desc=label, unit="step", disable=None, leave=False):
            told = [self._judge_step(i) for i in ids[:-1]]
            losses += torch.stack([torch.stack(told).mean(), self._map_step(ids[-1])]).double().cpu()
        if not bool(torch.isfinite(losses).all() & torch.isfinite(self.w).all()):
            raise SerError(
                f"the losses are {losses.tolist()} in epoch {p.epoch + 1}", "alignment", "Lower alignment.lr"
            )
        self._judge_epoch((losses / len(draws)).tolist())
        self._save()

    def _draws(self) -> Tensor:
        """Words of all batches of the epoch, (steps, discriminator steps + 1, 2, B)."""
        s = self.settings
        rng = np.random.default_rng(seed_of(s.seed, "adversary", "epoch", self.progress.epoch))
        most = min(s.frequent, len(self.x), len(self.y))
        shape = (max(1, s.samples // s.batch), s.discriminator_steps + 1, 2, s.batch)
        return torch.from_numpy(rng.integers(most, size=shape, dtype=np.int32)).to(self.x.device)

    def _judge_step(self, ids: Tensor) -> Tensor:
        self.judge.train()
        both = torch.cat([self.x[ids[0]] @ self.w.T, self.y[ids[1]]])
        loss = cross_entropy(self.judge(both), self.labels)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return loss.detach()

    def _map_step(self, ids: Tensor) -> Tensor:
        self.judge.eval()  # no dropout: the map learns from the whole judge
        w = self.w.requires_grad_()
        loss = cross_entropy(self.judge(torch.cat([self.x[ids[0]] @ w.T, self.y[ids[1]]])), 1 - self.labels)
        (gradient,) = torch.autograd.grad(loss, w)
        self.w = orthogonalise(w.detach() - self.progress.lr * gradient, self.settings.beta)
        return loss.detach()

    def _judge_epoch(self, losses: list[float]) -> None:
        """The criterion, the best W, the next rate (MUSE: decay each epoch, shrink from the second fall on)."""
        p, s = self.progress, self.settings
        value = criterion(self.x, self.y, self.w, s)
        row = {"step": f"adversarial epoch {p.epoch + 1}", "criterion": round(value, 6)}
        p.history.append({**row, "discriminator_loss": round(losses[0], 6), "map_loss": round(losses[1], 6)})
        p.epoch, p.lr = p.epoch + 1, p.lr * s.decay
        if value > p.best:
            p.best, self.best = value, self.w.clone()
        elif value < p.best:
            p.lr *= s.shrink if p.fell else 1.0
            p.fell = True

    def _save(self) -> None:
        if self.path is not None:
            state = {"w": self.w, "best": self.best, "judge": self.judge.state_dict(), "progress": vars(self.progress)}
            checkpoint.save(self.path, state)

    def _resume(self) -> None:
        state = checkpoint.load(self.path) if self.path else None
        if state is not None:
            self.w, self.best = state["w"].to(self.x), state["best"].to(self.x)
            self.judge.load_state_dict(state["judge"])
            self.progress = Progress(**state["progress"])


def train(x: Tensor, y: Tensor, settings: Alignment, path: Path | None = None) -> tuple[Tensor, list[dict[str, Any]]]:
    """W (d, d) of the best epoch for spaces x (n, d) and y (m, d), most frequent words first, and the course.

    Raises `SerError` when a loss is not finite.
    """
    game = Game(x, y, settings, path)
    while game.progress.epoch < settings.epochs and game.progress.lr >= settings.min_lr:
        game.epoch()
    return game.best, game.progress.history
