"""The ConvLSTM against its equations (papers.md 6.2), written once more gate by gate and sequence by sequence."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence

from ser.models.clstm import Config, ConvLSTM

I, C, L = 2, 3, 7  # input channels, channels, positions
LENGTHS = (4, 4, 3, 1, 2)  # segments of each sequence
PEEPHOLES = ("none", "channel", "full")


def equations(x, layer):
    """One sequence (T, I, L) -> (T, C, L)."""
    w_x, w_h = layer.input.weight.unflatten(0, (4, -1)), layer.state.weight.unflatten(0, (4, -1))
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


def make(peephole="channel", kernel=3, inputs=I, channels=C, positions=L):
    torch.manual_seed(0)
    layer = ConvLSTM(inputs, channels, positions, Config(peephole=peephole, kernel=kernel))
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
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_states_and_gradients_are_those_of_the_equations(peephole, kernel):
    layer = make(peephole, kernel).double()
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


def test_states_stay_in_full_precision_when_products_do_not():
    layer = make(channels=8, positions=40)
    x = torch.randn(6, I, 40)
    full = layer(x, [3, 2, 1])
    with torch.autocast("cpu", torch.bfloat16):
        low = layer(x, [3, 2, 1])
    assert low.dtype == torch.float32
    assert 0 < (low - full).abs().max() < 0.03


def test_the_forget_gate_starts_open():
    assert ConvLSTM(1, 2, 4, Config(forget_bias=1.0)).bias.tolist() == [[0, 0], [1, 1], [0, 0], [0, 0]]
