"""Scaled dot-product attention with padded keys and with dropout of the attention weights."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ser.models.kernels.attention import DroppedAttention


def attention(
    q: Tensor, k: Tensor, v: Tensor, lengths: Tensor | None, dropout: float, queries: Tensor | None = None
) -> Tensor:
    """softmax(q k' / sqrt(D)) v: (B, A, Q, D) and twice (B, A, T, D) -> (B, A, Q, D), with A heads of D columns.

    Keys after the first `lengths` (B,) get weight 0. Results of queries after the first `queries` (B,) are undefined;
    by default those after `lengths`, as in self-attention. `dropout` is the probability that a weight is dropped: 0
    outside training. On a CPU with dropout the kernel computes it, for which torch has no fused one. On a GPU heads are
    widened to what its fused kernels take.
    """
    if dropout and q.device.type == "cpu" and q.dtype in (torch.float32, torch.float64):
        valid = [k.shape[2]] * len(k) if lengths is None else lengths.tolist()
        rows = valid if queries is None else queries.tolist()
        return DroppedAttention.apply(q, k, v, valid, rows, dropout, int(torch.randint(2**62, ())))
    keys = None
    if lengths is not None:
        keys = (torch.arange(k.shape[2], device=k.device) < lengths[:, None])[:, None, None]  # (B, 1, 1, T)
    if q.device.type == "cuda":
        return widened(q, k, v, keys, dropout)
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=keys, dropout_p=dropout)


def widened(q: Tensor, k: Tensor, v: Tensor, keys: Tensor | None, dropout: float) -> Tensor:
    """The same with heads filled up with zeros to a multiple of 8 columns. They add zeros to the scores, and columns to
    the result that are cut off again. P1's heads of 20 columns would miss the fused kernels.
    """
    scale, columns = q.shape[3] ** -0.5, v.shape[3]
    q, k, v = (functional.pad(x, (0, -x.shape[3] % 8)) for x in (q, k, v))
    out = functional.scaled_dot_product_attention(q, k, v, attn_mask=keys, dropout_p=dropout, scale=scale)
    return out[..., :columns]
