"""Adam, AdamW and SGD without the start of torch's compiler.

The classes of `torch.optim` import torch's compiler to exempt themselves from it. Nothing is compiled here, and the
import takes 40 % of the time in which a worker starts, which is longer than many a small training. These classes do
what those do (Adam calls the same function, `torch.optim.adam.adam` in its fused form), so they give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam

_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


class Optimiser:
    """What the optimisers share. `groups`: parameters, or groups as of `torch.optim`: dictionaries with ``params`` and
    values of their own in place of `defaults`. The state dict has the form of `torch.optim`.
    """

    def __init__(self, groups: Iterable[Tensor] | Iterable[Mapping[str, Any]], **defaults: Any) -> None:
        given: list[Any] = list(groups)
        if given and isinstance(given[0], Tensor):
            given = [{"params": given}]
        self.param_groups: list[dict[str, Any]] = [{**defaults, **g, "params": list(g["params"])} for g in given]
        self.state: dict[Tensor, dict[str, Tensor]] = {}

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients; `set_to_none` is always true."""
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None

    def step(self) -> None:
        """Moves the parameters that have a gradient."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Groups and moments, with numbers in place of parameters."""
        numbers = {p: i for i, p in enumerate(p for group in self.param_groups for p in group["params"])}
        groups = [{**group, "params": [numbers[p] for p in group["params"]]} for group in self.param_groups]
        return {"state": {numbers[p]: state for p, state in self.state.items()}, "param_groups": groups}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Continues from a state dict of the same groups."""
        for group, other in zip(self.param_groups, saved["param_groups"], strict=True):
            group |= {**other, "params": group["params"]}
        parameters = [p for group in self.param_groups for p in group["params"]]
        self.state = {
            parameters[i]: {name: value.to(parameters[i].device) for name, value in state.items()}
            for i, state in saved["state"].items()
        }


class Adam(Optimiser):
    """Adam (Kingma, Ba 2015), or with `decoupled` AdamW (Loshchilov, Hutter 2019)."""

    def __init__(
        self,
        groups: Iterable[Tensor] | Iterable[Mapping[str, Any]],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        decoupled: bool = False,
    ) -> None:
        super().__init__(groups, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)
        self.decoupled = decoupled

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            moving = [p for p in group["params"] if p.grad is not None]
            states = [self.state.setdefault(p, {}) for p in moving]
            for p, state in zip(moving, states, strict=True):
                if not state:
                    state |= {"exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)}
                    state["step"] = torch.zeros((), device=p.device)
            first, second, steps = ([state[name] for state in states] for name in _MOMENTS)
            adam(
                moving,
                [p.grad for p in moving],
                first,
                second,
                [],
                steps,
                foreach=False,
                fused=True,
                amsgrad=False,
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                lr=group["lr"],
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                maximize=False,
                decoupled_weight_decay=self.decoupled,
            )


class SGD(Optimiser):
    """Stochastic gradient descent without momentum."""

    def __init__(self, groups: Iterable[Tensor] | Iterable[Mapping[str, Any]], lr: float) -> None:
        super().__init__(groups, lr=lr)

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.add_(p.grad, alpha=-group["lr"])
