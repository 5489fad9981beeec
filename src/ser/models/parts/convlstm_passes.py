"""The two passes of a ConvLSTM over one chunk of packed sequences.

`ser.models.parts.convlstm` says why they look like this.

Letters: N packed segments, S sequences of a chunk, n segments of a chunk, C channels, I input channels, L positions,
k kernel size. Gates: t_i, t_f, g, t_o with t = tanh(a / 2) = 2 sigma(a) - 1, the half being in the weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor

tanh_backward = torch.ops.aten.tanh_backward.grad_input


class Step(NamedTuple):
    """The segments of one step of a chunk."""

    packed: slice  # their rows in the packing
    own: slice  # and among the segments of the chunk
    n: int  # how many


class Plan:
    """Splits packed sequences into chunks small enough for the cache."""

    def __init__(self, sizes: Sequence[int], chunk: int, state: int) -> None:
        """`chunk`: elements of one state at a time, `state`: of one sequence's."""
        self.sizes = [int(n) for n in sizes]
        self.starts = [0, *accumulate(self.sizes)]
        self.width = min(max(1, chunk // state), self.sizes[0])

    def __iter__(self) -> Iterator[list[Step]]:
        """The steps of each chunk; later ones have as many segments or fewer."""
        for first in range(0, self.sizes[0], self.width):
            counts = [min(self.width, n - first) for n in self.sizes if n > first]
            at = accumulate(counts, initial=0)
            yield [
                Step(slice(start + first, start + first + n), slice(own, own + n), n)
                for start, own, n in zip(self.starts, at, counts, strict=False)
            ]

    @property
    def rows(self) -> int:
        """Segments of the longest chunk, the first."""
        return sum(min(self.width, n) for n in self.sizes)


def _taps(kernel: int, length: int) -> Iterator[tuple[int, slice, slice]]:
    """Tap, the positions it has a neighbour for, and those neighbours."""
    for tap in range(kernel):
        shift = tap - kernel // 2
        size = max(0, length - abs(shift))
        yield tap, slice(max(0, -shift), max(0, -shift) + size), slice(max(0, shift), max(0, shift) + size)


def unfold(x: Tensor, columns: Tensor, kernel: int) -> Tensor:
    """Writes the k shifted copies of x (S, C, L) into `columns` (S, >= kC, L), whose margins are zero already."""
    C = x.shape[1]
    for tap, to, source in _taps(kernel, x.shape[2]):
        columns[:, tap * C : (tap + 1) * C, to] = x[:, :, source]
    return columns


def fold(columns: Tensor, x: Tensor, kernel: int) -> Tensor:
    """The transpose of `unfold`: sums the shifted copies back into x."""
    C, middle = x.shape[1], kernel // 2
    x.copy_(columns[:, middle * C : (middle + 1) * C])
    for tap, to, source in _taps(kernel, x.shape[2]):
        if tap != middle:
            x[:, :, source] += columns[:, tap * C : (tap + 1) * C, to]
    return x


def _add_product(out: Tensor, w: Tensor, columns: Tensor) -> None:
    """out (S, G, L) += w (G, R) columns (S, R, L); with products of a lower precision than `out`."""
    if out.dtype == w.dtype:
        out.baddbmm_(w.expand(len(columns), -1, -1), columns)
    else:
        out.add_(w @ columns)


def _add_outer(out: Tensor, d: Tensor, columns: Tensor) -> None:
    """out (G, R) += sum over S and L of d (S, G, L) columns (S, R, L)."""
    if out.dtype == columns.dtype:
        out.addbmm_(d, columns.mT)
    else:
        out.add_(torch.einsum("sgl,srl->gr", d.to(columns.dtype), columns))


class Chunk:
    """Buffers of one chunk at a time, and the two passes over its steps."""

    def __init__(self, x: Tensor, w_x: Tensor, w_h: Tensor, peephole: Tensor | None, plan: Plan) -> None:
        self.w_x, self.w_h, self.peephole, self.plan = w_x, w_h, peephole, plan
        self.x, self.L, self.C = x, x.shape[2], len(w_h) // 4
        self.k = w_h.shape[1] // self.C
        self.x_columns = w_x.new_zeros(plan.rows, w_x.shape[1], self.L)
        self.x_columns[:, -1] = 1  # the bias
        self.h_columns = w_h.new_zeros(plan.width, w_h.shape[1], self.L)
        self.scratch = self.states(plan.width)

    def states(self, *shape: int) -> Tensor:
        return torch.empty(*shape, self.C, self.L, dtype=self.x.dtype, device=self.x.device)

    def forward(self, steps: list[Step], gates: Tensor, cells: Tensor, h: Tensor, known: bool = False) -> None:
        """Fills gates (n, 4, C, L), cells (n, C, L) and, unless `known`, the chunk's rows of h (N, C, L)."""
        flat = gates.flatten(1, 2)
        self._inputs(steps, flat)
        for t, (packed, own, n) in enumerate(steps):
            a, c, scratch = gates[own], cells[own], self.scratch[:n]
            if t:
                h_before, c_before = h[steps[t - 1].packed][:n], cells[steps[t - 1].own][:n]
                _add_product(flat[own], self.w_h, unfold(h_before, self.h_columns[:n], self.k))
                if self.peephole is not None:
                    a[:, :2].addcmul_(c_before[:, None], self.peephole[:2])
            a[:, :3].tanh_()
            torch.addcmul(a[:, 2], a[:, 0], a[:, 2], out=c)  # (1 + t_i) g
            if t:
                c.add_(c_before).addcmul_(a[:, 1], c_before)  # + (1 + t_f) c
            c.mul_(0.5)
            if self.peephole is not None:
                a[:, 3].addcmul_(c, self.peephole[2])
            a[:, 3].tanh_()
            if not known:
                torch.tanh(c, out=scratch)
                torch.addcmul(scratch, a[:, 3], scratch, out=h[packed]).mul_(0.5)

    def _inputs(self, steps: list[Step], flat: Tensor) -> None:
        """The products with the inputs of all segments of the chunk in one call, into flat (n, 4C, L)."""
        columns = unfold(torch.cat([self.x[step.packed] for step in steps]), self.x_columns[: len(flat)], self.k)
        if flat.dtype == columns.dtype:
            torch.bmm(self.w_x.expand(len(columns), -1, -1), columns, out=flat)
        else:
            flat.copy_(self.w_x @ columns)


class Backward(Chunk):
    """The same buffers and those of one step's gradients."""

    def __init__(self, x: Tensor, w_x: Tensor, w_h: Tensor, peephole: Tensor | None, plan: Plan) -> None:
        super().__init__(x, w_x, w_h, peephole, plan)
        self.w = torch.cat([w_x, w_h], 1)  # (4C, R), R = kI + 1 + kC: one product a step serves inputs and states
        self.columns = torch.zeros(plan.width, self.w.shape[1], self.L, dtype=w_x.dtype, device=x.device)
        self.columns[:, w_x.shape[1] - 1] = 1
        self.d_columns = torch.empty_like(self.columns, dtype=x.dtype)
        self.dw = torch.zeros_like(self.w, dtype=x.dtype)
        self.d, self.dc, self.dh = self.states(plan.width, 4), self.states(plan.width), self.states(plan.width)
        self.d_peephole = None if peephole is None else torch.zeros_like(peephole)

    def backward(
        self, steps: list[Step], gates: Tensor, cells: Tensor, h: Tensor, dh: Tensor, dx: Tensor | None
    ) -> None:
        """Adds the chunk's share to the gradients of the weights and writes its rows of `dx`."""
        self.dc.zero_()
        self.dh.zero_()
        split = self.w_x.shape[1]
        for t in reversed(range(len(steps))):
            packed, own, n = steps[t]
            d, columns = self.d[:n], self.columns[:n]
            self.dh[:n].add_(dh[packed]).mul_(0.5)
            self._gates(d, gates[own], cells[own], cells[steps[t - 1].own][:n] if t else None)
            unfold(self.x[packed], columns, self.k)
            if t:
                unfold(h[steps[t - 1].packed][:n], columns[:, split:], self.k)
            end = None if t else split  # h_0 = 0 has no gradient to give or take
            _add_outer(self.dw[:, :end], d.flatten(1, 2), columns[:, :end])
            back = self._columns(d, slice(split if dx is None else 0, end))
            if t:
                fold(back[:, -self.w_h.shape[1] :], self.dh[:n], self.k)
            if dx is not None:
                fold(back, dx[packed], self.k)

    def _columns(self, d: Tensor, used: slice) -> Tensor:
        """w^T (R, 4C) d (S, 4C, L) -> (S, R, L), of the `used` rows."""
        d, w = d.flatten(1, 2), self.w[:, used]
        if d.dtype != w.dtype:
            return (w.mT @ d.to(w.dtype)).to(d.dtype)
        return torch.bmm(w.mT.expand(len(d), -1, -1), d, out=self.d_columns[: len(d), used])

    def _gates(self, d: Tensor, a: Tensor, c: Tensor, c_before: Tensor | None) -> None:
        """From half of dL/dh_t in `dh` and dL/dc_t (of t + 1) in `dc`: dL/da into d (S, 4, C, L), dL/dc_{t-1} into
        `dc`.
        """
        n = len(d)
        dh, dc, scratch, w = self.dh[:n], self.dc[:n], self.scratch[:n], self.peephole
        d_i, d_f, d_g, d_o = d.unbind(1)
        t_i, t_f, g, t_o = a.unbind(1)
        torch.tanh(c, out=scratch)
        torch.mul(dh, scratch, out=d_o)
        tanh_backward(d_o, t_o, grad_input=d_o)
        dh.addcmul_(dh, t_o)
        tanh_backward(dh, scratch, grad_input=scratch)
        dc.add_(scratch)
        if w is not None and self.d_peephole is not None:
            dc.addcmul_(d_o, w[2])
            self.d_peephole[2] += torch.mul(d_o, c, out=scratch).sum_to_size(w[2].shape)
        dc.mul_(0.5)
        torch.mul(dc, g, out=d_i)
        torch.addcmul(dc, dc, t_i, out=d_g)
        if c_before is None:
            d_f.zero_()
        else:
            torch.mul(dc, c_before, out=d_f)
        tanh_backward(d[:, :3], a[:, :3], grad_input=d[:, :3])
        if c_before is None:
            return
        dc.addcmul_(dc, t_f)
        if w is not None and self.d_peephole is not None:
            for gate, d_gate in enumerate((d_i, d_f)):
                dc.addcmul_(d_gate, w[gate])
                self.d_peephole[gate] += torch.mul(d_gate, c_before, out=scratch).sum_to_size(w[gate].shape)
