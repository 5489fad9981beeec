from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from ser.models.layers.attention import attention, widened

B, A, T, D = 2, 3, 10, 4
LENGTHS = torch.tensor([10, 7])


def _inputs(columns=D):
    generator = torch.Generator().manual_seed(0)
    sizes = ((B, A, T, D), (B, A, T, D), (B, A, T, columns))
    return [torch.randn(s, generator=generator, dtype=torch.float64, requires_grad=True) for s in sizes]


def _dropped(seed, *inputs, p=0.3):
    torch.manual_seed(seed)
    out = attention(*inputs, LENGTHS, p)
    return torch.cat([out[0].flatten(), out[1, :, :7].flatten()])


def test_without_dropout_it_is_the_formula():
    q, k, v = _inputs()
    out = attention(q, k, v, LENGTHS, 0.0)
    for b, L in enumerate(LENGTHS.tolist()):
        for a in range(A):
            weights = torch.softmax(q[b, a, :L] @ k[b, a, :L].T / math.sqrt(D), 1)
            torch.testing.assert_close(out[b, a, :L], weights @ v[b, a, :L])


def test_dropout_spares_weights_of_the_softmax_scaled_up():
    """With the identity as values the result is the dropped weights themselves."""
    q, k, _ = _inputs()
    v = torch.eye(T, dtype=torch.float64).expand(B, A, T, T)
    with torch.no_grad():
        torch.manual_seed(1)
        kept = attention(q, k, v, LENGTHS, 0.3)
        full = functional.scaled_dot_product_attention(
            q, k, v, attn_mask=(torch.arange(T) < LENGTHS[:, None])[:, None, None]
        )
    spared = kept != 0
    assert 0.6 < spared[0].double().mean() < 0.8
    torch.testing.assert_close(kept[0][spared[0]], full[0][spared[0]] / 0.7, rtol=1e-4, atol=0)
    assert not kept[1, :, :7, 7:].any()
    assert not torch.equal(spared[0, 0], spared[0, 1])  # every head and utterance has draws of its own
    assert not torch.equal(spared[0, 0, :7, :7], spared[1, 0, :7, :7])


def test_the_share_that_is_dropped():
    q = torch.zeros(1, 2, 600, 8)
    v = torch.eye(600).expand(1, 2, 600, 600)
    for p in (0.1, 0.5):
        kept = attention(q, q, v, None, p)
        # 720 000 draws: five standard deviations
        assert abs(float((kept == 0).double().mean()) - p) < 5 * math.sqrt(p * (1 - p) / 720_000)
        assert float(kept.mean() * 600) == pytest.approx(1, abs=0.01)  # the expectation stays
        rows = (kept == 0)[0, 0].double()
        assert abs(float((rows[:, 1:] * rows[:, :-1]).mean()) - p * p) < 0.005  # neighbours are independent


def test_gradients_are_those_of_the_draws():
    assert torch.autograd.gradcheck(lambda *x: _dropped(5, *x), _inputs())


def test_the_seed_decides():
    inputs = _inputs()
    assert torch.equal(_dropped(1, *inputs), _dropped(1, *inputs))
    assert not torch.equal(_dropped(1, *inputs), _dropped(2, *inputs))


@pytest.mark.parametrize("columns", [11, 20, 24])
def test_wider_heads_change_nothing(columns):
    """What a GPU computes, on a CPU. Whole numbers, and values of which each result takes one, leave nothing to round
    in another order: the results are equal to the bit. Random ones are equal to the precision of their type.
    """
    keys = (torch.arange(T) < LENGTHS[:, None])[:, None, None]
    generator = torch.Generator().manual_seed(1)
    q, k = (torch.randint(-3, 4, (B, A, T, columns), generator=generator).float() for _ in range(2))
    v = torch.eye(columns)[:T].expand(B, A, T, columns)
    plain = functional.scaled_dot_product_attention(q, k, v, attn_mask=keys)
    assert torch.equal(widened(q, k, v, keys, 0.0), plain)
    q, k, v = (x.double().requires_grad_() for x in (q / 7, k / 5, torch.randn(v.shape, generator=generator)))
    found = []
    for result in (functional.scaled_dot_product_attention(q, k, v, attn_mask=keys), widened(q, k, v, keys, 0.0)):
        found.append((result, *torch.autograd.grad(result.square().sum(), (q, k, v))))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-13)
