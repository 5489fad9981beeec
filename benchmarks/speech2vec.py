"""Speech2Vec in batches against a loop that encodes one word at a time, and against this machine's matrix product.

    python benchmarks/speech2vec.py [--pairs N] [--steps N] [--threads N] [--small]

Paper size (d = 100, batches of 4 096 pairs), float32, words as long as in read speech (9 frames on average). Both sides
do the whole training step. Useful are the products of the recurrent, attention and output layers on frames that exist,
once forward and twice backward; gates, softmax and the optimiser count as nothing. `torch.mm` is measured between the
steps, so that both see the same machine.

Measured beside it: the decoder's LSTM alone, on words of one length together (as the model does), and packed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from pretraining import mm_rate  # the folder of a script is on its path
from ser.training import memory
from ser.words import speech2vec
from ser.words.config import Speech2Vec
from ser.words.mfcc import Tokens
from ser.words.speech2vec import Model, by_length


def drawn(count: int, settings: Speech2Vec) -> Tokens:
    """Noise for `count` words of 20 types, each as often as the next."""
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.normal(9, 3.5, count).round().astype(int), 2, settings.frames)
    frames = rng.normal(size=(lengths.sum(), settings.coefficients)).astype(np.float32)
    words = tuple(f"w{i % 20}" for i in range(count))
    return Tokens(frames, np.concatenate([[0], np.cumsum(lengths)]), words, ("u",) * count)


def useful(tokens: Tokens, pairs: np.ndarray, settings: Speech2Vec) -> float:
    """Floating-point operations of one step: two a multiply-add, forward and twice that backward."""
    d, f, lengths = settings.dim, settings.coefficients, tokens.lengths
    centre, target = lengths[pairs[:, 0]], lengths[pairs[:, 1]]
    encoder = 4 * d * (f + d // 2) * lengths[np.unique(pairs[:, 0])].sum()
    decoder = (4 * d * (f + d) + 2 * d * d + d * f) * target.sum()
    attention = 2 * d * (centre * target).sum()
    return 6.0 * float(encoder + decoder + attention)


def step(model: Model, optimiser: torch.optim.Optimizer, tokens: Tokens, pairs: np.ndarray, size: int) -> float:
    """One training step, `size` pairs at a time: the summed error."""
    optimiser.zero_grad(set_to_none=True)
    total = 0.0
    for first in range(0, len(pairs), size):
        error = speech2vec.error_of(model, tokens, pairs[first : first + size])
        (error / len(pairs)).backward()
        total += error.item()
    optimiser.step()
    return total


def timed(function: Callable[[], object], steps: int) -> float:
    """Median seconds of a call; the first one warms up."""
    spent = []
    for _ in range(steps + 1):
        start = time.perf_counter()
        function()
        spent.append(time.perf_counter() - start)
    return float(np.median(spent[1:]))


def against_one_word(settings: Speech2Vec, tokens: Tokens, batches: list[np.ndarray], few: int) -> None:
    model = Model(settings)
    still = torch.optim.SGD(model.parameters(), lr=0.0)  # both see the same weights
    whole, alone = batches[0], batches[0][:few]
    together, apart = (step(model, still, tokens, alone, size) for size in (few, 1))
    start = time.perf_counter()
    step(model, still, tokens, alone, 1)
    loop = len(alone) / (time.perf_counter() - start)
    turns = iter(batches * 10)
    batch = len(whole) / timed(lambda: step(model, still, tokens, next(turns), settings.batch), len(batches))
    print(
        f"batches of {len(whole)}: {batch:.0f} pairs/s, one word at a time: {loop:.0f}, {batch / loop:.1f} times; "
        f"loss differs by {abs(together / apart - 1):.1e}"
    )


def against_mm(settings: Speech2Vec, tokens: Tokens, batches: list[np.ndarray], size: int) -> None:
    model = Model(settings)
    optimiser = torch.optim.SGD(model.parameters(), lr=settings.lr)
    shares, rates = [], []
    for number, pairs in enumerate(batches):
        start = time.perf_counter()
        step(model, optimiser, tokens, pairs, settings.batch)
        rate = useful(tokens, pairs, settings) / (time.perf_counter() - start)
        peak = mm_rate(size)
        if number:  # the first one warms up
            shares.append(rate / peak)
            rates.append(rate)
    print(f"training step: {np.median(rates) / 1e9:.1f} GFLOP/s, {np.median(shares):.1%} of torch.mm")
    rows, d = settings.batch // settings.frames, settings.dim  # of one length, on average
    a, b = torch.randn(rows, d), torch.randn(d, 4 * d)
    seconds = timed(lambda: [a @ b for _ in range(100)], 5) / 100
    rate = 2 * a.numel() * 4 * d / seconds / 1e9
    print(f"its product of one time step alone, ({rows}, {d}) x ({d}, {4 * d}): {rate:.1f} GFLOP/s")


def lstm_alone(settings: Speech2Vec, tokens: Tokens, pairs: np.ndarray, steps: int) -> None:
    lstm = nn.LSTM(settings.coefficients, settings.dim, batch_first=True)
    y = speech2vec.pad(tokens, pairs[:, 1])

    def grouped() -> None:
        parts: list[Tensor] = [lstm(y.x[rows, :length])[0].sum() for length, rows in by_length(y.lengths)]
        torch.stack(parts).sum().backward()

    def packed() -> None:
        lstm(pack_padded_sequence(y.x, y.lengths, batch_first=True, enforce_sorted=False))[0].data.sum().backward()

    times = timed(grouped, steps), timed(packed, steps)
    print(f"decoder's LSTM, forward and backward: by length {times[0]:.3f} s, packed {times[1]:.3f} s")


def main() -> None:
    memory.keep()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=200, help="pairs of the loop over single words")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--small", action="store_true", help="tiny sizes: does it run?")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    settings = Speech2Vec(dim=8, batch=64, subsample=0.0) if arguments.small else Speech2Vec(subsample=0.0)
    tokens = drawn(settings.batch * (arguments.steps + 2) // 6 + 100, settings)
    pairs = speech2vec.Context(tokens, settings).pairs(0)
    batches = [pairs[i * settings.batch : (i + 1) * settings.batch] for i in range(arguments.steps + 1)]
    against_one_word(settings, tokens, batches, min(arguments.pairs, settings.batch))
    against_mm(settings, tokens, batches, 256 if arguments.small else 2048)
    lstm_alone(settings, tokens, batches[0], arguments.steps)


if __name__ == "__main__":
    main()
