"""The autoencoder's training step on a CPU or a GPU: useful FLOP/s against the machine's own matrix product.

    python benchmarks/autoencoder.py [--steps N] [--threads N] [--hidden H ...]

Paper size (papers.md 5), batches of 32 crops of 128 frames, float32, bfloat16 autocast with --device cuda. Useful are
the multiply-adds of convolutions, linear layers and recurrent products, once forward and twice backward (once for the
layers on the input, which needs no gradient); norms, activations, dropout, attention weights, the clipping and the
optimiser count as nothing. The rate of `torch.mm` is measured between the steps, so that both see the same machine.
The conv bank: its share of a whole step's time against its share of the FLOPs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from ser.models.emotion_autoencoder import Bank, Config, Convolution, Model
from ser.tasks import Batch, Task

BINS, FRAMES, CLASSES = 513, 128, 7
SIZES = {"logmag": BINS, "is09": 384, "is10": 1582}
LEVELS = {"logmag": "frame", "is09": "utterance", "is10": "utterance"}


def drawn(crops: int, device: str) -> Batch:
    inputs = {"logmag": torch.rand(crops, FRAMES, BINS, device=device)}
    inputs |= {n: torch.randn(crops, SIZES[n], device=device) for n in ("is09", "is10")}
    return Batch(
        inputs,
        {"logmag": torch.full((crops,), FRAMES, device=device)},
        torch.randint(CLASSES, (crops,), device=device),
    )


def multiply_adds(model: Model, batch: Batch) -> tuple[float, float]:
    """Of one forward pass: of all layers, and of those on the input."""
    total = first = 0.0
    rows: list[tuple[nn.Module, int]] = []  # layer, rows it is applied to

    def count(layer: nn.Module, _: object, out: torch.Tensor | tuple) -> None:
        x = out[0] if isinstance(out, tuple) else out
        rows.append((layer, x.numel() // x.shape[-1]))

    # the branches of the bank are called without their padding, so they are counted by the bank
    kinds = (nn.Linear, nn.GRU, Convolution, Bank, nn.MultiheadAttention)
    hooks = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, kinds)]
    model.train()
    model(batch)
    for hook in hooks:
        hook.remove()
    for layer, n in rows:
        weights = sum(p.numel() for name, p in layer.named_parameters() if "bias" not in name)
        total += n * weights
        first += n * weights * isinstance(layer, Bank)
    return total, first


def timed(function: Callable[[], object], device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    function()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def measure(config: Config, arguments: argparse.Namespace) -> None:
    """Steps, banks alone and products by turns."""
    device, crops = arguments.device, arguments.batch
    torch.manual_seed(0)
    model = Model(config, Task("classification", tuple("abcdefg"), SIZES, LEVELS)).to(device)
    model.functionals.factor.fill_(1.0)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)  # as the loop does
    batch = drawn(crops, device)
    total, first = multiply_adds(model, batch)
    work, bank_work = 2 * (3 * total - first), 2 * 2 * first
    low = torch.bfloat16 if device == "cuda" else torch.float32
    n = 8192 if device == "cuda" else 2048
    a, b = (torch.randn(n, n, device=device, dtype=low) for _ in range(2))
    bank, x = model.encoder.bank, batch.inputs["logmag"]
    branches = len(bank.branches) * config.bank_channels
    gradient = torch.randn(crops, FRAMES, branches, device=device)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            loss = sum(model.loss(model(batch), batch).values())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()

    def bank_alone() -> None:
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            out = bank(x)[..., :branches]
        out.backward(gradient.to(out.dtype))

    turns = [(step, []), (bank_alone, []), (lambda: torch.mm(a, b), [])]
    for turn in range(arguments.steps + 1):
        for function, seconds in turns:
            spent = timed(function, device)
            if turn:  # the first warms up
                seconds.append(spent)
    whole, bank_time, product = (float(np.median(seconds)) for _, seconds in turns)
    peak = 2 * n**3 / product
    share, fair = bank_time / whole, bank_work / work
    parameters = sum(p.numel() for p in model.parameters())
    print(
        f"hidden {config.hidden}, {parameters / 1e6:.1f} M parameters: {whole * 1e3:.1f} ms a step of {crops} crops "
        f"({crops / whole:.0f} crops/s), {work / 1e9:.0f} GFLOP, {work / whole / peak:.1%} of torch.mm "
        f"({work / whole / 1e9:.1f} of {peak / 1e9:.1f} GFLOP/s)\n"
        f"  bank: {bank_time * 1e3:.1f} ms, {share:.1%} of the step for {fair:.1%} of its FLOPs: {share / fair:.2f} x",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32, help="crops a step")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--hidden", type=int, nargs="*", default=[512], help="widths; the others go with them")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for hidden in arguments.hidden:
        sizes = {"bank_channels": hidden // 4, "encoder_gru": hidden // 4, "decoder_gru": hidden // 2}
        dense = (hidden * 2, hidden, hidden // 4)
        measure(Config(hidden=hidden, dense=dense, **sizes), arguments)


if __name__ == "__main__":
    main()
