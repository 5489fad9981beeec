"""Attention with dropout of the attention weights, for training on a CPU.

torch's `scaled_dot_product_attention` has a fused CPU kernel, but with dropout it falls back to one that keeps every
(T, T) matrix and draws a full random number for each element. This kernel goes head by head, so that one matrix stays
in the cache, draws 16 bits per element, and stores the seed of the draws in place of the matrices. Forward and backward
are 1.3 to 1.6 times as fast (benchmarks/attention.py).

Letters: B utterances, A heads, Q and T queries and keys, R and L valid ones of them, D columns of a head.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

LEVELS = 2**16  # of a draw: the probability of dropping is exact to 1 / 65536


class DroppedAttention(torch.autograd.Function):
    """O = (P * M) V with P = softmax(Q K' / sqrt(D)) and M = keep / (1 - dropout).

    P and M are computed again in the backward pass. ``apply(q, k, v, keys, queries, dropout, seed)``: (B, A, Q, D) and
    twice (B, A, T, D) -> (B, A, Q, D); `keys` and `queries` are the numbers of valid ones of each utterance.
    """

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, valid: list[int], rows: list[int], dropout: float, seed: int
    ) -> Tensor:
        out = v.new_zeros(*q.shape[:3], v.shape[3])
        for b, a, weights, kept in _heads(q, k, valid, rows, dropout, seed):
            torch.mm(weights.mul_(kept), v[b, a, : valid[b]], out=out[b, a, : rows[b]])
        ctx.save_for_backward(q, k, v, out)
        ctx.drawn = (valid, rows, dropout, seed)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out = ctx.saved_tensors
        valid, rows, dropout, seed = ctx.drawn
        dq, dk, dv = (torch.zeros_like(x, memory_format=torch.contiguous_format) for x in (q, k, v))
        inner = (gradient * out).sum(3, keepdim=True)  # of each row of P and its gradient
        for b, a, weights, kept in _heads(q, k, valid, rows, dropout, seed):
            R, L = rows[b], valid[b]
            g = gradient[b, a, :R]
            dropped = kept.mul_(weights)
            torch.mm(dropped.T, g, out=dv[b, a, :L])
            scores = dropped.mul_(g @ v[b, a, :L].T).sub_(weights.mul_(inner[b, a, :R])).mul_(q.shape[3] ** -0.5)
            torch.mm(scores, k[b, a, :L], out=dq[b, a, :R])
            torch.mm(scores.T, q[b, a, :R], out=dk[b, a, :L])
        return dq, dk, dv, None, None, None, None


def _heads(
    q: Tensor, k: Tensor, valid: list[int], rows: list[int], dropout: float, seed: int
) -> Iterator[tuple[int, int, Tensor, Tensor]]:
    """Yields every utterance and head with its weights P (R, L) and multipliers M (R, L), 0 or 1 / (1 - dropout).

    The next pair overwrites both.
    """
    generator = torch.Generator().manual_seed(seed)
    threshold = round(dropout * LEVELS)
    for b, (R, L) in enumerate(zip(rows, valid, strict=True)):
        weights, kept = q.new_empty(R, L), q.new_empty(R, L)
        draws = torch.empty(-(-R * L // 4), dtype=torch.int64)  # four draws in one
        for a in range(q.shape[1]):
            torch.mm(q[b, a, :R] * q.shape[3] ** -0.5, k[b, a, :L].T, out=weights)
            torch.softmax(weights, 1, out=weights)
            # all 64 bits; `random_()` alone leaves the sign bit 0
            draws.random_(-(2**63), None, generator=generator)
            bits = draws.view(torch.int16)[: R * L].view(R, L)
            torch.ge(bits, threshold - LEVELS // 2, out=kept)
            yield b, a, weights, kept.mul_(LEVELS / (LEVELS - threshold))
