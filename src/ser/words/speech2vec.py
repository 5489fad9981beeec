"""Speech2Vec: vectors from the sound of words and of the words around them (Chung and Glass 2018; papers.md 7.3).

The warning there applies: a careful reproduction by others found no meaning in such vectors. What these hold,
`ser.words.diagnostics` shows. Two differences to the reference code, both ours: words of another utterance are no
neighbours, and the draw that thins out frequent words is made anew each epoch. A killed training continues at its last
checkpoint and ends, on a CPU, with the same bytes.

Letters: W spoken words, P pairs, d dimensions.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ser import plugins
from ser.errors import SerError
from ser.files import read_json, write_json
from ser.seeds import seed_of
from ser.training import checkpoint
from ser.weights import load as load_weights
from ser.weights import save as save_weights
from ser.words import vectors
from ser.words._speech2vec import Model
from ser.words.mfcc import Tokens
from ser.words.settings import Speech2Vec


@dataclass
class Progress:
    """Where a training stands; all of it is in the checkpoint."""

    epoch: int = 0
    position: int = 0  # pairs of this epoch already seen
    total: float = 0.0  # error of this epoch so far
    history: list[dict[str, float]] = field(default_factory=list)  # epoch, loss, pairs


class Padded(NamedTuple):
    """Words (n, T, F) and their lengths (n,)."""

    x: Tensor
    lengths: Tensor


def train(
    tokens: Tokens, settings: Speech2Vec, path: Path | None = None, device: str = "cpu"
) -> tuple[Model, list[dict[str, float]]]:
    """The trained model, and its curve: epoch, loss (mean squared error, z-scored, zero-padded words), pairs.

    `path` is the checkpoint's; it is continued where it exists, so it must belong to these words and settings. Raises
    `SerError` when no word has neighbours and when the loss is not finite.
    """
    checkpoint.seed_everything(seed_of(settings.seed, "speech2vec", "weights"))
    model = Model(settings).to(device)
    model.fit(torch.from_numpy(tokens.frames).to(device))
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[settings.optimiser]
    optimiser = kind(model.parameters(), lr=settings.lr)
    progress = _resume(path, model, optimiser)
    context = Context(tokens, settings)
    bar = tqdm(total=settings.epochs, initial=progress.epoch, desc="speech2vec", unit="epoch", disable=None)
    while progress.epoch < settings.epochs:
        _epoch(model, optimiser, context, progress, path, device)
        bar.update()
        bar.set_postfix(loss=f"{progress.history[-1]['loss']:.4f}")
    bar.close()
    return model.eval(), progress.history


def _epoch(
    model: Model,
    optimiser: torch.optim.Optimizer,
    context: Context,
    progress: Progress,
    path: Path | None,
    device: str,
) -> None:
    s = model.settings
    pairs = context.pairs(progress.epoch)
    model.train()
    for number, first in enumerate(range(progress.position, len(pairs), s.batch), 1):
        batch = pairs[first : first + s.batch]
        optimiser.zero_grad(set_to_none=True)
        error = error_of(model, context.tokens, batch, device)
        (error / (len(batch) * s.frames * s.coefficients)).backward()
        optimiser.step()
        progress.total += float(error.detach())
        progress.position = first + len(batch)
        if not math.isfinite(progress.total):
            raise SerError(f"the loss is {progress.total} in epoch {progress.epoch + 1}", "speech2vec", "Lower lr")
        if path is not None and number % s.checkpoint_every == 0 and progress.position < len(pairs):
            _save(path, model, optimiser, progress)
    loss = progress.total / (len(pairs) * s.frames * s.coefficients)
    progress.history.append({"epoch": progress.epoch + 1, "loss": loss, "pairs": len(pairs)})
    progress.epoch, progress.position, progress.total = progress.epoch + 1, 0, 0.0
    if path is not None:
        _save(path, model, optimiser, progress)


def error_of(model: Model, tokens: Tokens, pairs: np.ndarray, device: str = "cpu") -> Tensor:
    """Summed squared error of pairs (P, 2) of words (centre, neighbour); each centre is encoded once."""
    centres, inverse = np.unique(pairs[:, 0], return_inverse=True)
    x, y = pad(tokens, centres, device), pad(tokens, pairs[:, 1], device)
    return model(x.x, x.lengths, torch.from_numpy(inverse).to(device), y.x, y.lengths)


def pad(tokens: Tokens, which: np.ndarray, device: str = "cpu") -> Padded:
    """The words `which` (n,), zero-padded to the longest of them."""
    starts, lengths = tokens.offsets[which], tokens.lengths[which]
    steps = np.arange(lengths.max())
    inside = steps < lengths[:, None]
    rows = tokens.frames[np.where(inside, starts[:, None] + steps, 0)]
    rows[~inside] = 0
    return Padded(torch.from_numpy(rows).to(device), torch.from_numpy(lengths).to(device))


class Context:
    """Which words are neighbours. Words of fewer than ``min_count`` tokens are left out before neighbours are counted,
    as in the reference code."""

    def __init__(self, tokens: Tokens, settings: Speech2Vec) -> None:
        self.tokens, self.settings = tokens, settings
        self.counts = Counter(tokens.words)
        kept = [i for i, w in enumerate(tokens.words) if self.counts[w] >= settings.min_count]
        self.kept = np.array(kept, dtype=np.int64)
        self.chance = np.array([self.keep(tokens.words[i], len(kept)) for i in kept])
        names = {u: i for i, u in enumerate(dict.fromkeys(tokens.utterances))}
        self.utterance = np.array([names[tokens.utterances[i]] for i in kept], dtype=np.int64)

    def keep(self, word: str, total: int) -> float:
        """Chance that a pair with this centre is kept: (sqrt(f / t) + 1) t / f with t ``subsample``, f the share of the
        word, as word2vec's own code has it."""
        t, f = self.settings.subsample, self.counts[word] / total
        return min(1.0, (math.sqrt(f / t) + 1) * t / f) if t else 1.0

    def pairs(self, epoch: int) -> np.ndarray:
        """Pairs (P, 2) of words (centre, neighbour) of an epoch, centres in random order, a centre's neighbours
        together. Raises `SerError` when there is none."""
        rng = np.random.default_rng(seed_of(self.settings.seed, "speech2vec", "epoch", epoch))
        n, k = len(self.kept), self.settings.window
        found = []
        for shift in (*range(-k, 0), *range(1, k + 1)):
            centre = np.arange(max(0, -shift), max(n - max(0, shift), 0))
            same = self.utterance[centre] == self.utterance[centre + shift]
            found.append(np.stack([centre[same], centre[same] + shift], 1))
        pairs = np.concatenate(found)
        pairs = pairs[rng.random(len(pairs)) < self.chance[pairs[:, 0]]]
        if not len(pairs):
            need = f"{self.settings.min_count} tokens of a word, two such words in an utterance"
            raise SerError(f"no pair of words: it takes {need}", "speech2vec", "Give more speech, or lower min_count")
        order = np.argsort(rng.permutation(n)[pairs[:, 0]], kind="stable")
        return self.kept[pairs[order]]


