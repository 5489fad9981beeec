"""What one utterance and one step of pretraining cost: the units behind the estimates in docs/gpu_and_clusters.md.

    OMP_NUM_THREADS=1 python benchmarks/units.py [--small]

CPU seconds with one thread, on noise of three seconds at 16 kHz. CPU time and not wall time, because a busy machine
stretches the latter at random.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from pretraining import drawn, drawn_parts
from ser.core.recipe import Training
from ser.core.store import Store, Writer
from ser.core.tasks import Batch, Examples, Task
from ser.features import functionals, logmel, ssl
from ser.models import cnns, svm
from ser.models.layers.mockingjay import Config
from ser.pretraining.encoder import Pretraining
from ser.pretraining.settings import Settings

SECONDS = 3
FRAMES = 384  # of the CNN: three seconds, padded to a multiple of its 128


def cost(what: str, work: Callable[[], object], units: int, repeats: int) -> None:
    """Prints the least CPU time of a unit; the first run warms up."""
    found = []
    for _ in range(repeats + 1):
        start = time.process_time()
        work()
        found.append((time.process_time() - start) / units)
    print(f"{what}: {min(found[1:]):.4g} CPU seconds", flush=True)


def features(repeats: int, small: bool) -> None:
    signal = np.random.default_rng(0).normal(0, 0.1, SECONDS * 16000).astype(np.float32)
    for name, feature in (("logmel", logmel.Feature()), ("functionals is10", functionals.Feature(set="is10"))):
        cost(f"{name}, an utterance", lambda feature=feature: feature.extract(signal, 16000), 1, repeats)
    bundle = ssl.TINY if small else "WAV2VEC2_BASE"
    encoder = ssl._architecture(bundle).eval()  # random weights cost as much as published ones
    x = torch.from_numpy(signal)[None]
    with torch.inference_mode():
        cost(f"ssl {bundle}, an utterance", lambda: encoder.extract_features(x), 1, repeats)


def network(repeats: int, small: bool) -> None:
    """A training step of the paper's CNN on a batch of 16."""
    batch = 2 if small else 16
    model = cnns.Model(cnns.Config(), Task("classification", tuple("abcdefg"), {"x": 160}, {"x": "frame"}))
    optimiser = torch.optim.Adam(model.parameters(), lr=Training(epochs=1, batch=batch, lr=0.001).lr)
    x = torch.randn(batch, FRAMES, 160)
    given = Batch({"x": x}, {"x": torch.full((batch,), FRAMES)}, torch.arange(batch) % 7)

    def step() -> None:
        optimiser.zero_grad()
        model.loss(model(given), given).backward()
        optimiser.step()

    cost("cnns, an utterance of an epoch", step, batch, repeats)


def support_vectors(sizes: tuple[int, ...]) -> None:
    """The choice of C and the last fit, on as many utterances of 50 speakers."""
    task = Task("classification", tuple("abcdefg"), {"x": 1582}, {"x": "utterance"})
    generator = np.random.default_rng(0)
    for size in sizes:
        labels, names = generator.integers(0, 7, size), tuple(map(str, range(size)))
        with tempfile.TemporaryDirectory() as folder:
            with Writer(Path(folder) / "x", 1582, "float32", {"level": "utterance"}) as writer:
                for name, label in zip(names, labels, strict=True):
                    writer.append(name, generator.normal(0.1 * label, 1, 1582))
            stores = {"x": Store(Path(folder) / "x")}
            train = Examples(names, tuple(str(k % 50) for k in range(size)), stores, (), labels)
            model = svm.Model(svm.Config(), task, 1)
            cost(f"svm, a fold with {size} utterances for training", partial(model.fit, train, None), 1, 1)


def pretraining(steps: int, small: bool) -> None:
    settings = Settings(threads=1, steps=2 * steps)
    config = Config(hidden=64, layers=1, heads=4, ffn=128) if small else Config()
    training = Pretraining(settings, config, drawn_parts(settings, 160))
    batches = drawn(settings, 160)

    def some() -> None:  # batches differ in length
        for _ in range(steps):
            training.loop.train_step(next(batches))

    cost("pretraining at the paper's size, a step", some, steps, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="tiny sizes: does it run?")
    small = parser.parse_args().small
    torch.set_num_threads(1)
    features(1 if small else 5, small)
    network(1 if small else 5, small)
    support_vectors((60,) if small else (500, 1000, 2000))
    pretraining(1 if small else 12, small)


if __name__ == "__main__":
    main()
