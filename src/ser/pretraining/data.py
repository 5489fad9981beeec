"""Batches of a pretraining: which utterances, in which order, cropped and masked; a pure function of the settings.

The main process plans the batches. Loader workers get features from audio or from a packed store and draw the masks.
Everything drawn for an utterance comes from a generator seeded by (seed, step, utterance), so neither the number of
workers nor a restart changes a batch.

Letters: B utterances, T frames (padded), F columns, M masked frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from ser.core.errors import SerError
from ser.core.seeds import seed_of
from ser.models.layers.mockingjay import Masking, Masks, mask
from ser.pretraining import sources
from ser.pretraining.settings import Settings
from ser.pretraining.sources import Clip, FromAudio, FromStore

if TYPE_CHECKING:
    import pandas as pd


def split(table: pd.DataFrame, settings: Settings) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training utterances, and dev utterances of held-out speakers, evenly thinned to `dev_utterances`.

    Raises `SerError` when there are fewer than two speakers.
    """
    speakers = sorted(set(table["speaker"]))
    if len(speakers) < 2:
        raise SerError(f"{len(speakers)} speaker: none can be held out for dev", "manifest", "Add another speaker")
    drawn = np.random.default_rng(seed_of(settings.seed, "dev speakers")).permutation(len(speakers))
    held = {speakers[i] for i in drawn[: min(len(speakers) - 1, max(1, round(settings.dev_share * len(speakers))))]}
    is_dev = table["speaker"].isin(held)
    dev = table[is_dev]
    kept = np.unique(np.linspace(0, len(dev) - 1, min(len(dev), settings.dev_utterances)).round().astype(int))
    return table[~is_dev], dev.iloc[kept]


class Parts(NamedTuple):
    """The utterances that are trained on and those that judge."""

    train: Batches
    dev: Batches
    train_frames: np.ndarray  # (n,) frames of each utterance, by which batches are planned
    dev_frames: np.ndarray


def parts(table: pd.DataFrame, settings: Settings, source: FromAudio | FromStore, feature: Any) -> Parts:
    """Training and dev part of a manifest, with features from `source`."""
    made = [Batches(sources.clips(t), source, settings, feature.dim) for t in split(table, settings)]
    return Parts(made[0], made[1], *(lengths(b.items, settings, feature.frame_rate) for b in made))


def lengths(items: Sequence[Clip], settings: Settings, frame_rate: float) -> np.ndarray:
    """Frames of each clip by its duration, (n,), at most `longest`; batches are planned by them."""
    # 1e-6: 1.13 s of 100 frames per second are 112.99999999999999 in floating point
    frames = 1 + np.floor([c.duration * frame_rate + 1e-6 for c in items]).astype(np.int64)
    return np.minimum(frames, settings.longest)


def plan(frames: np.ndarray, settings: Settings, epoch: int, world: int = 1) -> list[np.ndarray]:
    """The batches of one epoch, each with the utterances of all `world` processes; every utterance is in one of them.

    Utterances are shuffled, sorted by length within pools and cut into batches, and the batches are shuffled again.
    """
    generator = np.random.default_rng(seed_of(settings.seed, "order", epoch))
    order = generator.permutation(len(frames))
    pool = settings.pool * (settings.batch * world if settings.frames is None else _fitting(frames, settings, world))
    batches: list[np.ndarray] = []
    for first in range(0, len(order), pool):
        part = order[first : first + pool]
        batches += cut(part[np.argsort(frames[part], kind="stable")], frames, settings, world)
    return [batches[i] for i in generator.permutation(len(batches))]


def _fitting(frames: np.ndarray, settings: Settings, world: int) -> int:
    return max(1, int((settings.frames or 0) * world / frames.mean()))