@torch.no_grad()
def embed(model: Model, tokens: Tokens, device: str = "cpu") -> np.ndarray:
    """Embeddings (W, d) float32 of spoken words: the token encoder."""
    model = model.to(device).eval()
    parts = [model.embed(*pad(tokens, rows, device)).cpu().numpy() for rows in _rows(len(tokens), model.settings.batch)]
    return np.concatenate(parts) if parts else np.zeros((0, model.settings.dim), np.float32)


def _rows(n: int, size: int) -> Iterator[np.ndarray]:
    for first in range(0, n, size):
        yield np.arange(first, min(n, first + size))


def types(words: tuple[str, ...], embeddings: np.ndarray, min_count: int) -> vectors.Vectors:
    """Vector of each word with `min_count` tokens: the mean of its tokens' unit embeddings (W, d), of length 1."""
    counts = Counter(words)
    names = [w for w in counts if counts[w] >= min_count]
    row = {w: i for i, w in enumerate(names)}
    sums = np.zeros((len(names), embeddings.shape[1]))
    kept = np.array([i for i, w in enumerate(words) if w in row], dtype=np.int64)
    np.add.at(sums, [row[words[i]] for i in kept], vectors.unit(embeddings[kept].astype(np.float64)))
    return vectors.ordered(names, vectors.unit(sums), np.array([counts[w] for w in names]))


def save(folder: Path, model: Model, card: Mapping[str, Any]) -> None:
    """Writes ``encoder.safetensors`` (decoder included) and ``encoder.json``; equal weights give equal bytes."""
    save_weights(Path(folder) / "encoder.safetensors", model.state_dict())
    write_json(Path(folder) / "encoder.json", {**card, "settings": dataclasses.asdict(model.settings)})


def load(folder: Path) -> Model:
    """A saved model. Raises `SerError` for a folder that is missing or damaged."""
    folder = Path(folder)
    card = read_json(folder / "encoder.json")
    model = Model(plugins.build(Speech2Vec, card["settings"], str(folder / "encoder.json")))
    model.load_state_dict(load_weights(folder / "encoder.safetensors", model.state_dict()))
    return model.eval()


def _save(path: Path, model: Model, optimiser: torch.optim.Optimizer, progress: Progress) -> None:
    state: dict[str, Any] = {"model": model.state_dict(), "optimiser": optimiser.state_dict()}
    checkpoint.save(path, state | {"progress": vars(progress)})


def _resume(path: Path | None, model: Model, optimiser: torch.optim.Optimizer) -> Progress:
    state = checkpoint.load(path) if path else None
    if state is None:
        return Progress()
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    return Progress(**state["progress"])
