"""Attention with dropout on a CPU: the kernel of ser.models.kernels.attention against torch's own function.

    python benchmarks/attention.py [--threads N] [--repeats N]

Forward and backward at the sizes of the pretraining (papers.md 4.3: 12 heads of 64 columns, dropout 0.1) and of 4 to
12 s of speech. The plain side is `scaled_dot_product_attention` with a mask of the valid keys.
"""

from __future__ import annotations

import argparse

import torch
from torch.nn import functional

from ser.models.layers.attention import attention

HEADS, COLUMNS, DROPOUT = 12, 64, 0.1


def main() -> None:
    from _common import keep_memory, pairs

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_memory()
    for utterances, frames in ((6, 400), (4, 768), (2, 1200)):
        q, k, v = (torch.randn(utterances, HEADS, frames, COLUMNS, requires_grad=True) for _ in range(3))
        gradient, lengths = torch.randn_like(q), torch.full((utterances,), frames)
        valid = (torch.arange(frames) < lengths[:, None])[:, None, None]

        def own(q=q, k=k, v=v, gradient=gradient, lengths=lengths) -> None:
            torch.autograd.grad(attention(q, k, v, lengths, DROPOUT), (q, k, v), gradient)

        def plain(q=q, k=k, v=v, gradient=gradient, valid=valid) -> None:
            out = functional.scaled_dot_product_attention(q, k, v, attn_mask=valid, dropout_p=DROPOUT)
            torch.autograd.grad(out, (q, k, v), gradient)

        pairs(f"{utterances} utterances of {frames} frames", own, plain, arguments.repeats)


if __name__ == "__main__":
    main()
