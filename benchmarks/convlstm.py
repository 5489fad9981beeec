"""The ConvLSTM of CLSTM against the plain loop over gates and steps; memory of a training step; on CUDA its rate.

    python benchmarks/convlstm.py [--batch B] [--threads N] [--repeats N] [--profile lineage|compact] [--memory-batch B]

Forward and backward of the ConvLSTM of each block on utterances of 4 s (8 segments), both sides by turns in one
process, the least of the repeats, in wall and in processor seconds. The reference is what the equations say: eight
convolutions a step, gates by torch's sigmoid and tanh, autograd. Memory is the peak of a process of its own that
takes two training steps. Letters: B utterances, T segments, I input channels, C channels, L positions.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from ser.models.clstm import Config, Model
from ser.models.parts.convlstm import ConvLSTM
from ser.tasks import Batch, Task

T, SAMPLES = 8, 8000  # papers.md 6.1: RAVDESS, 4 s
TASK = Task("classification", tuple("abcdefgh"), {"waveform": SAMPLES}, {"waveform": "frame"})


def reference(x: Tensor, layer: ConvLSTM) -> Tensor:
    """(T, B, I, L) -> (T, B, C, L), papers.md 6.2 as it stands."""
    w_x, w_h = layer.input_weight.unflatten(0, (4, -1)), layer.state_weight.unflatten(0, (4, -1))
    h = c = x.new_zeros(x.shape[1], w_h.shape[1], x.shape[3])
    assert layer.peephole is not None
    w_ic, w_fc, w_oc = layer.peephole
    states = []
    for segment in x:

        def gate(k: int, segment: Tensor = segment, h: Tensor = h) -> Tensor:
            own = functional.conv1d(segment, w_x[k], layer.bias[k], padding="same")
            return own + functional.conv1d(h, w_h[k], padding="same")

        i = torch.sigmoid(gate(0) + w_ic * c)
        f = torch.sigmoid(gate(1) + w_fc * c)
        c = f * c + i * torch.tanh(gate(2))
        o = torch.sigmoid(gate(3) + w_oc * c)
        h = o * torch.tanh(c)
        states.append(h)
    return torch.stack(states)


def timed(run: Callable[[], Tensor], leaves: list[Tensor]) -> tuple[float, float, list[Tensor]]:
    """Wall seconds, processor seconds, and states with their gradients in `leaves`."""
    wall, processor = time.perf_counter(), time.process_time()
    out = run()
    gradients = torch.autograd.grad(out, leaves, torch.ones_like(out))
    return time.perf_counter() - wall, time.process_time() - processor, [out.detach(), *gradients]


def speed(config: Config, batch: int, repeats: int) -> None:
    model = Model(config, TASK)
    totals = {"reference": [0.0, 0.0], "own": [0.0, 0.0]}
    inputs, positions = 1, SAMPLES
    for number, block in enumerate(model.blocks, 1):
        layer = block.convlstm
        torch.nn.init.normal_(layer.peephole, std=0.1)
        x = torch.randn(T, batch, inputs, positions)
        leaves = list(layer.parameters())
        if number > 1:  # the waveform needs no gradient
            leaves.append(x.requires_grad_())
        sides = {
            "reference": lambda x=x, layer=layer: reference(x, layer),
            "own": lambda x=x, layer=layer: layer(x.flatten(0, 1), [batch] * T).unflatten(0, (T, batch)),
        }
        best, results = {name: [float("inf")] * 2 for name in sides}, {}
        for _ in range(repeats):
            for name, run in sides.items():
                *seconds, results[name] = timed(run, leaves)
                best[name] = [min(a, b) for a, b in zip(best[name], seconds, strict=True)]
        state, gradient = differences(results["own"], results["reference"])
        for name, total in totals.items():
            total[:] = [a + b for a, b in zip(total, best[name], strict=True)]
        report(f"block {number} ({inputs} -> {layer.bias.shape[1]} channels, {positions} positions)", best)
        print(f"    largest difference: states {state:.1e}, gradients {gradient:.1e} of the largest", flush=True)
        inputs, positions = block.outputs, block.positions
        del x, leaves, sides, results
    report("all four blocks", totals)


def differences(own: list[Tensor], theirs: list[Tensor]) -> tuple[float, float]:
    state, *gradients = [(a - b).abs().max().item() for a, b in zip(own, theirs, strict=True)]
    scales = [b.abs().max().item() for b in theirs[1:]]
    return state, max(g / s for g, s in zip(gradients, scales, strict=True))


def report(what: str, seconds: dict[str, list[float]]) -> None:
    (wall, processor), (own_wall, own_processor) = seconds["reference"], seconds["own"]
    print(
        f"{what}: reference {wall:.2f} s, own {own_wall:.2f} s, {wall / own_wall:.2f} x; "
        f"processor {processor:.2f} and {own_processor:.2f} s, {processor / own_processor:.2f} x",
        flush=True,
    )


def training_step(model: Model, batch: int, device: str) -> Callable[[], None]:
    optimiser = torch.optim.Adam(model.parameters(), 1e-4)
    labels = torch.randint(len(TASK.outputs), (batch,), device=device)
    x = torch.randn(batch, T, SAMPLES, device=device)
    data = Batch({"waveform": x}, {"waveform": torch.full((batch,), T)}, labels)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        torch.stack(list(model.loss(model(data), data).values())).sum().backward()
        optimiser.step()

    return step


def memory_child(config: Config, batch: int) -> None:
    """Prints the peak resident GiB before and after two steps."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step = training_step(Model(config, TASK), batch, "cpu")
    step()
    step()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps([before / 2**20, after / 2**20]))


