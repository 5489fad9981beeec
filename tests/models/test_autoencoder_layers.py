"""The layers against hand-computed examples and against the steps of papers.md 5 written out."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from ser.models import emotion_autoencoder as layers
from ser.models.emotion_autoencoder import Config, Model
from tests.models import tiny_autoencoder as tiny


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def paper(classes: int, **values: object) -> Model:
    """Of the printed size; only counted and shaped, so its weights are not made."""
    with torch.device("meta"):
        return Model(Config(**values), tiny.task(classes, 513, 1582 if values.get("profile") == "text" else tiny.V))


def test_parameters_are_the_printed_ones():
    """papers.md 5.4."""
    model = paper(4)
    encoder, decoder = model.encoder, model.decoder
    assert parameters(encoder.bank) == 2_364_928
    assert parameters(encoder.entry) == 787_456
    assert parameters(encoder.down) == 7_867_392
    assert parameters(encoder.dense) == 1_050_624
    assert parameters(encoder.recurrent) == 493_056
    assert parameters(encoder.exit) == 393_728
    assert parameters(encoder) == 12_957_184
    assert parameters(decoder.up) == 7_082_496
    assert parameters(decoder.dense) == 1_050_624
    assert parameters(decoder.recurrent) == 1_182_720
    assert parameters(decoder.mix) == 786_944
    assert parameters(decoder.exit) == 263_169
    assert parameters(decoder.embeddings) == 10_240
    assert parameters(decoder) == 10_376_193
    assert parameters(model.classifier.attention) == 1_050_624
    assert parameters(model.classifier.dense) == 3_129_476
    assert parameters(model) == 27_513_477


def test_parameters_of_the_other_sizes():
    """papers.md 5.4: seven classes, 2094 inputs, no functionals; pooling by mean and deviation widens FC1."""
    model = paper(7)
    assert parameters(model.decoder) == 10_383_873
    assert parameters(model.classifier.dense) == 3_129_863
    assert parameters(model) == 27_521_544
    assert parameters(paper(4, profile="text").classifier.dense) == 2_736_260
    assert parameters(paper(7, profile="text").classifier.dense) == 2_736_647
    assert paper(4, functionals=False).classifier.dense[0].in_features == 512
    assert paper(4, pooling="mean_std").classifier.dense[0].in_features == 2478 + 512


def test_no_embedding_keeps_every_shape():
    """papers.md 5.6: zero vectors."""
    plain, proposed = paper(4, emotion_embedding=False), paper(4)
    assert {n: p.shape for n, p in plain.named_parameters()} == {n: p.shape for n, p in proposed.named_parameters()}


def test_shapes_of_the_encoder_are_the_printed_ones():
    """papers.md 5.2."""
    shapes = []
    encoder = paper(4).encoder
    for part in (encoder.bank, encoder.entry, *encoder.down, *encoder.dense, encoder.exit):
        part.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape[1:])))
    encoder(torch.zeros(2, 513, 128, device="meta"))
    assert shapes == [(1537, 128), (512, 128), (512, 64), (512, 32), *4 * [(512, 16)]]


def test_pixel_shuffle_by_hand():
    """papers.md 5.3: channels c * 2 + r become time 2 t + r of channel c."""
    x = torch.tensor([[10.0, 11, 20, 21], [30, 31, 40, 41]]).T[None]  # two frames; channels c0r0 c0r1 c1r0 c1r1
    assert layers.pixel_shuffle(x).tolist() == [[[10, 11, 30, 31], [20, 21, 40, 41]]]


@pytest.mark.parametrize("kernel", range(1, 9))
@pytest.mark.parametrize("frames", [12, 13])
@pytest.mark.parametrize("stride", [1, 2])
def test_convolutions_keep_or_halve_the_length(kernel, frames, stride):
    """The padding is k // 2 frames on the left and, for an even k, one less on the right, mirrored by hand."""
    layer = layers.Convolution(3, 4, kernel, stride).double()
    x = torch.randn(2, 3, frames, dtype=torch.float64)
    left, right = kernel // 2, kernel // 2 - (kernel % 2 == 0)
    padded = torch.cat([x[..., 1 : left + 1].flip(2), x, x[..., frames - 1 - right : -1].flip(2)], 2)
    out = layer(x)
    assert out.shape == (2, 4, frames if stride == 1 else (frames + 1) // 2)
    torch.testing.assert_close(out, functional.conv1d(padded, layer.weight, layer.bias, stride))


def test_the_bank_is_its_branches_and_the_input():
    bank = layers.Bank(tiny.config(bank_kernels=8), 3).double()
    x = torch.randn(2, 3, 19, dtype=torch.float64)
    out = bank(x)
    torch.testing.assert_close(out, torch.cat([*(branch(x) for branch in bank.branches), x], 1))
    assert [branch.kernel_size[0] for branch in bank.branches] == list(range(1, 9))


def test_instance_norm_has_zero_mean_and_unit_variance_in_each_crop_and_channel():
    x = torch.randn(3, 8, 50, dtype=torch.float64) * torch.arange(1.0, 9)[:, None] + 7
    out = layers.Block(tiny.config(norm_eps=1e-12)).norm.eval()(x)  # in evaluation too
    torch.testing.assert_close(out.mean(2), torch.zeros(3, 8, dtype=torch.float64), atol=1e-9, rtol=0)
    torch.testing.assert_close(out.var(2, unbiased=False), torch.ones(3, 8, dtype=torch.float64))


def test_batch_norm_has_zero_mean_over_crops_and_frames_and_keeps_statistics():
    x = torch.randn(3, 8, 50, dtype=torch.float64) * 5 + 7
    norm = layers.Block(tiny.config(norm="batch", norm_eps=1e-12)).norm.double()
    out = norm(x)
    torch.testing.assert_close(out.mean((0, 2)), torch.zeros(8, dtype=torch.float64), atol=1e-9, rtol=0)
    torch.testing.assert_close(out.var((0, 2), unbiased=False), torch.ones(8, dtype=torch.float64))
    torch.testing.assert_close(norm.running_mean, 0.1 * x.mean((0, 2)))  # torch's momentum
    assert not list(norm.parameters())
    assert layers.Block(tiny.config(norm="none")).norm(x) is x


def test_no_gradient_runs_into_the_decoders_frozen_embeddings():
    decoder = layers.Decoder(tiny.config(emotion_embedding=False), 12, 3)
    z = torch.randn(2, 8, 4)
    assert torch.equal(decoder(z, torch.tensor([0, 1])), decoder(z, torch.tensor([2, 0])))
    assert not any(p.requires_grad for p in decoder.embeddings.parameters())


def test_the_decoder_follows_the_printed_steps():
    """papers.md 5.3 written out."""
    torch.manual_seed(0)
    decoder = layers.Decoder(tiny.config(), 12, 3).double()
    z, y = torch.randn(2, 8, 4, dtype=torch.float64), torch.tensor([2, 0])
    e = [table(y)[:, :, None] for table in decoder.embeddings]
    act = nn.LeakyReLU(0.01)

    def conv(layer, x):
        return act(functional.conv1d(functional.pad(x, (1, 1), mode="reflect"), layer.weight, layer.bias))

    def linear(layer, x):
        return functional.linear(x.mT, layer.weight[..., 0], layer.bias).mT

    h = z
    for block, table in zip(decoder.up, e[:3], strict=True):
        wide = conv(block.first, h + table)
        shuffled = torch.stack([wide[:, 0::2], wide[:, 1::2]], 3).flatten(2)
        h = functional.instance_norm(conv(block.second, shuffled + table)) + functional.interpolate(h, scale_factor=2)
    for block in decoder.dense:
        inner = act(linear(block.second, act(linear(block.first, h + e[3])) + e[3]))
        h = functional.instance_norm(inner) + h
    recurrent = decoder.recurrent.gru((h + e[4]).mT)[0].mT
    joined = torch.cat([h, recurrent, e[4].repeat(1, 1, h.shape[2])], 1)
    torch.testing.assert_close(decoder(z, y), linear(decoder.exit, act(linear(decoder.mix, joined))))


def test_the_encoder_follows_the_printed_steps():
    """papers.md 5.2, likewise; in evaluation mode, without dropout."""
    torch.manual_seed(0)
    encoder = layers.Encoder(tiny.config(), 12).double().eval()
    x = torch.rand(2, 12, 16, dtype=torch.float64)
    act, norm = nn.LeakyReLU(0.01), functional.instance_norm

    def conv(layer, h, left, right, stride=1):
        padded = functional.pad(h, (left, right), mode="reflect")
        return functional.conv1d(padded, layer.weight, layer.bias, stride)

    def linear(layer, h):
        return functional.linear(h.mT, layer.weight[..., 0], layer.bias).mT

    one, two, three = encoder.bank.branches
    h = x
    h = torch.cat([conv(one, h, 0, 0), conv(two, h, 1, 0), conv(three, h, 1, 1), h], 1)
    h = norm(act(linear(encoder.entry, act(h))))
    for block in encoder.down:
        inner = act(conv(block.second, act(conv(block.first, h, 2, 2)), 2, 2, 2))
        h = norm(inner) + functional.avg_pool1d(h, 2)
    for block in encoder.dense:
        h = norm(act(linear(block.second, act(linear(block.first, h))))) + h
    h = torch.cat([h, encoder.recurrent.gru(h.mT)[0].mT], 1)
    torch.testing.assert_close(encoder(x), act(linear(encoder.exit, h)))


def test_the_classifier_is_attention_pooling_and_four_layers():
    """papers.md 5.4, one head, without residual or norm."""
    torch.manual_seed(0)
    classifier = layers.Classifier(tiny.config(), 5, 3).double().eval()
    z, v = torch.randn(2, 4, 8, dtype=torch.float64), torch.randn(2, 5, dtype=torch.float64)
    own = classifier.attention
    q, k, w = functional.linear(z, own.in_proj_weight, own.in_proj_bias).chunk(3, 2)
    attended = own.out_proj((q @ k.mT / 8**0.5).softmax(2) @ w)
    h = torch.cat([attended.mean(1), v], 1)
    one, two, three = (m for m in classifier.dense if isinstance(m, nn.Linear))
    torch.testing.assert_close(classifier(z.mT, v), three(two(one(h).relu()).relu()))


@pytest.mark.parametrize("pooling", ["mean", "mean_std", "max"])
def test_pooling_by_hand(pooling):
    classifier = layers.Classifier(tiny.config(pooling=pooling), 0, 3)
    h = torch.tensor([[[1.0, 2], [5, 2]]], requires_grad=True)  # (1, 2, 2): a channel that moves, one that does not
    out = classifier.pool(h)
    by_hand = {"mean": [3, 2], "max": [5, 2], "mean_std": [3, 2, 2, 0]}[pooling]
    torch.testing.assert_close(out, torch.tensor([by_hand], dtype=torch.float32), atol=0.01, rtol=0)
    out.sum().backward()
    assert torch.isfinite(h.grad).all()
