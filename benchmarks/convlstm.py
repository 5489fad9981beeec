"""The four blocks of CLSTM: time of a forward and backward pass, and time and memory of a batch of 64.

    python benchmarks/convlstm.py [--batch B] [--threads N] [--repeats N] [--other SRC] [--micro-batch N]

Speed: forward and backward of the blocks of the profile `lineage` on utterances of 4 s (8 segments). With ``--other``,
the folder ``src`` of another version of this repository, both versions run by turns, each in new processes that keep
freed memory alike. Memory: one step of the training on a batch of 64 (papers.md 6.5) through ``training.micro_batch``
in a process of its own, and its peak. The figures are CPU seconds, the least of the repeats.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import torch

SEGMENTS, SAMPLES, BATCH = 8, 8000, 64  # papers.md 6.1: RAVDESS, 4 s; 6.5
CLASSES = tuple("abcdefgh")


def blocks(batch: int) -> dict[str, float]:
    """CPU seconds of each block, on inputs of the size that the block before it gives."""
    from ser.models.clstm import Config, Model

    task = SimpleNamespace(kind="classification", outputs=CLASSES, inputs={"x": SAMPLES}, levels={"x": "frame"})
    model, seconds = Model(Config(), task), {}  # type: ignore[arg-type]
    inputs, positions = 1, SAMPLES
    for number, block in enumerate(model.blocks, 1):
        x = torch.randn(SEGMENTS * batch, inputs, positions, requires_grad=number > 1)
        for turn in range(2):  # the first warms up
            start = time.process_time()
            block(x, [batch] * SEGMENTS).sum().backward()
            if turn:
                seconds[f"block {number}"] = time.process_time() - start
        inputs, positions = block.outputs, block.positions
    return seconds


def step(micro_batch: int) -> dict[str, float]:
    """CPU seconds and peak GiB of a training step on a batch of 64, by the training loop of the project."""
    import numpy as np
    from _common import peak

    from ser.core.recipe import Training
    from ser.core.store import Store, Writer
    from ser.core.tasks import Examples, Task
    from ser.models.clstm import Config, Model
    from ser.training.trainer import Trainer

    names, generator = tuple(f"u{i:02}" for i in range(BATCH)), np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        with Writer(Path(folder) / "x", SAMPLES, "float32", {"level": "frame"}) as writer:
            for name in names:
                writer.append(name, generator.normal(size=(SEGMENTS, SAMPLES)).astype(np.float32))
        examples = Examples(names, names, {"x": Store(Path(folder) / "x")}, (), np.arange(BATCH) % len(CLASSES))
        model = Model(Config(), Task("classification", CLASSES, {"x": SAMPLES}, {"x": "frame"}))
        training = Training(steps=1, batch=BATCH, micro_batch=micro_batch, frames=SEGMENTS, clip=5.0)
        trainer = Trainer(model, training, selection="last", seed=1, device="cpu", bfloat16=False)
        before, start = peak(), time.process_time()
        trainer.fit(examples, None)
        return {"seconds": time.process_time() - start, "before": before, "peak": peak()}


def child(source: str | None, *words: object) -> dict[str, float]:
    """What a new process of this script prints; `source`: the folder in which it finds `ser`, or None for ours."""
    environment = {**os.environ, "PYTHONPATH": source} if source else dict(os.environ)
    command = [sys.executable, __file__, "--child", *map(str, words)]
    return json.loads(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout)


def main() -> None:
    from _common import keep_memory

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--other", metavar="SRC", help="the folder src of another version, to compare with")
    parser.add_argument("--micro-batch", type=int, default=8, help="0: leave the batch of 64 out")
    parser.add_argument("--child", choices=("blocks", "step"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        torch.manual_seed(0)
        torch.set_num_threads(arguments.threads)
        keep_memory()
        print(json.dumps(blocks(arguments.batch) if arguments.child == "blocks" else step(arguments.micro_batch)))
        return
    sides = {"this version": None} | ({"the other version": arguments.other} if arguments.other else {})
    best: dict[str, dict[str, float]] = {name: {} for name in sides}
    for _ in range(arguments.repeats):
        for name, source in sides.items():
            found = child(source, "blocks", "--batch", arguments.batch, "--threads", arguments.threads)
            best[name] = {block: min(s, best[name].get(block, s)) for block, s in found.items()}
    for name, seconds in best.items():
        each = ", ".join(f"{block} {s:.2f}" for block, s in seconds.items())
        print(f"{name}, batch {arguments.batch}: {sum(seconds.values()):.2f} s of CPU ({each})", flush=True)
    if arguments.micro_batch:
        found = child(None, "step", "--threads", arguments.threads, "--micro-batch", arguments.micro_batch)
        print(
            f"a batch of {BATCH} in micro-batches of {arguments.micro_batch}: {found['seconds']:.1f} s of CPU, peak "
            f"{found['peak']:.2f} GiB, of which {found['before']:.2f} before the step"
        )


if __name__ == "__main__":
    main()
