"""CLSTM: parameter counts of papers.md 6.3, the rows of its Table 1, center loss, and what padding may not do."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.nn import functional

from ser.core import plugins
from ser.core.tasks import Batch, Task
from ser.models import clstm
from ser.models.clstm import Config, Model, center_loss, move_centers

SMALL = {"channels": (3, 4), "hidden": 4, "dense": 6}
# papers.md 6.6: skip, recurrent, weight of the center loss
ROWS = {
    "convlstm_fcn_softmax": ("none", "none", 0.0),
    "convlstm_skip_fcn_softmax": ("add", "none", 0.0),
    "convlstm_bilstm_softmax": ("none", "bilstm", 0.0),
    "convlstm_skip_bilstm_softmax": ("add", "bilstm", 0.0),
    "convlstm_bigru_softmax": ("none", "bigru", 0.0),
    "convlstm_skip_bigru_softmax": ("add", "bigru", 0.0),
    "convlstm_skip_bigru_center": ("add", "bigru", 0.003),
}


def task(classes, samples=32):
    return Task("classification", tuple("abcdefgh"[:classes]), {"waveform": samples}, {"waveform": "frame"})


def model(classes=3, samples=32, **config):
    torch.manual_seed(0)
    return Model(Config(**{**SMALL, **config}), task(classes, samples))


def batch(x, lengths=None, labels=None):
    lengths = torch.tensor(lengths or [x.shape[1]] * len(x))
    return Batch({"waveform": x}, {"waveform": lengths}, None if labels is None else torch.tensor(labels))


def count(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("classes", "config", "expected"),
    [
        (8, {}, 1_397_448),
        (4, {}, 1_396_932),
        (4, {"skip": "none"}, 1_367_812),
        (8, {"channels": "compact"}, 932_024),
    ],
)
def test_parameter_counts_are_those_of_the_specification(classes, config, expected):
    assert count(Model(Config(**config), task(classes, 8000))) == expected


def test_each_part_has_the_parameters_and_positions_of_the_specification():
    whole = Model(Config(), task(8, 8000))
    assert [count(block) for block in whole.blocks] == [50_624, 103_040, 304_384, 410_880]
    assert [block.positions for block in whole.blocks] == [2000, 500, 125, 31]
    assert [count(part) for part in (whole.recurrent, whole.dense, whole.head)] == [494_592, 32_896, 1_032]


@pytest.mark.parametrize("row", ROWS)
def test_every_row_of_table_1_is_a_configuration(row):
    skip, recurrent, weight = ROWS[row]
    values = {"channels": list(SMALL["channels"]), "skip": skip, "recurrent": recurrent, "center_weight": weight}
    own = Model(plugins.build(Config, values, "models.clstm"), task(3))
    terms = own.loss(own(batch(torch.randn(4, 3, 32))), batch(torch.empty(0), [1], [0, 1, 2, 0]))
    assert set(terms) == {"cross_entropy"} | ({"center"} if weight else set())
    assert {type(m).__name__ for m in own.modules() if "RNN" in type(m).__mro__[1].__name__} == (
        {"none": set(), "bilstm": {"LSTM"}, "bigru": {"GRU"}}[recurrent]
    )
    assert all((block.skip is not None) == (skip == "add") for block in own.blocks)


def test_the_defaults_are_the_proposed_row():
    assert (Config().skip, Config().recurrent, Config().center_weight) == ROWS["convlstm_skip_bigru_center"]


def test_center_loss_of_hand_computed_values():
    f = torch.tensor([[1.0, 2.0], [3.0, 0.0]])
    centers = torch.tensor([[0.0, 0.0], [5.0, 5.0], [1.0, 1.0]])
    # 1/2 (1 + 4) and 1/2 (2^2 + 1^2), their mean
    assert center_loss(f, torch.tensor([0, 2]), centers).item() == pytest.approx((2.5 + 2.5) / 2)


def test_the_gradient_of_the_center_loss_is_the_way_from_the_center():
    f = torch.randn(4, 3, requires_grad=True)
    centers, labels = torch.randn(2, 3), torch.tensor([0, 1, 1, 0])
    (found,) = torch.autograd.grad(center_loss(f, labels, centers), f)
    torch.testing.assert_close(found, (f - centers[labels]).detach() / 4)  # a mean over 4


def test_centers_move_by_the_published_rule():
    centers = torch.tensor([[0.0, 0.0], [2.0, 4.0], [7.0, 7.0]])
    f = torch.tensor([[3.0, 6.0], [0.0, 0.0], [6.0, 0.0]])
    move_centers(centers, f, torch.tensor([0, 1, 0]), 0.5)
    # class 0: delta = ((0 - 3) + (0 - 6), (0 - 6) + 0) / (1 + 2) = (-3, -2); class 1: (2, 4) / 2; class 2: unseen
    torch.testing.assert_close(centers, torch.tensor([[1.5, 1.0], [1.5, 3.0], [7.0, 7.0]]))


def test_centers_move_in_training_mode_only_and_are_saved():
    own, one = model(center_weight=0.1), batch(torch.randn(4, 2, 32), None, [0, 1, 2, 0])
    own.eval().loss(own(one), one)
    assert not own.centers.any()
    own.train()
    out = own(one)
    terms = own.loss(out, one)
    assert own.centers.any(1).all()
    assert "centers" in own.state_dict()
    assert not own.centers.requires_grad
    expected = 0.1 * out.embedding.square().sum(1).mean() / 2  # of the centers before they moved: zeros
    torch.testing.assert_close(terms["center"], expected)
    torch.testing.assert_close(terms["cross_entropy"], functional.cross_entropy(out.logits, one.targets))


@pytest.mark.parametrize("skip", ["none", "add", "concat"])
def test_every_skip_learns_a_toy_set_by_heart(skip):
    own = model(skip=skip, channels=(8, 8), hidden=8, dense=16, dropout=0.0, recurrent_dropout=0.0)
    one = batch(torch.randn(12, 2, 32), None, [0, 1, 2] * 4)  # noise: nothing to learn but the examples
    optimiser = torch.optim.Adam(own.parameters(), 0.02)
    for _ in range(60):
        optimiser.zero_grad()
        sum(own.loss(own(one), one).values()).backward()
        optimiser.step()
    assert (own.eval()(one).logits.argmax(1) == one.targets).all()


def test_skips_are_what_they_are_called():
    x = torch.randn(3, 2, 10)
    plain, added, joined = (
        clstm.Block(2, 3, 10, dataclasses.replace(Config(), skip=skip)).double().eval()
        for skip in ("none", "add", "concat")
    )
    added.load_state_dict(plain.state_dict(), strict=False)
    joined.load_state_dict(plain.state_dict())
    x = x.double()
    base, pooled = plain(x, [3]), functional.avg_pool1d(x, 4)
    torch.testing.assert_close(added(x, [3]), base + added.skip(pooled))
    torch.testing.assert_close(joined(x, [3]), torch.cat([base, pooled], 1))
    assert (joined.outputs, joined.positions) == (5, 2)


@pytest.mark.parametrize("recurrent", ["bigru", "bilstm", "none"])
def test_padding_and_company_never_change_a_prediction(recurrent):
    own = model(recurrent=recurrent).eval()
    lengths = [2, 5, 1, 3]
    x = torch.randn(4, 5, 32)
    together = own(batch(x, lengths)).logits
    for row, n, expected in zip(x, lengths, together, strict=True):
        torch.testing.assert_close(own(batch(row[None, :n])).logits[0], expected, rtol=0, atol=1e-6)
    noisy = x + 100 * (torch.arange(5)[None, :] >= torch.tensor(lengths)[:, None])[..., None]
    assert torch.equal(own(batch(noisy, lengths)).logits, together)


def test_batch_norm_counts_valid_segments_only():
    own, noise = model().train(), torch.randn(2, 4, 32)
    own(batch(noise, [4, 1]))
    padded = own.blocks[0].norm.running_mean.clone()
    h = own.blocks[0].convlstm(torch.stack([*noise[0, :1], *noise[1, :1], *noise[0, 1:]])[:, None], [2, 1, 1, 1])
    momentum = own.blocks[0].norm.momentum
    torch.testing.assert_close(padded, momentum * h.mean((0, 2)), rtol=1e-4, atol=1e-6)


def test_two_directions_end_at_the_last_and_at_the_first_segment():
    own = model().eval()
    x, seen = torch.randn(1, 3, 32), {}
    own.recurrent.register_forward_hook(lambda _, given, result: seen.update(all=result[0].data))
    own.dense.register_forward_hook(lambda _, given, result: seen.update(last=given[0]))
    own(batch(x))
    torch.testing.assert_close(seen["last"][0], torch.cat([seen["all"][2, :4], seen["all"][0, 4:]]))


def test_a_segment_alone_is_a_sample():
    assert model()(batch(torch.randn(4, 1, 32))).logits.shape == (4, 3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"channels": ()}, "at least 1"),
        ({"kernel": 2}, "kernel must be odd"),
        ({"dropout": 1.0}, "dropout must be in"),
        ({"center_alpha": 2.0}, "center_alpha must be in"),
    ],
)
def test_values_that_cannot_work_are_named(values, message):
    with pytest.raises(ValueError, match=message):
        Config(**values)


def test_an_unknown_profile_names_the_nearest():
    with pytest.raises(Exception, match=r"models\.clstm\.channels"):
        plugins.build(Config, {"channels": "compat"}, "models.clstm")
