"""Batches: which windows are in one, padded tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ser.core.recipe import Training
from ser.core.seeds import seed_of
from ser.core.tasks import Batch, Examples, Inputs, Window
from ser.training import windows


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


def collate(
    examples: Inputs, items: Sequence[Window], training: Training, device: str, crop: np.random.Generator | None
) -> Batch:
    """One padded batch. In training `crop` draws the start of windows that have none, and frames are augmented. With
    None such windows are centred and nothing is changed. All frame-level inputs are cut at the same frames.
    """
    import torch

    from ser.training import augmentation

    utterances = [examples.utterances[w.utterance] for w in items]
    own = windows.lengths(examples)
    size = None if crop is None and training.window == "random_crop" else training.frames
    cuts = [windows.cut(int(own[w.utterance]), w.start, size, crop) for w in items]
    inputs, lengths = {}, {}
    for name, store in examples.stores.items():
        if store.card["level"] == "utterance":
            inputs[name] = torch.from_numpy(np.array(store.rows(utterances), dtype=np.float32)).to(device)
            continue
        # without `frames` an input keeps its own length, which may differ by one row from that of the labels
        raw = [store[u][c] if size else store[u] for u, c in zip(utterances, cuts, strict=True)]
        pieces = [torch.from_numpy(np.array(piece, dtype=np.float32)) for piece in raw]
        if crop is not None:
            waveform = store.card.get("feature") == "waveform"
            pieces = [augmentation.augmented(piece, training, waveform)[:size] for piece in pieces]
        valid = [len(p) for p in pieces]
        x = torch.zeros(len(pieces), size or max(*valid, training.frames or 0), int(store.card["dim"]))
        for row, piece in zip(x, pieces, strict=True):
            row[: len(piece)] = piece
        inputs[name] = x.to(device, non_blocking=True)
        lengths[name] = torch.tensor(valid, device=device)
    labels = _labels(examples, items, cuts, training) if isinstance(examples, Examples) else None
    return Batch(inputs, lengths, None if labels is None else torch.as_tensor(labels, device=device))


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
