"""Nearest neighbours across two spaces, in blocks: memory is one block of similarities, never all of them.

CSLS(x, y) = 2 cos(x, y) - r(x) - r(y), r the mean cosine to the k nearest of the other space (papers.md 7.3): a word
that is everybody's neighbour is nobody's.
Letters: n, m rows of unit length of the two spaces, d dimensions.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

BLOCK = 1024  # rows compared at a time (ours: 40 MB with 10 000 words on the other side)


class Nearest(NamedTuple):
    """Scores and columns of the best, (n, top), best first."""

    scores: Tensor
    columns: Tensor


def mean_similarity(x: Tensor, y: Tensor, k: int, block: int = BLOCK) -> Tensor:
    """r of each row of x (n, d): mean cosine to its k nearest rows of y (m, d); (n,). All of y when m < k."""
    k = min(k, len(y))
    return torch.cat([(part @ y.T).topk(k, 1).values.mean(1) for part in x.split(block)])


def nearest(x: Tensor, y: Tensor, top: int = 1, k: int | None = 10, block: int = BLOCK) -> Nearest:
    """The `top` rows of y (m, d) nearest to each row of x (n, d), by CSLS, or by cosine with `k` None."""
    top = min(top, len(y))
    if k is not None:
        own, other = mean_similarity(x, y, k, block), mean_similarity(y, x, k, block)
    found = []
    for first in range(0, len(x), block):
        scores = x[first : first + block] @ y.T
        if k is not None:
            scores = scores.mul_(2).sub_(own[first : first + block, None]).sub_(other)
        found.append(scores.topk(top, 1))
    return Nearest(torch.cat([f.values for f in found]), torch.cat([f.indices for f in found]))
