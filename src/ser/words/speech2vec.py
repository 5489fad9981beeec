"""Speech2Vec: the speech space S, from the sound of words and their neighbours (Chung and Glass 2018; papers.md 7.3).

The encoder reads the MFCC of a word; from its state the decoder reconstructs each neighbouring word. The embedding of a
spoken word is the encoder's last hidden state, the vector of a word type the mean over its tokens. A careful
reproduction by others found no meaning in such vectors (the warning in papers.md 7.3); `ser.words.diagnostics` shows
what these contain.

Deviations from the reference code: words of another utterance are not neighbours, and the subsampling of frequent
words is drawn again in each epoch.

Words of equal length go through an LSTM together, so that nothing is padded. Padded and packed sequences give the same
numbers and take about twice as long per training step on a CPU (benchmarks/speech2vec.py).

Letters: W spoken words, M frames of all words, P pairs, U different centres of these pairs, n words of one length, T
frames, F coefficients, d dimensions.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ser.core import plugins, weights
from ser.core.compute import Processes
from ser.core.errors import SerError
from ser.core.files import read_json, write_json
from ser.core.seeds import seed_everything, seed_of
from ser.training.loop import Loop
from ser.training.optimiser import SGD, Adam
from ser.words import vectors
from ser.words.config import Speech2Vec


@dataclass(frozen=True)
class Tokens:
    """Spoken words: `frames` (M, F) float32 of one word after the other, rows ``offsets[i]:offsets[i + 1]`` of word i;
    the word and the utterance of each."""

    frames: np.ndarray
    offsets: np.ndarray
    words: tuple[str, ...]
    utterances: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.words)

    @property
    def lengths(self) -> np.ndarray:
        """Frames of each word, (W,) int64."""
        return np.diff(self.offsets)


class Encoder(nn.Module):
    """One bidirectional LSTM layer with d / 2 units per direction."""

    def __init__(self, config: Speech2Vec) -> None:
        super().__init__()
        self.lstm = nn.LSTM(config.coefficients, config.dim // 2, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x (U, T, F), lengths (U,) -> outputs (U, T, d), zero after the end of a word, last hidden and last cell state
        (U, d)."""
        found, order = [], []
        for length, rows in by_length(lengths):
            out, (h, c) = self.lstm(x[rows, :length])
            padded = nn.functional.pad(out, (0, 0, 0, x.shape[1] - length))
            found.append((padded, torch.cat([*h], 1), torch.cat([*c], 1)))
            order.append(rows)
        back = torch.cat(order).argsort()
        outputs, h, c = (torch.cat(parts).index_select(0, back) for parts in zip(*found, strict=True))
        return outputs, h, c


class Decoder(nn.Module):
    """One LSTM layer with dot-product attention over the encoder's outputs and teacher forcing; the first input is
    zero."""

    def __init__(self, config: Speech2Vec) -> None:
        super().__init__()
        self.lstm = nn.LSTM(config.coefficients, config.dim, batch_first=True)
        self.combine = nn.Linear(2 * config.dim, config.dim)
        self.out = nn.Linear(config.dim, config.coefficients)

    def forward(self, y: Tensor, outputs: Tensor, valid: Tensor, h: Tensor, c: Tensor) -> Tensor:
        """Predictions (n, T, F) of words y (n, T, F).

        `outputs` (n, T', d) are the encoder's, `valid` (n, T') says which of them are frames of the centre; the state
        starts at `h`, `c` (n, d).
        """
        previous = torch.cat([torch.zeros_like(y[:, :1]), y[:, :-1]], 1)
        out, _ = self.lstm(previous, (h[None], c[None]))
        scores = (out @ outputs.transpose(1, 2)).masked_fill(~valid[:, None], -torch.inf)
        both = torch.cat([out, scores.softmax(-1) @ outputs], -1)
        return self.out(torch.tanh(self.combine(both)))


