"""Adversarial epoch, CSLS and Procrustes at paper size: wall time, peak memory, and what Procrustes recovers.

    python benchmarks/alignment.py [--steps N] [--words N] [--threads N] [--device cpu|cuda] [--small]

An epoch is 31 250 map steps of 32 + 32 words (1 M samples), each with five steps of the discriminator (d = 100, width
2 048). `--steps` map steps are timed and the epoch reckoned from them; `--steps 31250` runs a whole one. Each part runs
in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import torch

from ser.words import adversary, alignment, csls, diagnostics, vectors
from ser.words.settings import Alignment

PARTS = ("nothing", "adversarial", "csls", "procrustes")


def rows(n: int, d: int, seed: int) -> np.ndarray:
    return vectors.unit(np.random.default_rng(seed).normal(size=(n, d))).astype(np.float32)


def adversarial(options: argparse.Namespace) -> str:
    """One epoch, or a part of it; batches drawn, criterion left out (CSLS is a part of its own)."""
    steps = options.steps
    settings = Alignment(samples=32 * steps)
    if options.small:
        settings = replace(settings, hidden=16)
    n = min(options.words, 5000)
    x, y = (torch.from_numpy(rows(n, 100, seed)).to(options.device) for seed in (0, 1))
    game = adversary.Game(x, y, settings, None)
    game._judge_epoch = lambda losses: None  # type: ignore[method-assign]  # the steps alone
    start = time.perf_counter()
    game.epoch()
    if options.device != "cpu":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    whole = seconds / steps * 1_000_000 / settings.batch
    return f"{steps} map steps in {seconds:.1f} s, an epoch of 1 M samples {whole / 60:.1f} min"


def neighbours(options: argparse.Namespace) -> str:
    x, y = (torch.from_numpy(rows(options.words, 100, seed)).to(options.device) for seed in (0, 1))
    start = time.perf_counter()
    found = csls.nearest(x, y, 1, 10).columns.cpu()
    return f"CSLS of {len(found)} x {len(y)} words in {time.perf_counter() - start:.2f} s"


def procrustes(options: argparse.Namespace) -> str:
    n, d = options.words, 100
    text = np.random.default_rng(0).normal(size=(n, d))
    q = np.linalg.qr(np.random.default_rng(1).normal(size=(d, d)))[0]
    start = time.perf_counter()
    w = alignment.procrustes(text @ q, text)
    seconds, off = time.perf_counter() - start, np.abs(w - q).max()
    noise = np.random.default_rng(2).normal(size=(n, d))
    speech = text @ q + 0.1 * np.linalg.norm(text, axis=1, keepdims=True) / np.sqrt(d) * noise
    mapped = speech @ alignment.procrustes(speech[: n // 2], text[: n // 2]).T
    held_out = np.stack([np.arange(n // 2, n)] * 2, 1)
    found = diagnostics.translation(mapped.astype(np.float32), text.astype(np.float32), held_out)
    return (
        f"Procrustes on {n} clean words in {seconds:.2f} s, off the planted rotation by {off:.1e}; "
        f"with 10 % noise precision@1 {found['precision@1']:.4f} on {found['words']} other words"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--words", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--small", action="store_true", help="tiny sizes: does it run?")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part is None:
        for part in PARTS:
            subprocess.run([sys.executable, *sys.argv, "--part", part], check=True)
        return
    torch.set_num_threads(options.threads)
    if options.small:
        options.steps, options.words = min(options.steps, 3), min(options.words, 200)
    work = {"nothing": lambda o: "imports alone", "adversarial": adversarial, "csls": neighbours}
    line = {**work, "procrustes": procrustes}[options.part](options)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20)
    print(f"{line}; peak {peak:.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
