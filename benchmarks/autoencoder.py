"""A training step of the autoencoder on a CPU or a GPU: useful FLOP/s against the machine's own matrix product.

    python benchmarks/autoencoder.py [--steps N] [--threads N] [--hidden H ...] [--device cpu|cuda]

Paper size (papers.md 5), batches of 32 crops of 128 frames, float32, on CUDA bfloat16 autocast. Useful are the
multiply-adds of convolutions, linear layers and recurrent products, once forward and twice backward (once for the conv
bank, whose input needs no gradient); everything else counts as nothing. The rate of `torch.mm` is measured between the
steps, so that both meet the same load of the machine. Wall seconds, medians.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from ser.core.tasks import Batch, Task
from ser.models.emotion_autoencoder import FUNCTIONALS, Config, Model

BINS, FRAMES, CLASSES = 513, 128, 7
SIZES = {"logmag": BINS, "functionals": FUNCTIONALS["table"]}
LEVELS = {"logmag": "frame", "functionals": "utterance"}


def drawn(crops: int, device: str) -> Batch:
    """A random batch."""
    inputs = {"logmag": torch.rand(crops, FRAMES, BINS, device=device)}
    inputs["functionals"] = torch.randn(crops, SIZES["functionals"], device=device)
    lengths = {"logmag": torch.full((crops,), FRAMES, device=device)}
    return Batch(inputs, lengths, torch.randint(CLASSES, (crops,), device=device))


def flops(model: Model, batch: Batch) -> float:
    """Useful floating-point operations of one training step."""
    total = 0.0
    bank = set(model.encoder.bank.modules())

    def count(layer: nn.Module, _: object, out: torch.Tensor | tuple) -> None:
        nonlocal total
        x = out[0] if isinstance(out, tuple) else out
        rows = x.numel() // x.shape[1 if isinstance(layer, nn.Conv1d) else -1]
        weights = sum(p.numel() for name, p in layer.named_parameters() if "bias" not in name)
        total += 2 * rows * weights * (2 if layer in bank else 3)

    kinds = (nn.Linear, nn.GRU, nn.Conv1d, nn.MultiheadAttention)
    hooks = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, kinds)]
    model.train()(batch)
    for hook in hooks:
        hook.remove()
    return total


def timed(function: Callable[[], object], device: str) -> float:
    """Wall seconds of one call."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    function()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def measure(config: Config, crops: int, device: str, steps: int) -> None:
    """Steps and products by turns; prints one line."""
    torch.manual_seed(0)
    model = Model(config, Task("classification", tuple("abcdefg"), SIZES, LEVELS)).to(device)
    model.functionals.factor.fill_(1.0)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)  # as in training
    batch = drawn(crops, device)
    work = flops(model, batch)
    low = torch.bfloat16 if device == "cuda" else torch.float32
    n = 8192 if device == "cuda" else 2048
    a, b = (torch.randn(n, n, device=device, dtype=low) for _ in range(2))

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            loss = sum(model.loss(model(batch), batch).values())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()

    seconds: list[list[float]] = [[], []]
    for turn in range(steps + 1):
        for function, found in zip((step, lambda: torch.mm(a, b)), seconds, strict=True):
            spent = timed(function, device)
            if turn:  # the first warms up
                found.append(spent)
    whole, product = (float(np.median(found)) for found in seconds)
    rate, best = work / whole / 1e9, 2 * n**3 / product / 1e9
    parameters = sum(p.numel() for p in model.parameters()) / 1e6
    print(
        f"hidden {config.hidden}, {parameters:.1f} M parameters: {whole * 1e3:.1f} ms per step of {crops} crops "
        f"({crops / whole:.0f} crops/s), {rate / best:.1%} of torch.mm ({rate:.1f} of {best:.1f} GFLOP/s)",
        flush=True,
    )


def main() -> None:
    from _common import keep_memory

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32, help="crops per step")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--hidden", type=int, nargs="*", default=[512], help="widths; the other sizes follow")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_memory()
    for hidden in arguments.hidden:
        sizes = {"bank_channels": hidden // 4, "encoder_gru": hidden // 4, "decoder_gru": hidden // 2}
        config = Config(hidden=hidden, dense=(hidden * 2, hidden, hidden // 4), **sizes)
        measure(config, arguments.batch, arguments.device, arguments.steps)


if __name__ == "__main__":
    main()