def memory(profile: str, batch: int, threads: int) -> None:
    words = ["--profile", profile, "--threads", str(threads), "--memory-batch", str(batch), "--child"]
    child = subprocess.run([sys.executable, __file__, *words], check=True, capture_output=True, text=True)
    before, after = json.loads(child.stdout)
    print(f"training step, {profile}, batch {batch}: peak {after:.2f} GiB, of which {before:.2f} before the model")


def plain(model: Model) -> None:
    """Puts the compiled reference in the place of each block's ConvLSTM; every utterance must have T segments."""
    for block in model.blocks:

        def forward(x: Tensor, sizes: list[int], layer: ConvLSTM = block.convlstm) -> Tensor:
            return reference(x.unflatten(0, (len(sizes), -1)), layer).flatten(0, 1)

        block.convlstm.forward = torch.compile(forward)


def around(model: Model) -> None:
    for block in model.blocks:
        block.compile()


def cuda(config: Config, batch: int) -> None:
    """Training steps: as they are, with torch.compile around the cell, and with the plain loop compiled."""
    sides = {"own": lambda model: None, "own, torch.compile around it": around, "plain loop, torch.compile": plain}
    for name, prepare in sides.items():
        model = Model(config, TASK).cuda()
        prepare(model)
        step = training_step(model, batch, "cuda")
        for _ in range(3):
            step()
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        for _ in range(10):
            step()
        torch.cuda.synchronize()
        rate = 10 * batch / (time.perf_counter() - start)
        peak = torch.cuda.max_memory_allocated() / 2**30
        print(f"CUDA, {name}: {rate:.0f} utterances/s, peak {peak:.2f} GiB", flush=True)
        del model, step
        torch.cuda.empty_cache()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--profile", choices=["lineage", "compact"], default="lineage")
    parser.add_argument("--memory-batch", type=int, default=64, help="0: leave the memory out")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(arguments.threads)
    config = Config(channels=arguments.profile)
    if arguments.child:
        memory_child(config, arguments.memory_batch)
        return
    print(f"{arguments.profile}, batch {arguments.batch}, {arguments.threads} threads, float32")
    speed(config, arguments.batch, arguments.repeats)
    if arguments.memory_batch:
        memory(arguments.profile, arguments.memory_batch, arguments.threads)
    if torch.cuda.is_available():
        cuda(config, arguments.memory_batch or arguments.batch)


if __name__ == "__main__":
    main()
