"""The ConvLSTM against its equations (papers.md 6.2), written once more as a plain loop over gates and steps."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence

from ser.models.parts.convlstm import ConvLSTM

I, C, L, K = 2, 3, 7, 3  # input channels, channels, positions, kernel
LENGTHS = (4, 4, 3, 1, 2)  # segments of each sequence
PEEPHOLES = ("none", "channel", "full")
STATE = C * L  # elements
SEGMENT_BYTES = 5 * STATE * 8  # four gates and a cell state of one segment in float64


def equations(x, layer):
    """One sequence (T, I, L) -> (T, C, L)."""
    w_x, w_h = layer.input_weight.unflatten(0, (4, -1)), layer.state_weight.unflatten(0, (4, -1))
    w_ic, w_fc, w_oc = layer.peephole if layer.peephole is not None else (0, 0, 0)
    h = c = x.new_zeros(w_h.shape[1], x.shape[2])
    states = []
    for segment in x:

        def gate(k, segment=segment, h=h):
            own = functional.conv1d(segment, w_x[k], padding="same")
            return own + functional.conv1d(h, w_h[k], padding="same") + layer.bias[k][:, None]

        i = torch.sigmoid(gate(0) + w_ic * c)
        f = torch.sigmoid(gate(1) + w_fc * c)
        c = f * c + i * torch.tanh(gate(2))
        o = torch.sigmoid(gate(3) + w_oc * c)
        h = o * torch.tanh(c)
        states.append(h)
    return torch.stack(states)


def make(peephole="channel", keep=2**30, chunk=2 * STATE, kernel=K, inputs=I, channels=C, positions=L):
    torch.manual_seed(0)
    options = {"peephole": peephole, "forget_bias": 1.0, "keep": keep, "chunk": chunk}
    layer = ConvLSTM(inputs, channels, kernel, positions, **options)
    if layer.peephole is not None:
        torch.nn.init.normal_(layer.peephole)
    return layer


def pack(x):
    """Packed segments of (B, T, I, L), their batch sizes, and where each sequence's segments are in the packing."""
    packed = pack_padded_sequence(x.flatten(2), torch.tensor(LENGTHS), batch_first=True, enforce_sorted=False)
    sizes, order = packed.batch_sizes.tolist(), packed.sorted_indices.tolist()
    starts = [sum(sizes[:t]) for t in range(len(sizes))]
    where = [[starts[t] + order.index(b) for t in range(n)] for b, n in enumerate(LENGTHS)]
    return packed.data.unflatten(1, x.shape[2:]), sizes, where


@pytest.mark.parametrize("peephole", PEEPHOLES)
@pytest.mark.parametrize("keep", [0, 7 * SEGMENT_BYTES, 2**30], ids=["recomputed", "half and half", "kept"])
@pytest.mark.parametrize("chunk", [1, 2 * STATE, 2**20], ids=["one", "two", "all"])
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_states_and_gradients_are_those_of_the_equations(peephole, keep, chunk, kernel):
    layer = make(peephole, keep, chunk, kernel).double()
    x = torch.randn(len(LENGTHS), max(LENGTHS), I, L, dtype=torch.double, requires_grad=True)
    data, sizes, where = pack(x)
    ours = layer(data, sizes)
    ours = torch.cat([ours[rows] for rows in where])
    theirs = torch.cat([equations(sequence[:n], layer) for sequence, n in zip(x, LENGTHS, strict=True)])
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    weight, leaves = torch.randn_like(ours), [x, *layer.parameters()]
    expected = torch.autograd.grad((theirs * weight).sum(), leaves)
    for found, wanted in zip(torch.autograd.grad((ours * weight).sum(), leaves), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-11)


@pytest.mark.parametrize("peephole", PEEPHOLES)
def test_gradients_are_those_of_finite_differences(peephole):
    layer = make(peephole, chunk=1, inputs=1, channels=2, positions=3).double()
    x = torch.randn(5, 1, 3, dtype=torch.double, requires_grad=True)
    names = [name for name, _ in layer.named_parameters()]

    def run(x, *values):
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x, [2, 2, 1]))

    assert torch.autograd.gradcheck(run, (x, *layer.parameters()))


def test_float32_is_within_1e_5_of_the_equations():
    layer = make(inputs=8, channels=16, positions=200, chunk=2**12)
    x = torch.randn(3, 6, 8, 200)  # (B, T, I, L)
    ours = layer(x.transpose(0, 1).flatten(0, 1), [3] * 6).unflatten(0, (6, 3)).transpose(0, 1)
    theirs = torch.stack([equations(sequence, layer) for sequence in x])
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_an_input_that_needs_no_gradient_gets_none_and_changes_no_other():
    layer = make().double()
    x = torch.randn(6, I, L, dtype=torch.double)
    without = torch.autograd.grad(layer(x, [3, 2, 1]).square().sum(), list(layer.parameters()))
    x.requires_grad_()
    with_it = torch.autograd.grad(layer(x, [3, 2, 1]).square().sum(), list(layer.parameters()))
    torch.testing.assert_close(without, with_it, rtol=0, atol=1e-12)


def test_kept_memory_serves_the_next_step_only_when_its_graph_is_gone():
    layer = make().double()
    x = torch.randn(6, I, L, dtype=torch.double, requires_grad=True)
    first = layer(x, [3, 3]).square().sum()
    (before,) = torch.autograd.grad(first, x, retain_graph=True)
    second = layer(2 * x, [3, 3]).square().sum()
    assert layer.spare is None
    (again,) = torch.autograd.grad(first, x)
    torch.testing.assert_close(again, before, rtol=0, atol=0)
    del first, second
    memory = layer.spare.data_ptr()
    third = layer(x, [3, 3])
    assert layer.spare is None
    del third
    assert layer.spare.data_ptr() == memory


def test_without_gradients_nothing_is_kept():
    layer = make()
    with torch.no_grad():
        layer(torch.randn(4, I, L), [2, 2])
    assert layer.spare is None


def test_lower_precision_products_stay_near_full_ones():
    layer = make(channels=8, positions=40, chunk=2**9)
    x = torch.randn(6, I, 40, requires_grad=True)
    leaves = [x, *layer.parameters()]
    full = layer(x, [3, 2, 1])
    with torch.autocast("cpu", torch.bfloat16):
        low = layer(x, [3, 2, 1])
    assert low.dtype == torch.float32
    assert 0 < (low - full).abs().max() < 0.03
    pairs = zip(torch.autograd.grad(low.sum(), leaves), torch.autograd.grad(full.sum(), leaves), strict=True)
    for found, wanted in pairs:
        assert torch.linalg.norm(found - wanted) < 0.03 * torch.linalg.norm(wanted)


def test_the_forget_gate_starts_open():
    bias = ConvLSTM(1, 2, 3, 4, peephole="none", forget_bias=1.0, keep=0, chunk=1).bias.tolist()
    assert bias == [[0, 0], [1, 1], [0, 0], [0, 0]]


def test_an_even_kernel_is_refused():
    with pytest.raises(ValueError, match="odd size, not 4"):
        make(kernel=4)
