"""The encoder of Fusion-ConvBERT: given weights, fine-tuned or frozen, and every variant through the runner."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from ser.core import plugins, tasks
from ser.core.errors import SerError
from ser.core.files import read_json
from ser.core.recipe import Training
from ser.core.store import Store
from ser.evaluation import predictions
from ser.models.fusion_convbert import Config
from ser.models.layers import mockingjay
from ser.training.experiment import run
from ser.training.trainer import Trainer
from tests import toy
from tests.models.tiny_fusion import ENCODER, TINY, VARIANTS, F, batch, model

TRAINING = {"epochs": 2, "batch": 8, "lr": 0.01, "frames": 32}


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """A folder as pre-training leaves it; its dropout is not what fine-tuning uses."""
    torch.manual_seed(7)
    config = mockingjay.Config(input=F, **ENCODER, dropout=0.4, layer_norm_eps=1e-3)
    folder = tmp_path_factory.mktemp("pretrained")
    mockingjay.save_encoder(folder, mockingjay.Encoder(config), config, {"steps": 50, "hours": 0.1})
    return folder


@pytest.fixture(scope="module")
def where(tmp_path_factory):
    made = toy.files(tmp_path_factory.mktemp("toy"), dim=F)
    return replace(made, features={"frames": made.features["vectors"].with_name("frames")})


def _examples(where):
    table = toy.table()
    labels = tasks.class_indices(list(table["emotion"]), toy.CLASSES, "toy")
    stores = {"x": Store(where.features["frames"])}
    return tasks.Examples(tuple(table["utterance"]), tuple(table["speaker"]), stores, (), labels)


@pytest.mark.parametrize("variant", [v for v in VARIANTS if v != "transformer"])
def test_the_encoder_has_the_weights_it_was_given(variant, pretrained):
    m = model(pretrained, variant=variant, allow_random=False, dropout=0.2)
    _, weights = mockingjay.load_encoder(pretrained)
    assert m.encoder.state_dict().keys() == weights.keys()
    assert all(torch.equal(v, weights[k]) for k, v in m.encoder.state_dict().items())
    assert m.notes == {"pretrained": {"kind": "mockingjay", "steps": 50, "hours": 0.1}}
    inside = asdict(m.encoder.config)
    assert (inside["dropout"], inside["layer_norm_eps"]) == (0.2, 1e-3), "its own eps, this training's dropout"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"variant": "transformer"}, r"transformer is not pre-trained \(models.fusion_convbert.variant\)"),
        ({"hidden": 32}, r"has hidden 16, not 32"),
        ({"activation": "swish"}, r"has activation gelu, not swish"),
        ({"pretrained": Path("no/such/folder")}, r"missing file \(no/such/folder"),
    ],
)
def test_weights_that_do_not_fit_the_variant_are_refused(values, message, pretrained):
    with pytest.raises(SerError, match=message):
        model(**{"pretrained": pretrained, **values})


def test_weights_of_another_feature_are_refused(pretrained):
    from ser.models.fusion_convbert import Model

    task = tasks.Task("classification", ("a", "b"), {"x": F + 1}, {"x": "frame"})
    with pytest.raises(SerError, match=rf"has input {F}, not {F + 1}"):
        Model(Config(**TINY), task).load_pretrained(pretrained)


@pytest.mark.parametrize("variant", VARIANTS)
def test_only_the_transformer_trains_without_a_pretrained_encoder(variant, where):
    m = model(variant=variant, allow_random=False)
    if variant == "transformer":
        m.prepare(_examples(where))
        return
    with pytest.raises(SerError, match=f"variant {variant} needs a pre-trained encoder .*finetuning"):
        m.prepare(_examples(where))


@pytest.mark.parametrize("variant", ["fusion_b_frozen", "fusion_convbert"])
def test_a_frozen_encoder_is_bitwise_what_it_was(variant, where, pretrained):
    m = model(pretrained, variant=variant, dropout=0.3)
    before = {k: v.clone() for k, v in m.state_dict().items()}
    training = Training(**TRAINING, optimiser="adamw", weight_decay=0.1, clip=1.0)
    Trainer(m, training, selection="last", seed=1, device="cpu", bfloat16=False).fit(_examples(where), None)
    changed = {k for k, v in m.state_dict().items() if not torch.equal(v, before[k])}
    frozen = {k for k in before if k.startswith("encoder.")} if variant == "fusion_b_frozen" else set()
    assert changed == before.keys() - frozen


def test_a_frozen_encoder_has_no_dropout_while_the_rest_trains():
    m = model(variant="fusion_b_frozen", dropout=0.5).train()
    assert m.training
    assert not any(module.training for module in m.encoder.modules())
    x = batch([20, 30])
    inputs = (x.inputs["x"], x.lengths["x"])
    assert torch.equal(m.encoder(*inputs), m.encoder(*inputs))
    tuned = model(dropout=0.5).train()
    assert not torch.equal(tuned.encoder(*inputs), tuned.encoder(*inputs))


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_runs_through_the_runner(variant, where, pretrained, tmp_path):
    config = {**TINY, "variant": variant, "allow_random": False, "profile": "safe"}
    assert plugins.build(Config, config, "toy").variant == variant
    settings = toy.settings(
        "fusion_convbert", config=config, training=TRAINING, features=["frames"], selection="dev", seeds=[1]
    )
    settings["pretrained"] = None if variant == "transformer" else str(pretrained)
    out = {name: tmp_path / name for name in ("predictions", "curves", "card")}
    run(settings, replace(where, **out, checkpoints=tmp_path / "checkpoints"), {"jobs": 1})
    table = predictions.read(out["predictions"]).table
    assert sorted(table["utterance"]) == sorted(toy.table()["utterance"])
    scores = table[[f"score_{c}" for c in toy.CLASSES]].to_numpy()
    assert abs(scores.sum(1) - 1).max() < 1e-4
    assert len({tuple(s) for s in scores}) > 1
    assert read_json(out["card"])["config"]["variant"] == variant
