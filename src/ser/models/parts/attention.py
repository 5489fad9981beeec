"""Attention with key padding and dropout of the attention weights, fast on a CPU too.

torch's `scaled_dot_product_attention` has a fused CPU kernel, but with dropout it falls back to one that keeps every
(T, T) matrix and draws each element's fate alone: for 12 s of speech that costs more than the rest of the layer. The
function here goes head by head, so that a matrix stays in the cache, draws 16 bits an element, and keeps the seed of
the draws in place of the matrices. It is used where the fused kernel is missing: CPU, training, dropout above 0.

Letters: B utterances, A heads, T frames, L valid frames, D columns of a head.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

_LEVELS = 2**16  # of the draws: the probability of dropping is exact to 1 / 65536


def attention(q: Tensor, k: Tensor, v: Tensor, lengths: Tensor | None, dropout: float) -> Tensor:
    """softmax(q k' / sqrt(D)) v, each (B, A, T, D). Keys after `lengths` (B,) get weight 0; results of queries there
    are void. `dropout` is the probability that a weight is dropped: 0 outside training."""
    if dropout and q.device.type == "cpu" and q.dtype in (torch.float32, torch.float64):
        valid = [q.shape[2]] * len(q) if lengths is None else lengths.tolist()
        return _Dropped.apply(q, k, v, valid, dropout, int(torch.randint(2**62, ())))
    keys = None
    if lengths is not None:
        keys = (torch.arange(q.shape[2], device=q.device) < lengths[:, None])[:, None, None]  # (B, 1, 1, T)
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=keys, dropout_p=dropout)


class _Dropped(torch.autograd.Function):
    """O = (P * M) V with P = softmax(Q K' / sqrt(D)) and M = keep / (1 - dropout); P and M are computed again in the
    backward pass."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, valid: list[int], dropout: float, seed: int) -> Tensor:
        out = torch.zeros_like(v, memory_format=torch.contiguous_format)
        for b, a, weights, kept in _heads(q, k, valid, dropout, seed):
            torch.mm(weights.mul_(kept), v[b, a, : valid[b]], out=out[b, a, : valid[b]])
        ctx.save_for_backward(q, k, v, out)
        ctx.drawn = (valid, dropout, seed)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out = ctx.saved_tensors
        valid, dropout, seed = ctx.drawn
        dq, dk, dv = (torch.zeros_like(x, memory_format=torch.contiguous_format) for x in (q, k, v))
        inner = (gradient * out).sum(3, keepdim=True)  # of each row of P and its gradient
        for b, a, weights, kept in _heads(q, k, valid, dropout, seed):
            L = valid[b]
            g = gradient[b, a, :L]
            dropped = kept.mul_(weights)
            torch.mm(dropped.T, g, out=dv[b, a, :L])
            scores = dropped.mul_(g @ v[b, a, :L].T).sub_(weights.mul_(inner[b, a, :L])).mul_(q.shape[3] ** -0.5)
            torch.mm(scores, k[b, a, :L], out=dq[b, a, :L])
            torch.mm(scores.T, q[b, a, :L], out=dk[b, a, :L])
        return dq, dk, dv, None, None, None


def _heads(
    q: Tensor, k: Tensor, valid: list[int], dropout: float, seed: int
) -> Iterator[tuple[int, int, Tensor, Tensor]]:
    """Every utterance and head with its weights P (L, L) and multipliers M (L, L): 0 or 1 / (1 - dropout). Both are
    overwritten by the next."""
    generator = torch.Generator().manual_seed(seed)
    threshold = round(dropout * _LEVELS)
    for b, L in enumerate(valid):
        weights, kept = q.new_empty(L, L), q.new_empty(L, L)
        draws = torch.empty(-(-L * L // 4), dtype=torch.int64)  # four draws in one
        for a in range(q.shape[1]):
            torch.mm(q[b, a, :L] * q.shape[3] ** -0.5, k[b, a, :L].T, out=weights)
            torch.softmax(weights, 1, out=weights)
            # all 64 bits; `random_()` alone leaves the sign bit 0
            draws.random_(-(2**63), None, generator=generator)
            bits = draws.view(torch.int16)[: L * L].view(L, L)
            torch.ge(bits, threshold - _LEVELS // 2, out=kept)
            yield b, a, weights, kept.mul_(_LEVELS / (_LEVELS - threshold))
