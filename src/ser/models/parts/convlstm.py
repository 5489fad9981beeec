"""One-dimensional ConvLSTM with peepholes (papers.md 6.2; P3 equations 2 to 6), written for a CPU's memory.

For segment t, * a "same" zero-padded convolution along the samples, . an element-wise product, h_0 = c_0 = 0::

    i_t = sigma(W_ix * x_t + W_ih * h_{t-1} + w_ic . c_{t-1} + b_i)      f_t likewise
    g_t = tanh(W_gx * x_t + W_gh * h_{t-1} + b_g)
    c_t = f_t . c_{t-1} + i_t . g_t
    o_t = sigma(W_ox * x_t + W_oh * h_{t-1} + w_oc . c_t + b_o)
    h_t = o_t . tanh(c_t)

What makes it fast is what it does not move:

* Sequences are packed (`torch.nn.utils.rnn.pack_padded_sequence`): padded segments are never computed.
* The batch goes through all its segments a few sequences at a time, so that one step's gates and states stay in the
  cache; their buffers are made once and written in place, as fresh pages cost more than the arithmetic done in them.
* A convolution is one matrix product on shifted copies of its input: all segments of the few sequences in one call
  for W_x, one for all four gates and a step for W_h, none for h_0. Gates come out as (4, C, L), each contiguous.
* sigma(a) = (1 + tanh(a / 2)) / 2: torch's tanh takes a quarter of the time of its sigmoid. The halves under the tanh
  are in the weights, so one in-place tanh serves all gates; "t_i" below is tanh(a_i / 2), that is, 2 i - 1.
* The backward pass is written by hand. It keeps gates and cell states of a layer up to `keep` bytes and recomputes
  them beyond.

Letters: N packed segments, S sequences of a chunk, C channels, I input channels, L positions, k kernel size.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ser.models.parts.convlstm_passes import Backward, Chunk, Plan

Peephole = Literal["none", "channel", "full"]


class ConvLSTM(nn.Module):
    """(N, I, L) packed segments -> (N, C, L), all hidden states, in the same packing.

    Parameters: `peephole` weights one a channel, one a channel and position (`positions` of them) or none;
    `forget_bias` initial; `keep` bytes of gates and states a backward pass may find stored; `chunk` elements of one
    state worked on at a time on a CPU. Gates are ordered i, f, g, o, peepholes i, f, o."""

    def __init__(
        self,
        inputs: int,
        channels: int,
        kernel: int,
        positions: int,
        *,
        peephole: Peephole,
        forget_bias: float,
        keep: int,
        chunk: int,
    ) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"a same-padded kernel has an odd size, not {kernel}")
        self.keep, self.chunk = keep, chunk
        self.spare: Tensor | None = None  # what the last backward pass no longer needs: pages that are there already
        self.input_weight = nn.Parameter(torch.empty(4 * channels, inputs, kernel))
        self.state_weight = nn.Parameter(torch.empty(4 * channels, channels, kernel))
        self.bias = nn.Parameter(torch.zeros(4, channels))
        shape = {"none": None, "channel": (3, channels, 1), "full": (3, channels, positions)}[peephole]
        self.peephole = None if shape is None else nn.Parameter(torch.zeros(shape))
        for weight in (self.input_weight, self.state_weight):
            nn.init.kaiming_uniform_(weight, a=5**0.5)  # as torch's own convolutions
        nn.init.constant_(self.bias[1], forget_bias)

    @torch.compiler.disable  # a loop over buffers written in place: torch.compile may have what lies around it
    def forward(self, x: Tensor, sizes: Sequence[int]) -> Tensor:
        """`sizes`: sequences still running at each step, from most to fewest (a PackedSequence's `batch_sizes`)."""
        C, dtype = self.bias.shape[1], self.bias.dtype
        half = torch.tensor([0.5, 0.5, 1.0, 0.5], dtype=dtype, device=x.device).repeat_interleave(C)[:, None]
        w_x = torch.cat([self.input_weight.mT.flatten(1), self.bias.view(-1, 1)], 1) * half  # (4C, kI + 1)
        w_h = self.state_weight.mT.flatten(1) * half  # (4C, kC)
        if torch.is_autocast_enabled(x.device.type):  # products in the lower precision, states in the full one
            low = torch.get_autocast_dtype(x.device.type)
            w_x, w_h = w_x.to(low), w_h.to(low)
        peephole = None if self.peephole is None else self.peephole / 2
        plan = Plan(sizes, self.chunk if x.device.type == "cpu" else CUDA_CHUNK, C * x.shape[2])
        with torch.autocast(x.device.type, enabled=False):
            return _Function.apply(x.to(dtype).contiguous(), w_x, w_h, peephole, plan, self)


# A GPU wants long rows rather than cached ones: half of P3's batch of 64 at once, its buffers 3 GiB (ours).
CUDA_CHUNK = 2**24


class _Store:
    """Memory that one forward pass keeps for its backward pass and gives back to its layer when the graph is freed."""

    def __init__(self, layer: ConvLSTM, elements: int, like: Tensor) -> None:
        spare, layer.spare = layer.spare, None
        if spare is None or len(spare) < elements or (spare.dtype, spare.device) != (like.dtype, like.device):
            spare = like.new_empty(elements)
        self.layer, self.memory, self.used = layer, spare, 0

    def take(self, *shape: int) -> Tensor:
        start = self.used
        self.used += prod(shape)
        return self.memory[start : self.used].view(shape)

    def __del__(self) -> None:
        self.layer.spare = self.memory


class _Function(torch.autograd.Function):
    """x (N, I, L), w_x (4C, kI + 1) with the bias last, w_h (4C, kC), peephole (3, C, 1 or L) -> h (N, C, L)."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, w_x: Tensor, w_h: Tensor, peephole: Tensor | None, plan: Plan, layer: ConvLSTM
    ) -> Tensor:
        work = Chunk(x, w_x, w_h, peephole, plan)
        h = work.states(len(x))
        state = work.C * work.L
        budget = layer.keep // (5 * state * h.element_size()) if any(ctx.needs_input_grad) else 0
        store = _Store(layer, 5 * state * min(budget, len(x)), h) if budget else None
        shared = None
        ctx.kept = []
        for steps in plan:
            n = steps[-1].own.stop
            if store is not None and n <= budget:
                gates, cells = store.take(n, 4, work.C, work.L), store.take(n, work.C, work.L)
                ctx.kept.append((gates, cells))
                budget -= n
            else:
                shared = shared or (work.states(plan.rows, 4), work.states(plan.rows))
                gates, cells = shared[0][:n], shared[1][:n]
                budget = 0
            work.forward(steps, gates, cells, h)
        ctx.plan, ctx.store = plan, store
        ctx.save_for_backward(x, w_x, w_h, peephole, h)
        return h

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        x, w_x, w_h, peephole, h = ctx.saved_tensors
        work = Backward(x, w_x, w_h, peephole, ctx.plan)
        dx = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        again = None
        for i, steps in enumerate(ctx.plan):
            n = steps[-1].own.stop
            if i < len(ctx.kept):
                gates, cells = ctx.kept[i]
            else:
                again = again or (work.states(ctx.plan.rows, 4), work.states(ctx.plan.rows))
                gates, cells = again[0][:n], again[1][:n]
                work.forward(steps, gates, cells, h, known=True)
            work.backward(steps, gates, cells, h, grads[0], dx)
        dw_x, dw_h = work.dw.to(w_x.dtype).split([w_x.shape[1], w_h.shape[1]], 1)
        return dx, dw_x, dw_h, work.d_peephole, None, None
