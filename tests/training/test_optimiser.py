"""Our optimiser against the classes of torch: the same bytes, the same state, and no compiler."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from ser.training.optimiser import SGD, Adam

KINDS = {"adam": (torch.optim.Adam, False), "adamw": (torch.optim.AdamW, True)}


def weights() -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(1)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((5, 3), (7,), (2, 2))]


def groups(own: list[torch.nn.Parameter]) -> list[dict]:
    return [{"params": own[:1], "weight_decay": 0.0, "lr": 0.03}, {"params": own[1:]}]


def train(optimiser, own: list[torch.nn.Parameter], first: int, last: int) -> None:
    for step in range(first, last):
        optimiser.zero_grad(set_to_none=True)
        used = own if step % 3 else own[:2]  # a parameter without a gradient stays where it is
        sum((p * (p + step)).sin().sum() for p in used).backward()
        optimiser.param_groups[1]["lr"] = 0.01 / (1 + step)
        optimiser.step()


@pytest.mark.parametrize("kind", KINDS)
def test_it_gives_the_bytes_of_torch(kind):
    theirs, decoupled = KINDS[kind]
    own, other = weights(), weights()
    options = {"lr": 0.01, "betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 0.1}
    train(Adam(groups(own), **options, decoupled=decoupled), own, 0, 20)
    train(theirs(groups(other), **options, fused=True), other, 0, 20)
    assert all(torch.equal(a, b) for a, b in zip(own, other, strict=True))


def test_so_does_gradient_descent():
    own, other = weights(), weights()
    for kind, parameters in ((SGD, own), (torch.optim.SGD, other)):
        optimiser = kind([{"params": parameters[:1], "lr": 0.03}, {"params": parameters[1:]}], lr=0.01)
        train(optimiser, parameters, 0, 20)
    assert all(torch.equal(a, b) for a, b in zip(own, other, strict=True))


@pytest.mark.parametrize("continues", ["ours", "theirs"])
def test_its_state_can_be_continued_by_either(continues):
    whole, own = weights(), weights()
    train(Adam(groups(whole), 0.01), whole, 0, 12)
    first = Adam(groups(own), 0.01)
    train(first, own, 0, 7)
    state = first.state_dict()
    assert state["param_groups"][1]["params"] == [1, 2]
    second = Adam(groups(own), 0.5) if continues == "ours" else torch.optim.Adam(groups(own), 0.5, fused=True)
    if continues == "theirs":  # torch wants every key of its own in the groups
        state["param_groups"] = [
            {**theirs, **ours}
            for theirs, ours in zip(second.state_dict()["param_groups"], state["param_groups"], strict=True)
        ]
    second.load_state_dict(state)
    train(second, own, 7, 12)
    assert all(torch.equal(a, b) for a, b in zip(own, whole, strict=True))


def test_a_step_does_not_import_the_compiler_of_torch():
    code = """
import sys, torch
from ser.core.compute import deterministic
from ser.training.optimiser import SGD, Adam
deterministic()
p = torch.nn.Parameter(torch.ones(2))
for optimiser in (Adam([p], 0.1), SGD([p], 0.1)):
    p.sum().backward()
    torch.nn.utils.clip_grad_norm_([p], 1.0)
    optimiser.step()
assert torch.are_deterministic_algorithms_enabled()
sys.exit("torch._dynamo" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
