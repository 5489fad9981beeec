"""The variant of the fusion model that reads frames of a self-supervised encoder in place of its Mockingjay branch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ser.core import plugins
from ser.core.errors import SerError
from ser.core.files import read_json
from ser.core.recipe import Training
from ser.core.store import Store, Writer
from ser.core.tasks import Batch, Task
from ser.features import logmel, ssl
from ser.features.extraction import extract
from ser.models import fusion_convbert
from ser.models.fusion_convbert import Config, Model
from ser.training import experiment
from tests import toy
from tests.models.tiny_fusion import STILL, TINY

BANDS, WIDTH = 12, 16
SSL = {**TINY, "variant": "fusion_ssl", "allow_random": False}
TASK = Task("classification", ("a", "b", "c"), {"x": BANDS, "heard": WIDTH}, {"x": "frame", "heard": "frame"})


def model(**values) -> Model:
    torch.manual_seed(0)
    return Model(Config(**{**SSL, **STILL, **values}), TASK)


def batch(lengths: list[int], heard: list[int]) -> Batch:
    inputs = {}
    for name, width, valid in (("x", BANDS, lengths), ("heard", WIDTH, heard)):
        inputs[name] = torch.zeros(len(valid), 64, width)
        for i, length in enumerate(valid):
            inputs[name][i, :length] = torch.randn(length, width, generator=torch.Generator().manual_seed(i))
    return Batch(inputs, {"x": torch.tensor(lengths), "heard": torch.tensor(heard)}, torch.arange(len(lengths)) % 3)


def test_queries_come_from_the_cnn_and_keys_from_the_encoders_frames():
    made, seen = model().eval(), []
    made.fusion[0].register_forward_hook(lambda _, given, __: seen.append(given))
    made(batch([40, 60], [39, 59]))
    q, k, v, keys, queries = seen[0]
    assert q.shape == (2, 64 // made.cnn.span, TINY["d"])
    assert k.shape == v.shape == (2, 59, TINY["d"])
    assert keys.tolist() == [39, 59]
    assert queries.tolist() == made.cnn.mask(torch.tensor([40, 60]), q.shape[1]).sum(1).tolist()


def test_it_has_no_encoder_of_its_own_to_train_and_needs_no_pretraining():
    made = model()
    assert made.encoder is None
    assert not [name for name in made.state_dict() if name.startswith("encoder")]
    assert made.project_frames.in_features == WIDTH
    (group,) = made.parameter_groups(Training(epochs=1, batch=2, lr=0.1))
    assert sum(p.numel() for p in group["params"]) == sum(p.numel() for p in made.parameters())
    made.prepare(None)
    with pytest.raises(SerError, match="fusion_ssl is not pre-trained"):
        made.load_pretrained(None)


def test_both_inputs_count_and_padding_of_the_frames_does_not():
    made, given = model().eval(), batch([64, 64], [50, 60])
    plain = made(given).logits
    other = batch([64, 64], [50, 60])
    other.inputs["heard"][0, 50:] = 7.0
    torch.testing.assert_close(made(other).logits, plain)
    for name in ("x", "heard"):
        other = batch([64, 64], [50, 60])
        other.inputs[name][:, :10] += 1.0
        assert not torch.allclose(made(other).logits, plain)


@pytest.mark.parametrize(
    ("values", "features", "fault"),
    [
        (SSL, {"logmel": "logmel"}, "also reads the frames of an encoder .*with_functionals"),
        (SSL, {"logmel": "logmel", "is10": "functionals"}, "also reads the frames of an encoder"),
        (TINY, {"logmel": "logmel", "tiny": "ssl"}, "variant fusion_convbert reads one feature .*fusion_ssl"),
    ],
)
def test_features_that_do_not_fit_the_variant_are_refused(values, features, fault):
    with pytest.raises(SerError, match=fault):
        fusion_convbert.check(Config(**values), features, None, "with_functionals.x")


def test_statistics_of_an_encoder_are_refused():
    with pytest.raises(SerError, match=r"two frame-level features, not x.*pool: none"):
        Model(Config(**SSL), replace(TASK, levels={"x": "frame", "heard": "utterance"}))


@pytest.fixture
def where(tmp_path):
    """The toy experiment with sounds whose pitch tells the class, their log-mel frames and the tiny encoder's."""
    files = toy.files(tmp_path)
    with Writer(tmp_path / "audio", None, "int16", {"rate": 16000, "synthetic": True}) as audio:
        for k, row in enumerate(toy.table().itertuples()):
            pitch = 200 * 2 ** toy.CLASSES.index(row.emotion)
            noise = np.random.default_rng(k).normal(0, 300, 9600)
            tone = 3000 * np.sin(2 * np.pi * pitch * np.arange(9600) / 16000)
            audio.append(row.utterance, (tone + noise).astype(np.int16))
    made = {"logmel": logmel.Feature(bands=BANDS, hop=320), "tiny": ssl.Feature(pool="none")}
    for name, feature in made.items():
        extract(feature, Store(tmp_path / "audio"), tmp_path / name, 1, checkpoints=tmp_path / "checkpoints")
    return replace(files, features={name: tmp_path / name for name in made})


def test_an_experiment_learns_from_both_and_its_card_names_the_encoder(where):
    config = {**SSL, "profile": "safe"}
    assert plugins.build(Config, config, "toy").variant == "fusion_ssl"
    training = {**toy.TRAINING, "epochs": 6}
    settings = toy.settings("fusion_convbert", config, training, features=["logmel", "tiny"])
    found = []
    for jobs in (1, 2):
        table = experiment.run(settings, replace(where, checkpoints=where.checkpoints / str(jobs)), {"jobs": jobs})
        found.append(where.predictions.read_bytes())
    assert found[0] == found[1]
    assert (table["truth"] == table["prediction"]).mean() > 0.6  # a third is chance
    card = read_json(where.card)
    assert card["encoders"] == {"tiny": {"bundle": "TINY", "sha256": "random", "pretrained_on": []}}
