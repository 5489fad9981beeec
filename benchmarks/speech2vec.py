"""Two decisions of `ser.words`, each against its plain form, in CPU seconds.

    python benchmarks/speech2vec.py [--steps N] [--threads N] [--small]

``lengths``: one training step of Speech2Vec with words of equal length together, as it is, and with padded words, whose
encoder reads packed sequences. ``mfcc``: the MFCC of words, many together, as it is, word by word, and by librosa.
Paper size (d = 100, batches of 4 096 pairs), words as long as in read speech. The two sides take turns in one process:
same threads, inputs and allocator.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping

import librosa
import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ser.words import mfcc, speech2vec
from ser.words.config import Speech2Vec
from ser.words.speech2vec import Model, Tokens


class Padded(Model):
    """The same network without grouping: padded words, a mask in the loss, packed sequences in the encoder."""

    def forward(self, x: Tensor, x_lengths: Tensor, centre: Tensor, y: Tensor, y_lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(self._scaled(x), x_lengths, batch_first=True, enforce_sorted=False)
        out, (h, c) = self.encoder.lstm(packed)
        outputs, _ = pad_packed_sequence(out, batch_first=True, total_length=x.shape[1])
        valid = torch.arange(x.shape[1]) < x_lengths[:, None]
        target = self._scaled(y)
        states = (outputs, valid, torch.cat([*h], 1), torch.cat([*c], 1))
        predicted = self.decoder(target, *(t.index_select(0, centre) for t in states))
        inside = torch.arange(y.shape[1]) < y_lengths[:, None]
        return ((predicted - target).square() * inside[..., None]).sum()


def spoken(count: int, config: Speech2Vec) -> Tokens:
    """Noise for `count` words of 20 types, 9 frames long on average."""
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.normal(9, 3.5, count).round().astype(int), 2, config.frames)
    frames = rng.normal(size=(lengths.sum(), config.coefficients)).astype(np.float32)
    words = tuple(f"w{i % 20}" for i in range(count))
    return Tokens(frames, np.concatenate([[0], np.cumsum(lengths)]), words, ("u",) * count)


def compare(title: str, sides: Mapping[str, Callable[[], object]], repeats: int) -> None:
    """Median CPU seconds of each side, the sides in turn; the first round warms up."""
    spent: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats + 1):
        for name, function in sides.items():
            start = time.process_time()
            function()
            spent[name].append(time.process_time() - start)
    medians = {name: float(np.median(seconds[1:])) for name, seconds in spent.items()}
    first = next(iter(medians.values()))
    print(title + ": " + ", ".join(f"{n} {s:.3f} s ({s / first:.2f})" for n, s in medians.items()), flush=True)


def lengths(config: Speech2Vec, repeats: int) -> None:
    tokens = spoken(config.batch, config)
    pairs = speech2vec.Context(tokens, config).pairs(0)[: config.batch]
    grouped, padded = Model(config), Padded(config)
    padded.load_state_dict(grouped.state_dict())

    def step(model: Model) -> float:
        model.zero_grad(set_to_none=True)
        error = speech2vec.error_of(model, tokens, pairs)
        error.backward()
        return error.item()

    print(f"lengths: the losses differ by {abs(step(grouped) / step(padded) - 1):.1e}")
    compare("lengths", {"grouped": lambda: step(grouped), "padded": lambda: step(padded)}, repeats)


def coefficients(config: Speech2Vec, count: int, repeats: int) -> None:
    rng = np.random.default_rng(0)
    samples = np.clip(rng.normal(9, 3.5, count), 2, 30) * config.hop
    words = [rng.normal(scale=0.1, size=int(n)).astype(np.float32) for n in samples]

    def by_librosa() -> list[np.ndarray]:
        made = [
            librosa.feature.mfcc(y=w, sr=config.rate, n_mfcc=config.coefficients, n_fft=config.n_fft) for w in words
        ]
        return [m.T[: config.frames] for m in made]

    difference = max(np.abs(a - b).max() for a, b in zip(mfcc.mfcc(words, config), by_librosa(), strict=True))
    print(f"mfcc: the values differ by at most {difference:.1e}")
    sides: dict[str, Callable[[], object]] = {
        "together": lambda: list(mfcc.mfcc(words, config)),
        "word by word": lambda: [list(mfcc.mfcc([w], config)) for w in words],
        "librosa": by_librosa,
    }
    compare(f"mfcc of {count} words", sides, repeats)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--small", action="store_true", help="tiny sizes: does it run?")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    config = Speech2Vec(dim=8, batch=64, subsample=0.0) if options.small else Speech2Vec(subsample=0.0)
    lengths(config, options.steps)
    coefficients(config, 5 if options.small else 100, options.steps)


if __name__ == "__main__":
    main()
