"""Batches: which windows are in one, padded tensors, and how they are made while the ones before them are used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ser.core.recipe import Training
from ser.core.seeds import seed_of
from ser.core.tasks import Batch, Examples, Inputs, Window
from ser.training import windows

if TYPE_CHECKING:
    import torch

AHEAD = 2  # batches that are prepared in advance (ours: one in use and one waiting hide a batch's preparation)
_END: Any = object()


def order(examples: Inputs, training: Training, seed: int, epoch: int) -> list[list[Window]]:
    """The batches of one epoch: windows in random order, and with `bucket` batches of similar length.

    Bucketing sorts by length within pools of 32 batches (ours: enough for little padding, and still random). Its price
    is explained in `ser.core.recipe.Training`.
    """
    generator = np.random.default_rng(seed_of(seed, "order", epoch))
    items = windows.drawn(examples, training)
    indices = generator.permutation(len(items))
    if training.bucket:
        sizes = windows.sizes(examples, items, training)
        pool = 32 * training.batch
        pools = [indices[i : i + pool] for i in range(0, len(indices), pool)]
        indices = np.concatenate([p[np.argsort(sizes[p], kind="stable")] for p in pools])
    batches = [[items[i] for i in indices[j : j + training.batch]] for j in range(0, len(indices), training.batch)]
    return [batches[i] for i in generator.permutation(len(batches))]


class Prepared(NamedTuple):
    """A batch on the CPU, and the masks (`augmentation.drawn_masks`) that its frame features still get."""

    batch: Batch
    masks: dict[str, dict[str, torch.Tensor]]  # frame feature -> masks

    def each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Prepared:
        """With every tensor replaced by what `change` makes of it."""
        batch, masks = self.batch, {name: {k: change(m) for k, m in own.items()} for name, own in self.masks.items()}
        inputs, lengths = ({k: change(x) for k, x in d.items()} for d in (batch.inputs, batch.lengths))
        return Prepared(Batch(inputs, lengths, None if batch.labels is None else change(batch.labels)), masks)

    def on(self, device: str) -> Batch:
        """The batch on a device, with its masks; the prepared batch is used up."""
        from ser.training import augmentation

        moved = self if device == "cpu" else self.each(lambda x: x.to(device, non_blocking=True))
        inputs = {k: augmentation.lay(moved.masks.get(k, {}), x) for k, x in moved.batch.inputs.items()}
        return replace(moved.batch, inputs=inputs, known=self.batch.lengths)


def collate(
    examples: Inputs, items: Sequence[Window], training: Training, device: str, crop: np.random.Generator | None
) -> Batch:
    """One padded batch; see `prepare`."""
    return prepare(examples, items, training, crop).on(device)


def prepare(
    examples: Inputs, items: Sequence[Window], training: Training, crop: np.random.Generator | None
) -> Prepared:
    """One padded batch on the CPU. In training `crop` draws the start of windows that have none, and seeds what is done
    to frames. With None such windows are centred and nothing is changed. All frame-level inputs are cut at the same
    frames.
    """
    import torch

    from ser.training import augmentation

    utterances = [examples.utterances[w.utterance] for w in items]
    own = windows.lengths(examples)
    size = None if crop is None and training.window == "random_crop" else training.frames
    cuts = [windows.cut(int(own[w.utterance]), w.start, size, crop) for w in items]
    generator = None if crop is None else _generator(crop)
    inputs, lengths, masks = {}, {}, {}
    for name, store in examples.stores.items():
        if store.card["level"] == "utterance":
            inputs[name] = torch.from_numpy(np.array(store.rows(utterances), dtype=np.float32))
            continue
        # without `frames` an input keeps its own length, which may differ by one row from that of the labels
        raw = [store[u][c] if size else store[u] for u, c in zip(utterances, cuts, strict=True)]
        pieces = [torch.from_numpy(np.array(piece, dtype=np.float32)) for piece in raw]
        if generator is not None:
            waveform = store.card.get("feature") == "waveform"
            pieces = [augmentation.augmented(piece, training, generator, waveform)[:size] for piece in pieces]
            masks[name] = augmentation.drawn_masks(
                [len(p) for p in pieces], int(store.card["dim"]), training, generator
            )
        longest = size or max(*map(len, pieces), training.frames or 0)
        inputs[name], lengths[name] = _padded(pieces, longest), torch.tensor([len(p) for p in pieces])
    labels = _labels(examples, items, cuts, training) if isinstance(examples, Examples) else None
    return Prepared(Batch(inputs, lengths, None if labels is None else torch.as_tensor(labels)), masks)


def _generator(crop: np.random.Generator) -> torch.Generator:
    """Of torch, with a seed of the batch's name; `crop` draws the same numbers as without it."""
    import torch

    return torch.Generator().manual_seed(int(crop.spawn(1)[0].integers(2**63)))


def _padded(pieces: Sequence[torch.Tensor], frames: int) -> torch.Tensor:
    """Pieces (T, F), at most `frames` long -> (B, frames, F)."""
    x = pieces[0].new_zeros(len(pieces), frames, pieces[0].shape[1])
    for row, piece in zip(x, pieces, strict=True):
        row[: len(piece)] = piece
    return x


def _labels(examples: Examples, items: Sequence[Window], cuts: Sequence[slice], training: Training) -> np.ndarray:
    """(B,) class indices, or (B, R, D) with NaN after the last label row."""
    if isinstance(examples.labels, np.ndarray):
        return examples.labels[[w.utterance for w in items]]
    pieces = [examples.labels[w.utterance][c] for w, c in zip(items, cuts, strict=True)]
    rows = training.frames or max(map(len, pieces))
    out = np.full((len(pieces), rows, pieces[0].shape[1]), np.nan, dtype=np.float32)
    for row, piece in zip(out, pieces, strict=True):
        row[: len(piece)] = piece
    return out


def batches(inputs: Inputs, training: Training, device: str) -> Iterator[tuple[list[Window], Batch]]:
    """Batches for prediction, sorted by length, each with its windows."""
    items = windows.fixed(inputs, training)
    indices = np.argsort(windows.sizes(inputs, items, training), kind="stable")
    # whole utterances by themselves: padding to the longest would change the statistics that networks pool
    size = 1 if training.window == "random_crop" else training.batch
    for i in range(0, len(indices), size):
        part = [items[j] for j in indices[i : i + size]]
        yield part, collate(inputs, part, training, device, None)


def ahead(items: Iterable[Any]) -> Iterator[Any]:
    """The same items in the same order, of which a thread makes the next `AHEAD` while one is used."""
    source, waiting = iter(items), deque[Any]()
    with ThreadPoolExecutor(1) as thread:
        for _ in range(AHEAD):
            waiting.append(thread.submit(next, source, _END))
        while (item := waiting.popleft().result()) is not _END:
            waiting.append(thread.submit(next, source, _END))
            yield item
