from __future__ import annotations

import numpy as np
import pytest
import torch

from ser.core.errors import SerError
from ser.core.tasks import Batch, Task
from ser.models import clstm, stem
from ser.models import statistics as floor
from ser.training.experiment import run
from tests import toy

VARIANTS = ("cnn", "transformer", "fusion")


def task(columns: int = 80) -> Task:
    return Task("classification", tuple("abcdefg"), {"x": columns}, {"x": "frame"})


def batch(*lengths: int, columns: int = 80) -> Batch:
    torch.manual_seed(0)
    x = torch.zeros(len(lengths), max(lengths), columns)
    for row, n in zip(x, lengths, strict=True):
        row[:n] = torch.randn(n, columns)
    return Batch({"x": x}, {"x": torch.tensor(lengths)}, torch.arange(len(lengths)) % 7)


def test_the_tokens_of_the_cnn_have_the_documented_shape():
    """160 frames of 80 bands: 5 tokens; 2 bands are left of 128 channels."""
    cnn = stem.Convolutions(stem.Config(), 80)
    assert (cnn.span, cnn.columns) == (32, 256)
    assert cnn(torch.zeros(3, 160, 80)).shape == (3, 5, 256)
    assert cnn(torch.zeros(1, 20, 80)).shape == (1, 1, 256)  # padded to one token


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_odd_number_of_frames_and_bands_fits_every_variant(variant):
    model = stem.Model(stem.Config(variant=variant), task(41)).eval()
    assert model(batch(77, 77, columns=41)).logits.shape == (2, 7)


def test_the_losses_of_the_branches_are_added_in_training_alone():
    model = stem.Model(stem.Config(auxiliary=0.5), task())
    data = batch(64, 64, 64)
    assert set(model.loss(model(data), data)) == {"cross_entropy", "cnn", "transformer"}
    assert set(model.loss(model.eval()(data), data)) == {"cross_entropy"}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_weight_is_trained(variant):
    model = stem.Model(stem.Config(variant=variant), task())
    data = batch(64, 64, 64)
    sum(model.loss(model(data), data).values()).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_learns_the_toy_with_the_recipe(variant, tmp_path):
    where = toy.files(tmp_path)
    settings, files = toy.for_model(where, "stem")
    settings["config"] |= {"variant": variant}
    settings["training"] |= {
        **{"epochs": 12, "window": "random_crop", "normalise": "train", "optimiser": "adamw", "average": 0.8},
        **{"label_smoothing": 0.1, "class_weights": True, "mixup": 0.2, "frequency_warp": 0.1, "schedule": "cosine"},
    }
    rows = run(settings, files, {"jobs": 1})
    assert (rows["truth"] == rows["prediction"]).mean() > 0.8


def test_normalisation_per_speaker_is_marked_transductive(tmp_path):
    from ser.core.files import read_json

    where = toy.files(tmp_path)
    settings, files = toy.for_model(where, "mlp")
    for mode, transductive in (("train", False), ("speaker", True)):
        settings["training"]["normalise"] = mode
        run(settings, files, {"jobs": 1})
        assert read_json(files.card)["transductive"] is transductive


@pytest.mark.parametrize("recurrent", ["bigru", "none"])
def test_a_clstm_with_a_front_ignores_padded_segments(recurrent):
    config = clstm.Config(
        channels=(3, 4), front=5, pooling="statistics", recurrent=recurrent, hidden=6, layers=1, dense=8
    )
    model = clstm.Model(config, task(400)).eval()
    data = batch(4, 2, columns=400)
    alone = Batch({"x": data.inputs["x"][1:, :2]}, {"x": torch.tensor([2])}, None)
    torch.testing.assert_close(model(data).logits[1:], model(alone).logits)


def test_the_front_has_one_position_per_stride():
    config = clstm.Config(channels=(4,), front=5, front_kernel=64, front_stride=8)
    model = clstm.Model(config, task(2000))
    assert model.front is not None
    assert model.front(torch.zeros(1, 1, 2000)).shape == (1, 5, 251)
    assert model.blocks[0].positions == 251 // 4


def test_the_summary_of_an_utterance():
    x = np.array([[0.0, 1.0], [2.0, 1.0], [1.0, 1.0]])
    found = floor.summary(x).reshape(8, 2)
    np.testing.assert_allclose(found[:, 0], [1, np.std([0, 2, 1]), 0.1, 0.5, 1, 1.5, 1.9, 1.5])
    np.testing.assert_allclose(found[:, 1], [1, 0, 1, 1, 1, 1, 1, 0])
    assert np.isfinite(floor.summary(x[:1])).all()  # one frame has no neighbour


@pytest.mark.parametrize("config", [{}, {"classifier": "logistic"}, {"scaling": "per_speaker"}])
def test_statistics_of_frames_separate_the_classes_of_the_toy(config, tmp_path):
    from dataclasses import replace

    where = toy.files(tmp_path)
    files = replace(where, features={"frames": tmp_path / "frames"})
    rows = run(toy.settings("statistics", config, features=["frames"]), files, {"jobs": 1})
    assert (rows["truth"] == rows["prediction"]).mean() > 0.8


def test_the_front_may_average_its_outputs():
    """Each position is the mean of so many outputs of the layer without averaging; what is left over is dropped."""
    torch.manual_seed(0)
    plain, pooled = (
        clstm.Model(clstm.Config(channels=(4,), front=5, front_pool=pool), task(2000)).eval() for pool in (1, 8)
    )
    pooled.load_state_dict(plain.state_dict())
    x = torch.randn(2, 1, 2000)
    assert plain.front is not None
    assert pooled.front is not None
    wanted = plain.front(x)[:, :, :248].unflatten(2, (31, 8)).mean(3)
    torch.testing.assert_close(pooled.front(x), wanted)
    assert pooled.blocks[0].positions == 31 // 4


def test_a_front_that_leaves_nothing_is_refused():
    config = clstm.Config(channels=(4,), front=5, front_pool=252)  # of 251 positions
    with pytest.raises(SerError, match=r"no position of a segment of 2000 samples \(models.clstm.front_pool\)"):
        clstm.Model(config, task(2000))
