from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from ser.core.errors import SerError
from ser.core.recipe import Training
from ser.core.store import Store, Writer
from ser.core.tasks import Batch, Examples, Task
from ser.models.emotion_autoencoder import Functionals, Model, check, functional_names
from ser.training.trainer import Trainer
from tests.models import tiny_autoencoder as tiny


def gradients(module: torch.nn.Module) -> list[bool]:
    """Of the parameters that can have one: whether they have one that is not 0."""
    return [p.grad is not None and bool(p.grad.any()) for p in module.parameters() if p.requires_grad]


@pytest.mark.parametrize("variant", tiny.VARIANTS)
def test_every_variant_overfits_a_toy_set(variant):
    """Waves with a different tempo per emotion: all are recognised, and reconstructed better than by their mean."""
    model = tiny.model(**tiny.STILL, **tiny.VARIANTS[variant], hidden=16, dense=(32, 16))
    batch = tiny.batch(frames=16)
    time, tempo = torch.arange(16)[None, :, None] / 16, (1 + batch.targets)[:, None, None]
    x = 0.5 + 0.4 * torch.sin(2 * math.pi * (tempo * time + torch.arange(tiny.F) / tiny.F))
    batch.inputs["logmag"] = x
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(80):
        optimiser.zero_grad()
        losses = model.loss(model(batch), batch)
        tiny.total(losses).backward()
        optimiser.step()
    assert losses["reconstruction"] < 0.5 * (x - x.mean()).abs().mean()
    assert losses["classification"] < 0.1
    assert torch.equal(model.eval()(batch).logits.argmax(1), batch.targets)


@pytest.mark.parametrize("detach", [False, True])
def test_detach_latent_keeps_the_classification_from_the_encoder(detach):
    model, batch = tiny.model(detach_latent=detach), tiny.batch()
    model.loss(model(batch), batch)["classification"].backward()
    assert any(gradients(model.encoder)) is not detach
    assert all(gradients(model.classifier)[-2:])
    assert not any(gradients(model.decoder))
    model.zero_grad()
    model.loss(model(batch), batch)["reconstruction"].backward()
    assert all(gradients(model.encoder.exit))
    assert any(gradients(model.decoder.embeddings))
    assert not any(gradients(model.classifier))


def test_two_stages_train_one_part_each():
    """Adam's momentum of the first stage must not move the encoder in the second, nor a batch norm its statistics."""
    model, batch = tiny.model(schedule="two_stage", autoencoder_share=0.4, norm="batch"), tiny.batch()
    optimiser = torch.optim.Adam(model.parameters(), 0.01)

    def state(part: str) -> list[Tensor]:
        return [t.clone() for t in getattr(model, part).state_dict().values()]

    def same(a: list[Tensor], b: list[Tensor]) -> bool:
        return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))

    for step in range(5):
        before = {part: state(part) for part in ("encoder", "decoder", "classifier")}
        model.train()
        model.at_step(step, 5)
        optimiser.zero_grad(set_to_none=True)
        losses = model.loss(model(batch), batch)
        tiny.total(losses).backward()
        optimiser.step()
        first = step < 2  # 0.4 of 5
        assert same(state("encoder"), before["encoder"]) is not first
        assert same(state("decoder"), before["decoder"]) is not first
        assert same(state("classifier"), before["classifier"]) is first
        assert (losses["reconstruction"] > 0) == first == (losses["classification"] == 0)


def test_in_the_second_stage_the_encoder_drops_nothing():
    model, batch = tiny.model(schedule="two_stage"), tiny.batch()
    model.at_step(9, 10)
    x = batch.inputs["logmag"].mT
    assert torch.equal(model.train().encoder(x), model.encoder(x))
    assert model.classifier.training
    joint = tiny.model()
    assert not torch.equal(joint.encoder(x), joint.encoder(x))


