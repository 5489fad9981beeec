"""The pretraining step against the same encoder built from `transformers.BertModel`, valid frames a second.

    pip install transformers; python benchmarks/pretraining_bert.py [--steps N] [--threads N] [--small]

Both train the paper's encoder (768, 3 layers, 12 heads) with the same head on utterances of the same drawn lengths,
float32, on a CPU. The comparison does what a script around `BertModel` does: eager attention with dropout, batches of 8
utterances at random, padded on the right to the longest. Ours: batches by length, attention on valid frames, head on
the masked frames. Both run by turns, each in a process of its own. Target: at least 4 times.
"""

from __future__ import annotations

import argparse
import dataclasses
import subprocess
import sys
import time

import numpy as np
import torch
from torch import nn

from pretraining import drawn
from ser.models.layers import mockingjay
from ser.pretraining import data
from ser.pretraining.loop import Loop, Pretrainer, Processes
from ser.pretraining.settings import Settings
from ser.training import memory


class Bert(nn.Module):
    """BertModel on projected frames; the same input block and head."""

    def __init__(self, config: mockingjay.Config) -> None:
        from transformers import BertConfig, BertModel

        super().__init__()
        self.project = nn.Linear(config.input, config.hidden)
        self.bert = BertModel(
            BertConfig(
                hidden_size=config.hidden,
                num_hidden_layers=config.layers,
                num_attention_heads=config.heads,
                intermediate_size=config.ffn,
                max_position_embeddings=4096,
                attn_implementation="eager",
            ),
            add_pooling_layer=False,
        )
        self.head = mockingjay.Head(config)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        there = (torch.arange(x.shape[1]) < lengths[:, None]).long()
        return self.head(self.bert(inputs_embeds=self.project(x), attention_mask=there).last_hidden_state)


def lengths(generator: np.random.Generator, n: int) -> np.ndarray:
    """As `benchmarks.pretraining.drawn`: most between 12 and 16 s."""
    return np.clip(generator.triangular(200, 1600, 1650, n), 200, 1650).astype(int)


def bert_step(model: Bert, optimiser: torch.optim.Optimizer, generator: np.random.Generator, dim: int) -> int:
    """One step on 8 random utterances; returns their valid frames."""
    own = torch.tensor(lengths(generator, 8))
    x = torch.randn(8, int(own.max()), dim)
    hidden = (torch.rand(x.shape[:2]) < 0.15) & (torch.arange(x.shape[1]) < own[:, None])
    predicted = model(x.masked_fill(hidden[..., None], 0.0), own)
    loss = (predicted[hidden] - x[hidden]).abs().mean()
    optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    return int(own.sum())


def rate(of: str, arguments: argparse.Namespace) -> float:
    """Valid frames a second of `ours` or of `bert`; the first step warms up."""
    torch.set_num_threads(arguments.threads)
    config = mockingjay.Config()
    if arguments.small:
        config = dataclasses.replace(config, hidden=64, layers=1, heads=4, ffn=128)
    settings = Settings(threads=arguments.threads, batch=8, halve_above=10**6)
    source, generator = drawn(settings, config.input), np.random.default_rng(0)
    if of == "ours":
        memory.keep()  # as `ser.pretraining.run.pretrain` does
        loop = Loop(Pretrainer(config), settings, Processes(), lambda first: source, lambda: ())
    else:
        model = Bert(config).train()
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4)
    frames, start = 0, 0.0
    for turn in range(arguments.steps + 1):
        if turn == 1:
            frames, start = 0, time.perf_counter()
        if of == "ours":
            batch: data.Batch = next(source)
            loop._step(loop.model, batch)
            frames += int(batch.lengths.sum())
        else:
            frames += bert_step(model, optimiser, generator, config.input)
    return frames / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--small", action="store_true", help="tiny sizes: does it run?")
    parser.add_argument("--one", choices=("ours", "bert"), help="only this one, as a bare number")
    arguments = parser.parse_args()
    if arguments.one:
        print(rate(arguments.one, arguments))
        return
    rates: dict[str, list[float]] = {"ours": [], "bert": []}
    for of in ("ours", "bert", "bert", "ours"):  # by turns, each in a process of its own
        command = [sys.executable, *sys.argv, "--one", of]
        rates[of].append(float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout))
    ours, theirs = (sum(r) / len(r) for r in rates.values())
    print(
        f"valid frames/s: ours {ours:.0f}, transformers.BertModel {theirs:.0f}, ratio {ours / theirs:.1f} "
        "(target: at least 4)"
    )


if __name__ == "__main__":
    main()
