"""Attention and fusion layer against torch's own layers, in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from ser.models.fusion_convbert import Attention, Config, FusionLayer

D, HEADS, FFN = 120, 6, 480
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], dtype=torch.bool)  # (B, N)
KEYS, QUERIES = torch.tensor([5, 3]), torch.tensor([4, 4])  # (B,): the mask as lengths; every query counts


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def _qkv(d=D):
    return (torch.randn(2, n, d, dtype=torch.float64) for n in (4, 5, 5))


def _copied(attention):
    """torch's multi-head attention with the same weights."""
    own = nn.MultiheadAttention(D, HEADS, batch_first=True).double()
    parts = (attention.query, attention.key, attention.value)
    with torch.no_grad():
        own.in_proj_weight.copy_(torch.cat([p.weight for p in parts]))
        own.in_proj_bias.copy_(torch.cat([p.bias for p in parts]))
    own.out_proj.load_state_dict(attention.output.state_dict())
    return own


def test_attention_equals_scaled_dot_product_attention_head_by_head():
    attention = Attention(D, HEADS, 0.3).double().eval()
    q, k, v = _qkv()
    wide = D // HEADS
    mixed = []
    for h in range(HEADS):
        rows = slice(h * wide, (h + 1) * wide)
        heads = [
            functional.linear(x, p.weight[rows], p.bias[rows])
            for x, p in ((q, attention.query), (k, attention.key), (v, attention.value))
        ]
        plain = functional.scaled_dot_product_attention(*heads, attn_mask=MASK[:, None, :])
        scores = (heads[0] @ heads[1].mT / math.sqrt(wide)).masked_fill(~MASK[:, None, :], -math.inf)
        torch.testing.assert_close(plain, scores.softmax(2) @ heads[2])
        mixed.append(plain)
    torch.testing.assert_close(attention(q, k, v, KEYS, QUERIES), attention.output(torch.cat(mixed, 2)))


def test_attention_equals_torch_multi_head_attention():
    attention = Attention(D, HEADS, 0.3).double().eval()
    q, k, v = _qkv()
    theirs, _ = _copied(attention)(q, k, v, key_padding_mask=~MASK)
    torch.testing.assert_close(attention(q, k, v, KEYS, QUERIES), theirs)


def test_a_self_attention_layer_equals_torch_post_norm_encoder_layer():
    layer = FusionLayer(Config(fusion_attention_dropout=0.0)).double()
    theirs = nn.TransformerEncoderLayer(D, HEADS, FFN, 0.0, functional.silu, batch_first=True).double()
    theirs.self_attn.load_state_dict(_copied(layer.attention).state_dict())
    pairs = {"linear1": "widen", "linear2": "narrow", "norm1": "attention_norm", "norm2": "ffn_norm"}
    for name, ours in pairs.items():
        getattr(theirs, name).load_state_dict(getattr(layer, ours).state_dict())
    x = torch.randn(2, 5, D, dtype=torch.float64)
    expected = theirs(x, src_key_padding_mask=~MASK)
    torch.testing.assert_close(layer(x, x, x, KEYS, KEYS)[MASK], expected[MASK])


def test_gradients_of_a_fusion_layer():
    layer = FusionLayer(Config(d=4, fusion_heads=2, fusion_ffn=8, fusion_attention_dropout=0.0)).double()
    q, k, v = (x.requires_grad_() for x in _qkv(4))
    assert torch.autograd.gradcheck(lambda *x: layer(*x, KEYS, QUERIES), (q, k, v))
    weights = tuple(p.detach().clone().requires_grad_() for p in layer.parameters())
    names = [n for n, _ in layer.named_parameters()]
    inputs = tuple(x.detach() for x in (q, k, v))

    def of_weights(*values):
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (*inputs, KEYS, QUERIES))

    assert torch.autograd.gradcheck(of_weights, weights)


def test_attention_dropout_acts_in_training_only():
    layer = FusionLayer(Config()).double()
    q, k, v = _qkv()
    assert not torch.equal(layer(q, k, v, KEYS, QUERIES), layer(q, k, v, KEYS, QUERIES))
    layer.eval()
    assert torch.equal(layer(q, k, v, KEYS, QUERIES), layer(q, k, v, KEYS, QUERIES))


def test_a_fusion_layer_has_the_printed_size():
    """papers.md 4.4."""
    assert sum(p.numel() for p in FusionLayer(Config()).parameters()) == 174_360


def test_dropped_cross_attention_has_the_right_mean_and_gradients():
    """The CPU path with dropout, which torch's kernel does not take: queries and keys of different lengths."""
    attention = Attention(4, 2, 0.5).double()
    q, k, v = (x.requires_grad_() for x in _qkv(4))

    def drawn(*x):
        torch.manual_seed(3)
        return attention(*x, KEYS, QUERIES)

    assert torch.autograd.gradcheck(drawn, (q, k, v))
    with torch.no_grad():
        mean = torch.stack([attention(q, k, v, KEYS, QUERIES) for _ in range(4000)]).mean(0)
        torch.testing.assert_close(mean, attention.eval()(q, k, v, KEYS, QUERIES), atol=0.06, rtol=0)