@pytest.mark.parametrize("variant", tiny.VARIANTS)
def test_labels_never_reach_a_prediction(variant):
    batch = tiny.batch()
    model = tiny.model(**tiny.STILL, **tiny.VARIANTS[variant])
    other = dataclasses.replace(batch, labels=(batch.targets + 1) % tiny.K)
    a, b = model(batch), model(other)
    assert torch.equal(a.logits, b.logits)
    assert torch.equal(a.reconstruction, b.reconstruction) is not model.config.emotion_embedding
    model.eval()
    unlabelled = model(dataclasses.replace(batch, labels=None))
    assert unlabelled.reconstruction is None
    assert torch.equal(unlabelled.logits, model(other).logits)


def test_the_losses_by_hand():
    model, batch = tiny.model(), tiny.batch()
    output = model(batch)
    found = model.loss(output, batch)
    error = (output.reconstruction - batch.inputs["logmag"]).abs()
    torch.testing.assert_close(found["reconstruction"], error.mean())
    picked = output.logits.log_softmax(1)[torch.arange(6), batch.targets]
    torch.testing.assert_close(found["classification"], -picked.mean())
    weighted = tiny.model(classification_weight=10.0, reduction="sum").loss(output, batch)
    torch.testing.assert_close(weighted["reconstruction"], error.sum((1, 2)).mean())
    torch.testing.assert_close(weighted["classification"], -10 * picked.mean())


def test_a_loss_of_evaluation_mode_is_refused():
    model, batch = tiny.model().eval(), tiny.batch()
    with pytest.raises(AssertionError, match="evaluation"):
        model.loss(model(batch), batch)


@pytest.mark.parametrize(("frames", "kernels"), [(8, 3), (20, 3), (100, 3), (16, 32)])
def test_frames_that_do_not_fit_are_refused(frames, kernels):
    model = tiny.model(bank_kernels=kernels)
    with pytest.raises(SerError, match=r"emotion_autoencoder.training.frames.*frames: 128"):
        model(tiny.batch(frames=frames))


@pytest.mark.parametrize("frames", [16, 24, 128])
def test_the_reconstruction_is_as_long_as_the_crop(frames):
    batch = tiny.batch(2, frames)
    assert tiny.model()(batch).reconstruction.shape == batch.inputs["logmag"].shape


@pytest.mark.parametrize(
    ("size", "values", "found"),
    [
        (1966, {}, ("functionals",)),
        (1582, {"profile": "text"}, ("functionals",)),
        (1582, {"functionals": False}, ()),
        (1582, {}, "profile table needs 1966 functionals.* have 1582.*is10_is09"),
        (1966, {"profile": "text"}, "profile text needs 1582 functionals"),
    ],
)
def test_the_profile_says_which_functionals_are_needed(size, values, found):
    config, task = tiny.config(**values), tiny.task(functionals=size)
    if isinstance(found, tuple):
        assert functional_names(config, task) == found
    else:
        with pytest.raises(SerError, match=found):
            Model(config, task)


def test_an_experiment_without_functionals_is_refused_before_it_runs():
    check(tiny.config(), {"logmag": "logmag", "is10_is09": "functionals"}, None, "experiments.x")
    check(tiny.config(functionals=False), {"logmag": "logmag"}, None, "experiments.x")
    with pytest.raises(SerError, match=r"only logmag \(experiments.x.functionals\)"):
        check(tiny.config(), {"logmag": "logmag"}, None, "experiments.x")