class Model(nn.Module):
    """Encoder, decoder, and the mean and standard deviation (F,) by which frames are z-scored."""

    mean: Tensor
    spread: Tensor

    def __init__(self, config: Speech2Vec) -> None:
        super().__init__()
        self.config = config
        self.encoder, self.decoder = Encoder(config), Decoder(config)
        self.register_buffer("mean", torch.zeros(config.coefficients))
        self.register_buffer("spread", torch.ones(config.coefficients))

    def fit(self, frames: Tensor) -> None:
        """Sets mean and standard deviation to those of all frames (M, F) of the training words."""
        spread, mean = torch.std_mean(frames.double(), 0, correction=0)
        self.mean.copy_(mean)
        self.spread.copy_(torch.where(spread > 0, spread, 1.0))

    def embed(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Embeddings (U, d) of words x (U, T, F) of `lengths` (U,) frames."""
        return self.encoder(self._scaled(x), lengths)[1]

    def forward(self, x: Tensor, x_lengths: Tensor, centre: Tensor, y: Tensor, y_lengths: Tensor) -> Tensor:
        """Squared error summed over all frames and coefficients of the neighbours y (P, T, F).

        `x` (U, T', F) are the different centres, ``centre`` (P,) is the row of each neighbour's centre. Divided by
        P * `config.frames` * F it is the mean over zero-padded words, as in the reference code.
        """
        outputs, h, c = self.encoder(self._scaled(x), x_lengths)
        valid = torch.arange(outputs.shape[1], device=x.device) < x_lengths[:, None]
        errors = []
        for length, rows in by_length(y_lengths):
            target, own = self._scaled(y[rows, :length]), centre[rows]
            predicted = self.decoder(target, *(t.index_select(0, own) for t in (outputs, valid, h, c)))
            errors.append((predicted - target).square().sum())
        return torch.stack(errors).sum()

    def _scaled(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.spread


def by_length(lengths: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Each length that occurs in `lengths` (P,), and the rows (n,) that have it."""
    for length in lengths.unique().tolist():
        yield length, (lengths == length).nonzero()[:, 0]


class Context:
    """Which words are neighbours. Words with fewer than ``min_count`` tokens are left out before neighbours are
    counted, as in the reference code."""

    def __init__(self, tokens: Tokens, config: Speech2Vec) -> None:
        self.tokens, self.config = tokens, config
        self.counts = Counter(tokens.words)
        kept = [i for i, w in enumerate(tokens.words) if self.counts[w] >= config.min_count]
        self.kept = np.array(kept, dtype=np.int64)
        self.chance = np.array([self.probability(tokens.words[i], len(kept)) for i in kept])
        numbers = {u: i for i, u in enumerate(dict.fromkeys(tokens.utterances))}
        self.utterance = np.array([numbers[tokens.utterances[i]] for i in kept], dtype=np.int64)

    def probability(self, word: str, total: int) -> float:
        """Probability that a pair with this centre is kept: (sqrt(f / t) + 1) t / f with t ``subsample`` and f the
        relative frequency of the word, the formula of the word2vec code."""
        t, f = self.config.subsample, self.counts[word] / total
        return min(1.0, (math.sqrt(f / t) + 1) * t / f) if t else 1.0

    def pairs(self, epoch: int) -> np.ndarray:
        """Pairs (P, 2) of words (centre, neighbour) of an epoch, counted from 0.

        Centres are in random order, the neighbours of a centre follow each other. Raises `SerError` when there are no
        pairs.
        """
        rng = np.random.default_rng(seed_of(self.config.seed, "speech2vec", "epoch", epoch))
        n, k = len(self.kept), self.config.window
        found = []
        for shift in (*range(-k, 0), *range(1, k + 1)):
            centre = np.arange(max(0, -shift), max(n - max(0, shift), 0))
            same = self.utterance[centre] == self.utterance[centre + shift]
            found.append(np.stack([centre[same], centre[same] + shift], 1))
        pairs = np.concatenate(found)
        pairs = pairs[rng.random(len(pairs)) < self.chance[pairs[:, 0]]]
        if not len(pairs):
            what = f"no utterance has two words that are spoken at least {self.config.min_count} times"
            raise SerError(what, "speech2vec.min_count", "Give more speech or lower it")
        order = np.argsort(rng.permutation(n)[pairs[:, 0]], kind="stable")
        return self.kept[pairs[order]]


def train(
    tokens: Tokens, config: Speech2Vec, path: Path | None = None, device: str = "cpu"
) -> tuple[Model, list[dict[str, float]]]:
    """The trained model and its curve: epoch and loss, the mean squared error of z-scored, zero-padded words.

    `path` is the file of the checkpoint. A stopped training continues there and ends, on a CPU, with the same bytes; so
    its name must contain a fingerprint of the words and settings. Raises `SerError` when no word has a neighbour and
    when the loss is not finite.
    """
    seed_everything(seed_of(config.seed, "speech2vec", "weights"))
    model = Model(config).to(device)
    model.fit(torch.from_numpy(tokens.frames).to(device))
    context = Context(tokens, config)

    def plan(epoch: int, position: int) -> Iterator[np.ndarray]:
        pairs = context.pairs(epoch)
        for first in range(position * config.batch, len(pairs), config.batch):
            yield pairs[first : first + config.batch]

    def step(pairs: np.ndarray) -> Tensor:
        return error_of(model, tokens, pairs, device) / (len(pairs) * config.frames * config.coefficients)

    kind: Any = {"sgd": SGD, "adam": Adam}[config.optimiser]
    loop = Loop(
        model,
        kind(model.parameters(), lr=config.lr),
        plan,
        step,
        epochs=config.epochs,
        size=len,
        processes=Processes(device=device),
        path=path,
        checkpoint_every=config.checkpoint_every,
        label="speech2vec",
    )
    curve = [{"epoch": int(row["epoch"]), "loss": row["train_loss"]} for row in loop.fit()]
    return model.eval(), curve


def error_of(model: Model, tokens: Tokens, pairs: np.ndarray, device: str = "cpu") -> Tensor:
    """Summed squared error of pairs (P, 2) of words (centre, neighbour); each centre is encoded once."""
    centres, inverse = np.unique(pairs[:, 0], return_inverse=True)
    x, x_lengths = pad(tokens, centres, device)
    y, y_lengths = pad(tokens, pairs[:, 1], device)
    return model(x, x_lengths, torch.from_numpy(inverse).to(device), y, y_lengths)


def pad(tokens: Tokens, rows: np.ndarray, device: str = "cpu") -> tuple[Tensor, Tensor]:
    """The words with these row numbers (n,), zero-padded to the longest: (n, T, F), and their lengths (n,)."""
    starts, lengths = tokens.offsets[rows], tokens.lengths[rows]
    steps = np.arange(lengths.max())
    inside = steps < lengths[:, None]
    frames = tokens.frames[np.where(inside, starts[:, None] + steps, 0)]
    frames[~inside] = 0
    return torch.from_numpy(frames).to(device), torch.from_numpy(lengths).to(device)


@torch.no_grad()
def embed(model: Model, tokens: Tokens, device: str = "cpu") -> np.ndarray:
    """Embeddings (W, d) float32 of spoken words."""
    model = model.to(device).eval()
    rows, size = np.arange(len(tokens)), model.config.batch
    batches = [rows[first : first + size] for first in range(0, len(rows), size)]
    found = [model.embed(*pad(tokens, batch, device)).cpu().numpy() for batch in batches]
    return np.concatenate([np.zeros((0, model.config.dim), np.float32), *found])


def types(words: tuple[str, ...], embeddings: np.ndarray, min_count: int) -> vectors.Vectors:
    """The vector of each word that has at least `min_count` tokens: the mean of the unit-length embeddings (W, d) of
    its tokens, scaled to unit length."""
    counts = Counter(words)
    names = [w for w in counts if counts[w] >= min_count]
    row = {w: i for i, w in enumerate(names)}
    sums = np.zeros((len(names), embeddings.shape[1]))
    kept = np.array([i for i, w in enumerate(words) if w in row], dtype=np.int64)
    np.add.at(sums, [row[words[i]] for i in kept], vectors.unit(embeddings[kept].astype(np.float64)))
    return vectors.ordered(names, vectors.unit(sums), np.array([counts[w] for w in names]))


def save(folder: Path, model: Model, card: Mapping[str, Any]) -> None:
    """Writes ``encoder.safetensors`` (which includes the decoder) and ``encoder.json``. Equal weights give equal
    bytes."""
    weights.save(folder / "encoder.safetensors", model.state_dict())
    write_json(folder / "encoder.json", {**card, "settings": dataclasses.asdict(model.config)})


def load(folder: Path) -> Model:
    """A saved model. Raises `SerError` for a folder that is missing or damaged."""
    card = read_json(folder / "encoder.json")
    model = Model(plugins.build(Speech2Vec, card["settings"], str(folder / "encoder.json")))
    model.load_state_dict(weights.load(folder / "encoder.safetensors", model.state_dict()))
    return model.eval()
