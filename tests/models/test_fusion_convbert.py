from __future__ import annotations

import pytest
import torch

from ser.core import plugins
from ser.core.errors import SerError
from ser.core.recipe import Training
from ser.core.tasks import Batch, Task
from ser.models.fusion_convbert import Config, Model, fallback
from tests.models.tiny_fusion import STILL, VARIANTS, batch, model, task


@pytest.mark.parametrize(("classes", "parameters"), [(4, 23_617_948), (7, 23_618_311)])
def test_the_whole_model_has_the_printed_size(classes, parameters):
    """papers.md 4.3 and 4.4."""
    with torch.device("meta"):
        whole = Model(Config(allow_random=True), task(classes, 160))
    counts = {name: sum(p.numel() for p in child.parameters()) for name, child in whole.named_children()}
    assert counts == {
        "encoder": 21_388_800,
        "project_frames": 92_280,
        "cnn": 1_551_744,
        "project_tokens": 61_560,
        "fusion": 523_080,
        "head": 121 * classes,
    }
    assert sum(counts.values()) == parameters


def test_the_worked_example_of_the_paper():
    """papers.md 4.4: shapes from (2, 768, 160), robust_bert, then the roles exchanged."""
    whole = Model(Config(allow_random=True), task(4, 160)).eval()
    shapes = {}
    for name, child in [*whole.named_children(), ("layer", whole.fusion[-1])]:
        child.register_forward_hook(lambda _, __, out, name=name: shapes.update({name: tuple(out.shape)}))
    x = Batch({"x": torch.randn(2, 768, 160)}, {"x": torch.tensor([768, 500])}, None)
    with torch.no_grad():
        assert whole(x).logits.shape == (2, 4)
        assert shapes["encoder"] == (2, 768, 768)
        assert shapes["project_frames"] == (2, 768, 120)
        assert shapes["cnn"] == (2, 512, 6)
        assert shapes["project_tokens"] == shapes["layer"] == (2, 6, 120)
        q, k, v, _, _ = whole._roles(torch.ones(2, 768, 120), torch.ones(2, 768), torch.ones(2, 6, 120), None)
        assert (q.shape[1], k.shape[1], v.shape[1]) == (6, 768, 768)
    exchanged = model(variant="robust_cnns")
    exchanged.fusion[-1].register_forward_hook(lambda _, __, out: shapes.update(exchanged=tuple(out.shape)))
    exchanged(batch([40, 24]))
    assert shapes["exchanged"] == (2, 40, 12)


@pytest.mark.parametrize("variant", ["bert", "transformer"])
def test_padding_changes_nothing_where_there_is_no_cnn(variant):
    m = model(variant=variant, allow_random=variant == "bert", fusion_layers=3).double().eval()
    plain = m(batch([24, 17], dtype=torch.float64)).logits
    padded = m(batch([24, 17], frames=124, dtype=torch.float64)).logits
    torch.testing.assert_close(padded, plain)
    beside_a_longer_one = m(batch([24, 17, 124], dtype=torch.float64)).logits[:2]
    torch.testing.assert_close(beside_a_longer_one, plain)


@pytest.mark.parametrize(
    ("fusion", "tokens"),
    [
        ("robust_bert", "sequence"),
        ("robust_bert", "one"),
        ("robust_cnns", "sequence"),
        ("robust_cnns", "one"),
        ("equation_10", "sequence"),
    ],
)
def test_padding_changes_nothing_in_the_fusion(fusion, tokens, monkeypatch):
    """The CNN's own outputs do depend on padding through its layer norm, so they are held fixed here: with 96 more
    padded frames come 12 more tokens, of rubbish."""
    m = model(fusion=fusion, cnn_tokens=tokens).double().eval()
    short, long = batch([24, 17], dtype=torch.float64), batch([24, 17, 120], dtype=torch.float64)
    with torch.no_grad():
        known = m.cnn(short.inputs["x"])
        plain = m(short).logits
        rubbish = torch.full((3, 8, 15), 1e3, dtype=torch.float64)
        rubbish[:2, :, :3] = known
        monkeypatch.setattr(m.cnn, "forward", lambda x: rubbish)
        torch.testing.assert_close(m(long).logits[:2], plain)
        rubbish[:2, :, :3] += torch.randn(2, 8, 3, dtype=torch.float64)
        assert not torch.allclose(m(long).logits[:2], plain), "valid tokens do count"


def test_padding_reaches_the_cnn_through_its_layer_norm_unless_the_length_is_fixed():
    m = model().eval()
    with torch.no_grad():
        at_64 = m(batch([64, 40], frames=64)).logits
        torch.testing.assert_close(m(batch([64, 40, 20], frames=64)).logits[:2], at_64)
        assert not torch.equal(m(batch([64, 40], frames=164)).logits, at_64), "else the docstring is wrong"