@pytest.mark.parametrize(
    "values",
    [
        {"hidden": 8, "heads": 3},
        {"dropout": 1.0},
        {"dense": ()},
        {"bank_kernels": 0},
        {"autoencoder_share": 1.0},
        {"classification_weight": -1.0},
        {"norm_eps": 0.0},
    ],
)
def test_values_that_cannot_work_are_refused(values):
    with pytest.raises(ValueError):
        tiny.config(**values)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> tuple[Examples, Task]:
    """Nine utterances of two speakers, 10 to 90 frames, with both features."""
    folder, generator = tmp_path_factory.mktemp("stores"), np.random.default_rng(0)
    utterances, lengths = tuple(f"u{i}" for i in range(9)), np.linspace(10, 90, 9).astype(int)
    task = tiny.task()
    for name, size in task.inputs.items():
        level = task.levels[name]
        card = {"level": level, "rate": 16000, "frame_rate": 80.0 if level == "frame" else None}
        with Writer(folder / name, size, "float32", card) as writer:
            for u, length in zip(utterances, lengths, strict=True):
                rows = generator.normal(3, 10, size) if level == "utterance" else generator.random((length, size))
                if level == "utterance":
                    rows[5] = 0.1  # constant
                writer.append(u, rows)
    stores = {name: Store(folder / name) for name in task.inputs}
    return Examples(utterances, ("a", "b", "b") * 3, stores, (), np.arange(9) % tiny.K), task


def test_functionals_are_z_scored_by_the_training_part(corpus):
    examples, _ = corpus
    scaler = Functionals(("functionals",), tiny.V)
    rows = torch.from_numpy(examples.vectors("functionals"))
    batch = Batch({"functionals": rows}, {}, None)
    assert scaler(batch, rows).isnan().all()
    scaler.fit(examples)
    z = scaler(batch, rows)
    assert z.shape == (9, tiny.V)
    assert not z[:, 5].any()  # constant in the training part
    torch.testing.assert_close(z.mean(0), torch.zeros(tiny.V), atol=1e-5, rtol=0)
    varies = torch.arange(tiny.V) != 5
    torch.testing.assert_close(z[:, varies].std(0, unbiased=False), torch.ones(tiny.V - 1))
    assert set(dict(scaler.named_buffers())) == {"mean", "factor"}  # in the state dict, not parameters
    assert Functionals((), 0)(batch, rows).shape == (9, 0)


def test_it_trains_on_crops_and_leaves_arrays_for_the_figures(corpus):
    examples, task = corpus
    training = Training(epochs=2, batch=8, lr=1e-3, frames=32, window="crops", crop_hop=16, clip=5.0)
    torch.manual_seed(1)  # the first weights, which would depend on the tests before
    loop = Trainer(
        Model(tiny.config(), task), training, selection="last", seed=1, device="cpu", bfloat16=False, label="test"
    )
    history = loop.fit(examples, None)
    for row in history:
        assert row["train_loss"] == pytest.approx(row["train_reconstruction"] + row["train_classification"])
    model, test = loop.model, examples.unlabelled()
    assert not model.functionals.factor.isnan().any()
    found = loop.artefacts(test)
    assert found["examples"].tolist() == [3, 8]  # the first and the last of at least 32 frames
    assert found["axes"].tolist() == [80, 16000]
    crop = examples.stores["logmag"][examples.utterances[8]][:32]
    np.testing.assert_array_equal(found["inputs"][1], crop)
    with torch.no_grad():
        z = model.eval().encoder(torch.tensor(crop).T[None])
        decoded = [model.decoder(z, torch.tensor([k]))[0].T.numpy() for k in range(tiny.K)]
        np.testing.assert_allclose(found["reconstructions"][1], decoded, atol=1e-5)
        # the utterance of 30 frames is one crop, padded; that of 50 frames is crops at 0, 16 and 18
        padded = functional.pad(torch.tensor(examples.stores["logmag"][examples.utterances[2]]), (0, 0, 0, 2))
        np.testing.assert_allclose(found["latents"][2], model.encoder(padded.T[None])[0].mean(1), atol=1e-5)
        frames = torch.tensor(examples.stores["logmag"][examples.utterances[4]])
        crops = torch.stack([frames[s : s + 32] for s in (0, 16, 18)])
        np.testing.assert_allclose(found["latents"][4], model.encoder(crops.mT).mean((0, 2)), atol=1e-5)