def cut(order: np.ndarray, frames: np.ndarray, settings: Settings, world: int = 1) -> list[np.ndarray]:
    """Utterances in order of length, cut into batches: `frames` padded frames each, or `batch` utterances, half of
    them when the longest exceeds `halve_above` (papers.md 4.3)."""
    batches, first = [], 0
    while first < len(order):
        if settings.frames is not None:
            room = settings.frames * world
            padded = frames[order[first:]] * np.arange(1, len(order) - first + 1)  # the last one is the longest
            size = max(1, int((padded <= room).sum()))
        else:
            size = settings.batch * world
            if frames[order[min(first + size, len(order)) - 1]] > settings.halve_above:
                size = max(1, size // 2)
        batches.append(order[first : first + size])
        first += size
    return batches


class Item(NamedTuple):
    """Utterances of one batch. `step` 0 is dev, whose masks are the same at every evaluation."""

    step: int
    indices: tuple[int, ...]


def train_items(frames: np.ndarray, settings: Settings, first: int, rank: int, world: int) -> Iterator[Item]:
    """The part of this process in every batch from step `first` (counted from 1) to the last. It is empty where a batch
    has fewer utterances than there are processes.
    """
    step, epoch = 0, 0
    while step < settings.steps:
        for batch in plan(frames, settings, epoch, world):
            step += 1
            if first <= step <= settings.steps:
                yield Item(step, tuple(batch[rank::world].tolist()))
        epoch += 1


def dev_items(frames: np.ndarray, settings: Settings, rank: int, world: int) -> list[Item]:
    """The part of this process in the dev batches, in order of length."""
    batches = cut(np.argsort(frames, kind="stable"), frames, settings)
    return [Item(0, tuple(batch.tolist())) for batch in batches[rank::world]]


class Batch(NamedTuple):
    x: Tensor  # (B, T, F) original features, zero after the valid frames
    lengths: Tensor  # (B,)
    masks: Masks
    hidden: int  # M, frames the loss is on
    where: Tensor  # (M,) these frames, counted through the padded batch: b T + t. A GPU would have to stop to find them
    seen: int  # valid frames


class Batches:
    """The map from an `Item` to its `Batch`, for a DataLoader.

    On dev every masked frame is set to zero, because one that is left unchanged would be predicted by copying it.
    """

    def __init__(self, items: Sequence[Clip], source: FromAudio | FromStore, settings: Settings, dim: int) -> None:
        self.items, self.source, self.settings, self.dim = list(items), source, settings, dim

    def __getitem__(self, item: Item) -> Batch:
        rows, generators = [], []
        for i in item.indices:
            generator = np.random.default_rng(seed_of(self.settings.seed, item.step or "dev", self.items[i].utterance))
            rows.append(self._cropped(self.source(self.items[i]), generator if item.step else None))
            generators.append(generator)
        return collate(rows or [np.zeros((1, self.dim), np.float32)], generators, self._masking(item))

    def _masking(self, item: Item) -> Masking:
        masking = self.settings.masking
        return masking if item.step else replace(masking, zero=1.0, replace=0.0)

    def _cropped(self, x: np.ndarray, generator: np.random.Generator | None) -> np.ndarray:
        spare = len(x) - self.settings.longest
        start = int(generator.integers(spare + 1)) if generator is not None and spare > 0 else 0
        return x[start : start + self.settings.longest]


def collate(rows: Sequence[np.ndarray], generators: Sequence[np.random.Generator], masking: Masking) -> Batch:
    """Pads and masks rows (T, F); without generators nothing is masked."""
    valid = [len(row) for row in rows]
    x = torch.zeros(len(rows), max(valid), rows[0].shape[1])
    for target, row in zip(x, rows, strict=True):
        target[: len(row)] = torch.from_numpy(row)
    if generators:
        masks = mask(valid, generators, masking)
    else:
        none = torch.zeros(x.shape[:2], dtype=torch.bool)
        masks = Masks(none, none, torch.arange(x.shape[1]).expand(x.shape[:2]))
    where = masks.loss.flatten().nonzero()[:, 0]
    return Batch(x, torch.tensor(valid), masks, len(where), where, sum(valid))


def loader(
    batches: Batches, items: Iterable[Item], workers: int, pin: bool, persistent: bool = False
) -> Iterable[Batch]:
    """Batches in the order of `items`; `workers` processes load them in advance, each with one thread. They stay for
    the next pass over the loader if they are `persistent`.
    """
    return DataLoader(
        batches,  # type: ignore[arg-type]
        batch_size=None,
        sampler=items,
        num_workers=workers,
        collate_fn=_as_it_is,
        worker_init_fn=_one_thread,
        pin_memory=pin,
        persistent_workers=persistent and workers > 0,
    )


def _as_it_is(batch: Any) -> Any:
    return batch


def _one_thread(worker: int) -> None:
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)