def test_with_one_cnn_token_robust_cnns_ignores_the_query():
    """papers.md 4.4: the softmax over a single key is 1, so attention gives every query the same."""
    for tokens, same in (("one", True), ("sequence", False)):
        m = model(variant="robust_cnns", cnn_tokens=tokens).double().eval()
        mixed = []
        for layer in m.fusion:
            layer.attention.register_forward_hook(lambda _, __, out, mixed=mixed: mixed.append(out))
        m(batch([40, 40], dtype=torch.float64))
        for out in mixed:
            assert torch.allclose(out, out[:, :1].expand_as(out), rtol=0, atol=1e-12) is same


def test_equation_10_takes_keys_from_the_cnn_and_values_from_the_encoder():
    m = model(fusion="equation_10")  # 8 frames a token
    frames, tokens = torch.randn(1, 21, 12), torch.randn(1, 2, 12)
    valid, present = torch.ones(1, 21, dtype=torch.bool), torch.ones(1, 2, dtype=torch.bool)
    q, k, v, at_q, at_k = m._roles(frames, valid, tokens, present)
    assert q is frames
    assert v is frames
    torch.testing.assert_close(k, torch.cat([tokens[:, :1].expand(1, 8, 12), tokens[:, 1:].expand(1, 13, 12)], 1))
    assert at_q.shape == at_k.shape == (1, 21)


def test_concatenation_is_a_linear_layer_on_the_means_of_both_branches():
    m = model(fusion="concatenation").eval()
    items = batch([24, 17])
    frames = m.project_frames(m.encoder(items.inputs["x"], items.lengths["x"]))
    tokens, present = m.tokens(items.inputs["x"], items.lengths["x"])
    means = [torch.cat([tokens[i, present[i]].mean(0), frames[i, :n].mean(0)]) for i, n in enumerate((24, 17))]
    torch.testing.assert_close(m(items).logits, m.head(torch.stack(means)))
    assert len(m.fusion) == 0


def test_the_fallback_is_the_safe_profile():
    assert fallback(Config(profile="paper")) is None
    assert fallback(Config(profile="paper", fallback="safe")) == Config(profile="safe", fallback="safe")
    assert fallback(Config(profile="safe", fallback="safe")) is None


@pytest.mark.parametrize(
    "values",
    [{"variant": v} for v in VARIANTS]
    + [
        {"fusion": "concatenation"},
        {"fusion": "equation_10"},
        {"fusion": "robust_cnns"},
        {"cnn_tokens": "one"},
        {"activation": "swish"},
    ],
    ids=lambda v: "-".join(v.values()),
)
def test_every_variant_learns_four_items_to_nothing(values):
    m = model(**STILL, **values).train()
    items = batch([24, 17, 30, 20])
    optimiser = torch.optim.Adam(m.parameter_groups(Training(epochs=1, lr=0.01)))
    first = m.loss(m(items), items).item()
    for _ in range(60):
        optimiser.zero_grad()
        loss = m.loss(m(items), items)
        loss.backward()
        optimiser.step()
    assert first > 0.5
    assert m.eval().loss(m(items), items).item() < 0.01


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_parameter_is_in_one_group_and_frozen_ones_in_none(variant):
    m = model(variant=variant, profile="safe", lr_rest=0.5)
    groups = m.parameter_groups(Training(epochs=1, lr=0.25))
    ids = [id(p) for g in groups for p in g["params"]]
    assert len(ids) == len(set(ids))
    assert set(ids) == {id(p) for p in m.parameters() if p.requires_grad}
    encoder = {id(p) for p in m.encoder.parameters()}
    rates = {g["lr"] for g in groups if {id(p) for p in g["params"]} & encoder}
    assert rates == (set() if variant == "fusion_b_frozen" else {1e-4})
    assert groups[0]["lr"] == 0.5


@pytest.mark.parametrize(
    ("values", "rates"),
    [
        ({}, (0.25, 0.25)),
        ({"profile": "paper"}, (2e-3, 2e-3)),
        ({"profile": "safe"}, (1e-4, 1e-3)),
        ({"lr_encoder": 0.1}, (0.1, 0.25)),
        ({"profile": "safe", "lr_encoder": 0.1}, (0.1, 1e-3)),
    ],
)
def test_rates_are_the_own_ones_else_the_profiles_else_the_trainings(values, rates):
    assert Config(**values).rates(0.25) == rates


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"d": 100}, r"d 100 is not a multiple of fusion_heads 6 \(models.fusion_convbert\)"),
        ({"pools": [4, 4]}, "4 channels but 2 pools"),
        ({"variant": "robust_cnns", "fusion": "equation_10"}, "sets the direction itself"),
        ({"fusion": "equation_10", "cnn_tokens": "one"}, "same key"),
        ({"variant": "bert", "fusion": "concatenation"}, "joins two"),
        ({"lr_encoder": 0}, "must be positive"),
        ({"variant": "robust_cnn"}, "robust_cnns"),
    ],
)
def test_impossible_settings_are_refused(values, message):
    with pytest.raises(SerError, match=message):
        plugins.build(Config, values, "models.fusion_convbert")


def test_tasks_it_cannot_solve_are_refused():
    with pytest.raises(SerError, match="one frame-level feature"):
        Model(Config(allow_random=True), Task("classification", ("a", "b"), {"x": 9}, {"x": "utterance"}))
