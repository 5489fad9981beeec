from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from ser.core.errors import SerError
from ser.models.layers import mockingjay
from ser.models.layers.mockingjay import Config, Encoder, Head, Masking

SMALL = Config(input=6, hidden=16, layers=2, heads=4, ffn=24, init_std=0.2)


def _count(module):
    return sum(p.numel() for p in module.parameters())


def test_paper_size_has_the_printed_number_of_parameters():
    """papers.md 4.3: input block 125 184, each layer 7 087 872, encoder 21 388 800, head 715 168."""
    with torch.device("meta"):
        encoder, head = Encoder(Config()), Head(Config())
    assert _count(encoder.input) + _count(encoder.norm) == 125_184
    assert [_count(layer) for layer in encoder.layers] == [7_087_872] * 3
    assert (_count(encoder), _count(head)) == (21_388_800, 715_168)
    assert _count(encoder) + _count(head) == 22_103_968


def _reference(encoder: Encoder, config: Config) -> nn.TransformerEncoder:
    """torch's own post-norm encoder with the same weights."""
    layer = nn.TransformerEncoderLayer(
        config.hidden, config.heads, config.ffn, 0.0, config.activation.replace("swish", "gelu"), config.layer_norm_eps,
        batch_first=True, dtype=torch.float64,
    )  # fmt: skip
    reference = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False).eval()
    names = {
        "self_attn.in_proj_weight": "qkv.weight", "self_attn.in_proj_bias": "qkv.bias",
        "self_attn.out_proj.weight": "out.weight", "self_attn.out_proj.bias": "out.bias",
        "linear1.weight": "up.weight", "linear1.bias": "up.bias",
        "linear2.weight": "down.weight", "linear2.bias": "down.bias",
        "norm1.weight": "attention_norm.weight", "norm1.bias": "attention_norm.bias",
        "norm2.weight": "ffn_norm.weight", "norm2.bias": "ffn_norm.bias",
    }  # fmt: skip
    for theirs, ours in zip(reference.layers, encoder.layers, strict=True):
        theirs.load_state_dict({a: ours.state_dict()[b] for a, b in names.items()})
        if config.activation == "swish":
            theirs.activation = nn.functional.silu
    return reference


