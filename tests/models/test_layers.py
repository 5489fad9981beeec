from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from ser.core.errors import SerError
from ser.core.tasks import Task
from ser.models.layers import classifier, convolution


def test_the_branch_has_the_printed_sizes():
    """papers.md 4.2: parameters of each block and the shape after each pool, for 768 frames of 160 bands."""
    branch = convolution.ConvBranch((64, 128, 256, 512), (4, 4, 4, 2))
    assert branch.span == 128
    assert [sum(p.numel() for p in b.parameters()) for b in branch.blocks] == [768, 74_112, 295_680, 1_181_184]
    shapes = []
    for block in branch.blocks:
        block.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape[1:])))
    assert branch(torch.zeros(1, 768, 160)).shape == (1, 512, 6)
    assert shapes == [(64, 192, 40), (128, 48, 10), (256, 12, 2), (512, 6, 1)]


@pytest.mark.parametrize(("frames", "tokens"), [(3, 1), (127, 1), (255, 1), (256, 2), (1000, 7)])
def test_tokens_are_the_whole_spans_but_at_least_one(frames, tokens):
    branch = convolution.ConvBranch((2, 2, 2, 2), (4, 4, 4, 2))
    assert branch(torch.randn(1, frames, 16)).shape == (1, 2, tokens)


def test_a_block_is_convolution_layer_norm_swish_and_pooling():
    block = convolution.ConvBlock(2, 3, 2).double()
    x = torch.randn(2, 2, 6, 8, dtype=torch.float64)
    h = functional.conv2d(x, block.convolution.weight, block.convolution.bias, padding=1)
    h = (h - h.mean((1, 2, 3), keepdim=True)) / (h.var((1, 2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt()
    h = h * torch.sigmoid(h)  # the affine starts as the identity
    torch.testing.assert_close(block(x), nn.MaxPool2d(2)(h))


def test_a_token_is_valid_when_any_of_its_frames_is():
    """papers.md 4.4: the first ceil(valid / 128)."""
    branch = convolution.ConvBranch((2, 2), (4, 32))
    counts = branch.mask(torch.tensor([1, 128, 129, 768, 900]), 6).sum(1)
    assert counts.tolist() == [1, 1, 2, 6, 6]


def test_the_masked_mean_leaves_padding_out():
    x = torch.randn(2, 5, 3)
    mask = torch.tensor([[1, 1, 0, 0, 0], [1, 1, 1, 1, 1]], dtype=torch.bool)
    torch.testing.assert_close(classifier.masked_mean(x, mask), torch.stack([x[0, :2].mean(0), x[1].mean(0)]))


@pytest.mark.parametrize(
    ("kind", "levels", "message"),
    [
        ("classification", {"a": "utterance"}, "one frame-level feature, not none"),
        ("classification", {"a": "frame", "b": "frame"}, "one frame-level feature, not a, b"),
        ("continuous", {"a": "frame"}, "continuous labels"),
    ],
)
def test_unsuitable_tasks_are_refused(kind, levels, message):
    with pytest.raises(SerError, match=message):
        classifier.frame_feature(Task(kind, ("x", "y"), dict.fromkeys(levels, 4), levels), "cnns")
