"""Each option of the training against a closed form or another library."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ser.core.recipe import Training
from ser.core.store import Store, Writer
from ser.core.tasks import Batch, Examples, Window
from ser.models.layers.classifier import cross_entropy, masked_statistics, statistics
from ser.training import augmentation, batches
from ser.training.loop import Loop, learning_rate
from ser.training.normalisation import FLOOR, fitted, normalised

LENGTHS = {"a": 7, "b": 3, "c": 5, "d": 6}
SPEAKERS = {"a": "x", "b": "x", "c": "y", "d": "y"}


@pytest.fixture
def part(tmp_path) -> Examples:
    generator = np.random.default_rng(0)
    card = {"feature": "logmel", "level": "frame"}
    with (
        Writer(tmp_path / "frames", 4, "float32", card) as frames,
        Writer(tmp_path / "vectors", 4, "float32", card | {"level": "utterance"}) as vectors,
    ):
        for utterance, n in LENGTHS.items():
            frames.append(utterance, generator.normal(3, 2, (n, 4)))
            vectors.append(utterance, generator.normal(3, 2, 4))
    stores = {name: Store(tmp_path / name) for name in ("frames", "vectors")}
    return Examples(tuple(LENGTHS), tuple(SPEAKERS.values()), stores, (), np.array([0, 1, 2, 0]))


def raw(part: Examples, *utterances: str, name: str = "frames") -> np.ndarray:
    return np.concatenate([np.atleast_2d(part.stores[name][u]) for u in utterances]).astype(np.float64)


def z(x: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    return (x - mean) / (deviation + FLOOR)


class TestNormalisation:
    def test_none_is_the_store_itself(self, part):
        assert normalised(part, "none", fitted(part, "none")).stores == part.stores

    def test_utterance(self, part):
        x = raw(part, "b")
        found = normalised(part, "utterance", fitted(part, "utterance")).stores["frames"]["b"]
        np.testing.assert_allclose(found, z(x, x.mean(0), x.std(0)), rtol=1e-5)

    def test_utterance_mean_takes_the_deviation_of_training(self, part):
        train = replace(part, utterances=("a", "c"), speakers=("x", "y"))
        left = np.concatenate([raw(part, u) - raw(part, u).mean(0) for u in ("a", "c")])
        found = normalised(part, "utterance_mean", fitted(train, "utterance_mean")).stores["frames"]["b"]
        np.testing.assert_allclose(found, z(raw(part, "b"), raw(part, "b").mean(0), left.std(0)), rtol=1e-5)

    @pytest.mark.parametrize("name", ["frames", "vectors"])
    def test_train_takes_mean_and_deviation_of_training(self, part, name):
        train = replace(part, utterances=("a", "c"), speakers=("x", "y"))
        x = raw(part, "a", "c", name=name)
        found = normalised(part, "train", fitted(train, "train")).stores[name]
        np.testing.assert_allclose(found["b"], z(raw(part, "b", name=name), x.mean(0), x.std(0)).squeeze(), rtol=1e-5)

    @pytest.mark.parametrize("name", ["frames", "vectors"])
    def test_speaker_takes_those_of_the_speaker(self, part, name):
        x = raw(part, "c", "d", name=name)
        found = normalised(part, "speaker", fitted(part, "speaker")).stores[name]
        np.testing.assert_allclose(found["d"], z(raw(part, "d", name=name), x.mean(0), x.std(0)).squeeze(), rtol=1e-4)
        if name == "vectors":
            np.testing.assert_array_equal(found.rows(["d", "a"]), np.stack([found["d"], found["a"]]))

    def test_corpus_takes_those_of_the_corpus_in_this_part(self, part):
        part = replace(part, corpora=("one", "two", "two", "one"))
        x = raw(part, "a", "d")
        found = normalised(part, "corpus", fitted(part, "corpus")).stores["frames"]
        np.testing.assert_allclose(found["d"], z(raw(part, "d"), x.mean(0), x.std(0)), rtol=1e-4)

    @pytest.mark.parametrize("mode", ["utterance", "utterance_mean"])
    def test_vectors_have_no_frames_to_normalise_over(self, part, mode):
        assert normalised(part, mode, fitted(part, mode)).stores["vectors"] is part.stores["vectors"]


class TestSoftLabels:
    def batch(self) -> Batch:
        torch.manual_seed(0)
        return Batch({"x": torch.randn(5, 4)}, {}, torch.tensor([0, 2, 2, 1, 2]))

    def test_without_options_a_batch_stays_as_it_is(self):
        batch = self.batch()
        assert augmentation.softened(batch, Training(), torch.ones(3)) is batch

    def test_label_smoothing_is_torchs(self):
        batch, logits = self.batch(), torch.randn(5, 3)
        soft = augmentation.softened(batch, Training(label_smoothing=0.1), torch.ones(3))
        expected = functional.cross_entropy(logits, batch.targets, label_smoothing=0.1)
        torch.testing.assert_close(cross_entropy(logits, soft), expected)

    def test_class_weights_are_those_of_scikit_learn_and_enter_as_torchs(self):
        from sklearn.utils.class_weight import compute_class_weight

        batch, logits = self.batch(), torch.randn(5, 3)
        weights = augmentation.class_weights(batch.targets, 3)
        balanced = compute_class_weight("balanced", classes=np.arange(3), y=batch.targets.numpy())
        np.testing.assert_allclose(weights, balanced, rtol=1e-6)
        soft = augmentation.softened(batch, Training(class_weights=True), weights)
        expected = functional.cross_entropy(logits, functional.one_hot(batch.targets, 3).float(), weight=weights)
        torch.testing.assert_close(cross_entropy(logits, soft), expected)

    def test_a_class_without_examples_has_weight_0(self):
        assert augmentation.class_weights(torch.tensor([0, 0, 2]), 3).tolist() == [0.5, 0.0, 1.0]

    def test_mixup_mixes_inputs_and_labels_alike_and_keeps_the_larger_part(self):
        labels = torch.tensor([0, 2, 2, 1, 2])
        batch = Batch({"x": functional.one_hot(labels, 3).float()}, {"x": torch.tensor([1, 2, 3, 4, 5])}, labels)
        torch.manual_seed(0)
        mixed = augmentation.softened(batch, Training(mixup=0.5), torch.ones(3))
        assert mixed.soft is not None
        torch.testing.assert_close(mixed.inputs["x"], mixed.soft)
        assert (mixed.soft.max(1).values < 1).any()
        assert (mixed.soft.gather(1, labels[:, None]) >= 0.5).all()
        assert (mixed.lengths["x"] >= batch.lengths["x"]).all()


class TestFrequencyWarp:
    def test_factor_1_is_the_identity(self):
        x = torch.randn(6, 9)
        torch.testing.assert_close(augmentation.warp(x, 1.0), x, rtol=0, atol=0)

    @pytest.mark.parametrize("factor", [0.9, 1.1])
    def test_a_ramp_becomes_a_ramp_of_another_slope(self, factor):
        ramp = torch.arange(9.0)[None]
        torch.testing.assert_close(augmentation.warp(ramp, factor), (ramp * factor).clamp(max=8))

    def test_one_band_has_nothing_to_warp(self):
        assert augmentation.warp(torch.ones(3, 1), 1.1).tolist() == [[1.0]] * 3


def test_random_crops_are_drawn_in_training_and_whole_utterances_are_predicted(part):
    training = Training(epochs=1, window="random_crop", frames=5, batch=4)
    [items] = batches.order(part, training, 1, 0)
    crops = batches.collate(part, items, training, "cpu", np.random.default_rng(0))
    assert crops.inputs["frames"].shape == (4, 5, 4)
    predicted = {part.utterances[w.utterance]: b for [w], b in batches.batches(part, training, "cpu")}
    for utterance, n in LENGTHS.items():
        found = predicted[utterance].inputs["frames"]
        assert found.shape == (1, max(n, 5), 4)
        np.testing.assert_array_equal(found[0, :n], part.stores["frames"][utterance])
    # an utterance that is no longer than a crop is the same in both
    row = next(i for i, w in enumerate(items) if part.utterances[w.utterance] == "b")
    torch.testing.assert_close(crops.inputs["frames"][row], predicted["b"].inputs["frames"][0])


def test_the_mean_of_the_weights_is_torchs_moving_average_and_is_what_is_judged():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    theirs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.8), use_buffers=True)
    optimiser.register_step_post_hook(lambda *_: theirs.update_parameters(model))
    judged: list[torch.Tensor] = []

    def plan(epoch, position):
        return torch.randn(3, 4, 2)[position:]

    def evaluate():
        judged.append(model[0].weight.detach().clone())
        return {}

    Loop(model, optimiser, plan, lambda x: (model(x) - 1).square().mean(), evaluate, epochs=4, average=0.8).fit()
    assert len(judged) == 4
    torch.testing.assert_close(judged[-1], model[0].weight)
    expected = {k: v for k, v in theirs.module.state_dict().items() if v.is_floating_point()}
    torch.testing.assert_close({k: model.state_dict()[k] for k in expected}, expected)


def test_schedules_are_those_of_torch():
    total, warmup = 50, 0.3
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1.0, total, pct_start=warmup, cycle_momentum=False)
    for step in range(total):
        ours = learning_rate(step, total, warmup=warmup, schedule="one_cycle")
        assert math.isclose(ours, theirs.get_last_lr()[0], rel_tol=1e-9, abs_tol=1e-12)
        optimiser.step()
        if step + 1 < total:
            theirs.step()
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, total - 10)
    for step in range(10, total):
        ours = learning_rate(step, total, warmup=0.2, schedule="cosine")
        assert math.isclose(ours, cosine.get_last_lr()[0], rel_tol=1e-9, abs_tol=1e-12)
        optimiser.step()
        cosine.step()


def test_statistics_are_those_of_numpy_and_padding_is_no_part_of_them():
    x, lengths = torch.randn(2, 5, 3), [2, 5]
    mask = torch.arange(5) < torch.tensor(lengths)[:, None]
    for row, n, found in zip(x.numpy(), lengths, masked_statistics(x, mask), strict=True):
        expected = np.concatenate([row[:n].mean(0), np.sqrt(row[:n].var(0) + 1e-5)])
        np.testing.assert_allclose(found, expected, rtol=1e-4)
    torch.testing.assert_close(statistics(x, 1)[1], masked_statistics(x, mask)[1])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"label_smoothing": 1.0}, "label_smoothing is a share"),
        ({"average": 1.0}, "average is a share"),
        ({"mixup": -0.1}, "mixup must not be negative"),
        ({"schedule": "one_cycle"}, "set warmup"),
        ({"window": "random_crop"}, "needs frames"),
    ],
)
def test_values_without_a_meaning_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        Training(epochs=1, **values)


def test_another_speed_is_that_of_a_resampled_tone():
    """A tone of 200 Hz that is spoken 1.25 times as fast has 250 Hz and lasts 0.8 times as long."""
    rate, factor = 16000, 1.25
    tone = torch.sin(2 * torch.pi * 200 * torch.arange(rate) / rate)[:, None]
    made = augmentation.at_speed(tone, factor)
    expected = torch.sin(2 * torch.pi * 250 * torch.arange(round(rate / factor)) / rate)[:, None]
    assert made.shape == expected.shape
    assert (made - expected).abs().max() < 0.01  # the error of linear interpolation
    rows = augmentation.at_speed(tone, factor, 500)
    assert rows.shape == (26, 500)  # 12 800 samples in rows of 500
    torch.testing.assert_close(rows.reshape(-1)[: len(made)], made[:, 0])
    assert not rows.reshape(-1)[len(made) :].any()


def test_frames_keep_their_columns_at_another_speed():
    ramp = torch.arange(10.0)[:, None].repeat(1, 3)
    torch.testing.assert_close(augmentation.at_speed(ramp, 0.5)[:19, 0], torch.arange(19.0) / 2)
    torch.testing.assert_close(augmentation.at_speed(ramp, 1.0), ramp)


def test_masks_are_those_of_torchaudio_for_the_same_draws(monkeypatch):
    """Masks are drawn for a whole batch; torchaudio draws a width and a place of one utterance after the other."""
    from torchaudio.functional import mask_along_axis

    lengths, bands = [50, 7, 23], 12
    training = Training(epochs=1, frequency_masks=2, frequency_width=9, time_masks=3, time_width=20, time_share=0.29)
    x = torch.rand(3, 60, bands) + 1
    masks = augmentation.drawn_masks(lengths, bands, training, torch.Generator().manual_seed(5))
    found = augmentation.lay(masks, x.clone())
    again = torch.Generator().manual_seed(5)
    draws = {name: torch.rand((3, m, 2), generator=again) for name, m in (("frequency", 2), ("time", 3))}
    for i, n in enumerate(lengths):
        expected = x[i, :n].T[None]
        for name, axis, width, share in (("frequency", 1, 9, 1.0), ("time", 2, 20, 0.29)):
            for pair in draws[name][i]:
                left = iter(pair)
                monkeypatch.setattr(torch, "rand", lambda *_, left=left, **__: next(left))
                expected = mask_along_axis(expected, width, 0.0, axis=axis, p=share)
        torch.testing.assert_close(found[i, :n], expected[0].T, rtol=0, atol=0)
        assert (found[i, :n] == 0).any() or n == 7
        assert (found[i, n:, (found[i, :n] != 0).any(0)] == x[i, n:, (found[i, :n] != 0).any(0)]).all()


def test_a_batch_is_the_same_whatever_was_drawn_before_and_its_crops_need_no_augmentation(part):
    training = Training(epochs=1, frames=4, time_masks=1, frequency_masks=1, speed=0.2, noise=(0.0, 5.0))
    items = [Window(i, None) for i in range(len(part))]
    made = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        made.append(batches.collate(part, items, training, "cpu", np.random.default_rng(7)).inputs["frames"])
    torch.testing.assert_close(*made, rtol=0, atol=0)
    plain = [np.random.default_rng(7), np.random.default_rng(7)]
    batches.collate(part, items, training, "cpu", plain[0])
    batches.collate(part, items, Training(epochs=1, frames=4), "cpu", plain[1])
    assert plain[0].random() == plain[1].random()


def test_a_thread_makes_the_next_items_in_order_and_passes_its_errors_on():
    made: list[int] = []

    def source():
        for i in range(5):
            made.append(i)
            yield i
        raise KeyError("broken")

    items = batches.ahead(source())
    assert next(items) == 0
    found = [0]
    with pytest.raises(KeyError, match="broken"):
        found.extend(items)
    assert found == made == [0, 1, 2, 3, 4]
    assert list(batches.ahead([])) == []
    stopped = batches.ahead(itertools.count())
    assert next(stopped) == 0
    stopped.close()  # ends the thread


def test_noise_has_the_ratio_that_was_asked_for():
    torch.manual_seed(0)
    signal = torch.sin(torch.arange(200_000.0)).reshape(-1, 100)
    noise = augmentation.noisy(signal, (10.0, 10.0)) - signal
    ratio = 10 * torch.log10(signal.square().mean() / noise.square().mean())
    assert ratio == pytest.approx(10.0, abs=0.1)


def test_speed_changes_the_lengths_in_training_only(part):
    training, before = Training(epochs=1, speed=0.5), np.array(list(LENGTHS.values()))
    items = [Window(i, None) for i in range(len(part))]
    part = replace(part, stores={"frames": part.stores["frames"]})
    torch.manual_seed(1)
    trained = batches.collate(part, items, training, "cpu", np.random.default_rng(0)).lengths["frames"].numpy()
    assert (trained != before).any()
    assert ((trained >= before / 1.5 - 1) & (trained <= before / 0.5 + 1)).all()
    predicted = batches.collate(part, items, training, "cpu", None).lengths["frames"].numpy()
    np.testing.assert_array_equal(predicted, before)