@pytest.mark.parametrize("activation", ["gelu", "swish"])
def test_it_equals_torchs_transformer_on_positions_from_the_formula(activation):
    config = replace(SMALL, activation=activation)
    torch.manual_seed(0)
    encoder = Encoder(config).double().eval()
    for parameter in encoder.parameters():
        nn.init.normal_(parameter, std=0.3)
    x, lengths = torch.randn(3, 9, 6, dtype=torch.float64), torch.tensor([9, 4, 6])
    table = np.array([[(np.sin, np.cos)[j % 2](p / 10000 ** (2 * (j // 2) / 16)) for j in range(16)] for p in range(9)])
    valid = torch.arange(9) < lengths[:, None]
    h = encoder.norm(x @ encoder.input.weight.T + encoder.input.bias + torch.from_numpy(table))
    expected = _reference(encoder, config)(h, src_key_padding_mask=~valid)
    torch.testing.assert_close(encoder(x, lengths)[valid], expected[valid], rtol=1e-9, atol=1e-9)


def test_padding_changes_neither_a_valid_frame_nor_a_gradient():
    torch.manual_seed(0)
    encoder = Encoder(SMALL).double().eval()
    x, lengths = torch.randn(2, 8, 6, dtype=torch.float64), torch.tensor([8, 5])
    padded = torch.cat([x, 1e3 * torch.randn(2, 100, 6, dtype=torch.float64)], dim=1)
    found = []
    for batch in (x, padded):
        encoder.zero_grad()
        h = encoder(batch, lengths)
        h = torch.cat([h[0, :8], h[1, :5]])
        h.square().mul(torch.arange(16)).sum().backward()
        found.append([h.detach(), *[p.grad.clone() for p in encoder.parameters()]])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
    alone = encoder(x[1:, :5])  # no lengths: all valid
    torch.testing.assert_close(alone[0], found[0][0][8:], rtol=1e-9, atol=1e-9)


def test_dropout_acts_in_training_alone():
    torch.manual_seed(0)
    x = torch.randn(2, 30, 6)
    for config in (replace(SMALL, dropout=0.0), replace(SMALL, attention_dropout=0.0)):
        encoder = Encoder(config)
        assert not torch.equal(encoder(x), encoder(x))
        encoder.eval()
        assert torch.equal(encoder(x), encoder(x))


def test_weights_are_drawn_as_the_config_says():
    encoder = Encoder(Config(hidden=128, heads=2, ffn=512, layers=1))
    assert abs(encoder.layers[0].qkv.weight.std().item() - 0.02) < 0.001
    assert not encoder.layers[0].qkv.bias.any()
    assert (encoder.norm.weight == 1).all()


MASKING = Masking()


class TestMasks:
    LENGTHS = (300, 470, 33, 120)

    @staticmethod
    def draw(masking=MASKING, lengths=LENGTHS, seeds=range(2000)):
        """Masks of many batches, each with a new seed."""
        for seed in seeds:
            yield mockingjay.mask(lengths, [np.random.default_rng([seed, i]) for i in range(len(lengths))], masking)

    def test_segments_are_seven_frames_and_about_fifteen_percent(self):
        totals = np.zeros(4)
        for masks in self.draw(seeds=range(300)):
            for b, L in enumerate(self.LENGTHS):
                edges = np.flatnonzero(np.diff(np.concatenate([[0], masks.loss[b].int().numpy(), [0]])))
                spans = np.diff(edges.reshape(-1, 2)).ravel()
                n = int(0.15 * L / 7)
                assert all(spans >= 7)
                assert spans.sum() <= 7 * n
                assert not masks.loss[b, L - 1 :].any()  # starts end at L - C - 1
                totals[b] += spans.sum() / L
        mean = totals / 300
        assert mean[2] == 0  # too short for a segment
        # overlap: a frame is missed by n starts with probability (1 - 7/(L-7))^n, about exp(-0.15)
        for b in (0, 1, 3):
            L, n = self.LENGTHS[b], int(0.15 * self.LENGTHS[b] / 7)
            assert abs(mean[b] - (1 - (1 - 7 / (L - 7)) ** n)) < 0.01

    def test_eighty_ten_ten_of_the_utterances(self):
        kinds = np.zeros(3)
        for masks in self.draw(lengths=(150,)):
            hidden, own = masks.loss[0], torch.arange(150)
            zero, moved = masks.zero[0], masks.source[0] != own
            assert torch.equal(zero, hidden) or not zero.any()  # one draw per utterance
            assert not (moved & ~hidden).any()
            kinds += (bool(zero.any()), bool(moved.any()), not zero.any() and not moved.any())
        # three standard deviations of 2000 draws: 0.027 and 0.020
        np.testing.assert_allclose(kinds / 2000, [0.8, 0.1, 0.1], atol=0.027)

    def test_per_segment_draws_for_each_segment(self):
        mixed, zeros, frames = 0, 0, 0
        for masks in self.draw(Masking(per_segment=True), seeds=range(400)):
            hidden, zero = masks.loss[1], masks.zero[1]
            mixed += bool(zero.any()) and not torch.equal(zero, hidden)
            zeros, frames = zeros + int(zero.sum()), frames + int(hidden.sum())
        assert mixed > 200  # ten segments: 0.8^10 = 11 % are all zero
        assert abs(zeros / frames - 0.8) < 0.02

    def test_replaced_segments_are_other_segments_of_the_same_utterance(self):
        x = torch.arange(150.0)[None, :, None].expand(1, 150, 3)
        for masks in self.draw(Masking(zero=0.0, replace=1.0), lengths=(150,), seeds=range(50)):
            shown = mockingjay.masked(x, masks)[0, :, 0]
            moved = shown != x[0, :, 0]
            assert not (moved & ~masks.loss[0]).any()
            assert moved.any()
            inside = masks.loss[0][1:] & masks.loss[0][:-1]
            assert (shown.diff()[inside] == 1).float().mean() > 0.7  # whole stretches, not single frames
        assert torch.equal(x[0, :, 0], torch.arange(150.0))

    def test_loss_on_segment_starts_marks_one_frame_a_segment(self):
        for masks, all_of_it in zip(
            self.draw(Masking(loss_on="segment_start"), lengths=(470,), seeds=range(20)),
            self.draw(lengths=(470,), seeds=range(20)),
            strict=True,
        ):
            assert masks.loss.sum() == int(0.15 * 470 / 7)
            assert not (masks.loss & ~all_of_it.loss).any()
            assert torch.equal(masks.zero, all_of_it.zero)

    def test_zeroed_frames_are_zero_and_the_others_untouched(self):
        x = torch.randn(1, 150, 4)
        (masks,) = self.draw(Masking(zero=1.0, replace=0.0), lengths=(150,), seeds=[3])
        shown = mockingjay.masked(x, masks)
        assert not shown[masks.loss].any()
        assert torch.equal(shown[~masks.loss], x[~masks.loss])


class TestFiles:
    def test_weights_come_back_and_equal_weights_give_equal_bytes(self, tmp_path):
        torch.manual_seed(0)
        encoder = Encoder(SMALL)
        for name in ("a", "b"):
            mockingjay.save_encoder(tmp_path / name, encoder, SMALL, {"steps": 3})
        config, weights = mockingjay.load_encoder(tmp_path / "a")
        assert config == SMALL
        again = Encoder(config)
        again.load_state_dict(weights)
        assert all(torch.equal(p, q) for p, q in zip(encoder.parameters(), again.parameters(), strict=True))
        for file in ("encoder.safetensors", "card.json"):
            assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()

    def test_faults_are_named(self, tmp_path):
        with pytest.raises(SerError, match="missing file"):
            mockingjay.load_encoder(tmp_path / "none")
        mockingjay.save_encoder(tmp_path, Encoder(SMALL), replace(SMALL, ffn=32), {})
        with pytest.raises(SerError, match=r"layers.0.down.weight' has shape \(16, 24\), the sizes ask for \(16, 32\)"):
            mockingjay.load_encoder(tmp_path)
        (tmp_path / "encoder.safetensors").write_bytes(b"abc")
        with pytest.raises(SerError, match="damaged weights"):
            mockingjay.load_encoder(tmp_path)

    @pytest.mark.parametrize("values", [{"hidden": 10, "heads": 4}, {"dropout": 1.0}, {"layers": 0}])
    def test_impossible_sizes(self, values):
        with pytest.raises(ValueError):
            Config(**values)
