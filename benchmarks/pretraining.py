"""The pretraining step on a CPU: useful FLOP/s against this machine's own matrix product, and waiting for the loader.

    python benchmarks/pretraining.py [manifest corpus-folder] [--steps N] [--threads N] [--small]

Paper size, float32. Useful are the operations on valid frames: every matrix product once forward and twice backward,
the head on the masked frames only, attention on the valid keys; padding, norms, dropout and the optimiser count as
nothing. The rate of `torch.mm` is measured between the steps, so that both see the same machine. Without a manifest the
lengths are drawn as LibriSpeech's (12.3 s on average) and nothing is loaded.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from ser.corpora import manifest
from ser.features.logmel import Feature
from ser.models.layers.mockingjay import Config
from ser.pretraining import data, sources
from ser.pretraining.encoder import Pretraining
from ser.pretraining.settings import Settings


def useful(lengths: torch.Tensor, hidden: int, config: Config) -> float:
    """Floating-point operations of one step: two a multiply-add, forward and twice that backward."""
    H, frames = config.hidden, float(lengths.sum())
    layer = 4 * H * H + 2 * H * config.ffn
    products = frames * (config.input * H + config.layers * layer) + hidden * (H * H + H * config.input)
    attention = config.layers * 2 * H * float(lengths.double().square().sum())
    first = frames * config.input * H  # the input needs no gradient
    return 2 * (3 * (products + attention) - first)


def mm_rate(n: int) -> float:
    a, b = torch.randn(n, n), torch.randn(n, n)
    start = time.perf_counter()
    torch.mm(a, b)
    return 2 * n**3 / (time.perf_counter() - start)


def drawn(settings: Settings, dim: int) -> Iterator[data.Batch]:
    """Batches of noise whose lengths are LibriSpeech's in the large: most between 12 and 16 s, the rest from 2 s on."""
    generator = np.random.default_rng(0)
    lengths = np.clip(generator.triangular(200, 1600, 1650, 6000), 200, 1650).astype(int)
    for item in data.train_items(lengths, settings, 1, 0, 1):
        rows = [generator.normal(size=(lengths[i], dim)).astype(np.float32) for i in item.indices]
        yield data.collate(rows, [np.random.default_rng(i) for i in item.indices], settings.masking)


def drawn_parts(settings: Settings, dim: int) -> data.Parts:
    """Parts of a corpus without utterances: the batches are drawn."""
    nothing, none = data.Batches([], lambda clip: np.zeros((0, dim), np.float32), settings, dim), np.zeros(0, int)
    return data.Parts(nothing, nothing, none, none)


def read_parts(settings: Settings, path: Path, root: Path, feature: Feature) -> data.Parts:
    return data.parts(manifest.read(path), settings, sources.FromAudio(root, feature), feature)


def measure(training: Pretraining, source: Iterator[data.Batch], steps: int, size: int, name: str) -> None:
    """Steps and products by turns, without the loader."""
    loop, config = training.loop, training.model.encoder.config
    work, spent, valid, padded, rates = 0.0, 0.0, 0, 0, []
    for turn in range(steps + 1):
        batch = next(source)
        start = time.perf_counter()
        loop.train_step(batch)
        end = time.perf_counter()
        if turn == 0:  # warms up
            continue
        work, spent = work + useful(batch.lengths, batch.hidden, config), spent + end - start
        valid, padded = valid + int(batch.lengths.sum()), padded + batch.x.shape[0] * batch.x.shape[1]
        rates.append(mm_rate(size))
    peak = float(np.median(rates))
    print(
        f"{name}: {work / spent / peak:.1%} of torch.mm ({work / spent / 1e9:.1f} of {peak / 1e9:.1f} GFLOP/s), "
        f"{valid / spent:.0f} valid frames/s, padding {1 - valid / padded:.1%}",
        flush=True,
    )


def waiting(training: Pretraining) -> None:
    training.loop.evaluate = None  # the steps alone
    training.loop.fit()
    timing, workers = training.loop.timing, training.settings.workers
    print(f"waiting for the loader ({workers} worker): {timing.waiting / timing.seconds:.1%} of the time", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", nargs="*", type=Path, help="manifest (utterances.csv) and folder of the corpus")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--small", action="store_true", help="tiny sizes: does it run?")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    config = Config(hidden=64, layers=1, heads=4, ffn=128) if arguments.small else Config()
    size, feature = (256 if arguments.small else 2048), Feature()
    settings = Settings(threads=arguments.threads, steps=arguments.steps + 1)

    def parts() -> data.Parts:
        if arguments.corpus:
            return read_parts(settings, *arguments.corpus, feature)
        return drawn_parts(settings, feature.dim)

    for rate in (0.0, 0.1):
        training = Pretraining(settings, dataclasses.replace(config, attention_dropout=rate), parts())
        source = iter(training.loop.plan(0, 0)) if arguments.corpus else drawn(settings, feature.dim)
        measure(training, source, arguments.steps, size, f"attention dropout {rate}")
    if arguments.corpus:
        waiting(Pretraining(settings, config, parts()))


if __name__ == "__main__":
    main()
