from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ser.core import plugins, tasks
from ser.core.errors import SerError
from ser.core.recipe import Training
from ser.core.seeds import seed_everything
from ser.core.store import Store
from ser.core.tasks import Window
from ser.evaluation import metrics
from ser.models import cnns
from ser.training import batches
from ser.training.trainer import Trainer
from tests import toy

TASK = tasks.Task("classification", toy.CLASSES, {"frames": 12}, {"frames": "frame"})
SMALL = cnns.Config(channels=(4, 8), pools=(2, 2), dense=8)
TRAINING = Training(
    epochs=6, batch=8, lr=0.01, warmup=0.1, schedule="linear", clip=1.0, time_masks=1, checkpoint_every=5
)


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    toy.files(folder)
    table = toy.table()
    labels = tasks.class_indices(list(table["emotion"]), toy.CLASSES, "toy")
    return tasks.Examples(
        tuple(table["utterance"]), tuple(table["speaker"]), {"frames": Store(folder / "frames")}, (), labels
    )


def _whole(positions):
    return [Window(i, None) for i in positions]


def _trainer(training=TRAINING, folder=None, selection="last", classes=0):
    seed_everything(0)
    model = cnns.Model(SMALL, TASK)
    return Trainer(model, training, selection=selection, seed=3, folder=folder, classes=classes)


def test_it_learns(examples):
    trainer = _trainer(replace(TRAINING, epochs=15))
    history = trainer.fit(examples, None)
    assert history[-1]["train_loss"] < 0.5 * history[0]["train_loss"]
    scores = trainer.predict(examples.unlabelled()).values
    assert (scores.argmax(1) == examples.labels).mean() > 0.8


def test_a_killed_training_ends_with_the_same_weights(examples, tmp_path):
    whole = _trainer()
    whole.fit(examples, examples)

    class KilledError(Exception):
        pass

    cut = _trainer(folder=tmp_path)
    losses = cut.loop.step

    def killed_at_13(planned):
        if cut.loop.progress.step == 13:
            raise KilledError
        return losses(planned)

    cut.loop.step = killed_at_13
    with pytest.raises(KilledError):
        cut.fit(examples, examples)
    assert (tmp_path / "checkpoint.pt").exists()
    torch.manual_seed(999)  # whatever happened since
    again = _trainer(folder=tmp_path)
    assert again.fit(examples, examples) == whole.loop.progress.history
    for a, b in zip(whole.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("micro_batch", [1, 3, 8, 100])
def test_micro_batches_give_the_step_of_the_whole_batch(examples, micro_batch):
    """`cnns` has neither dropout here nor batch statistics; inputs of one length, so that padding is the same."""
    training = replace(TRAINING, time_masks=0, frames=32)
    weights = []
    for size in (None, micro_batch):
        trainer = _trainer(replace(training, micro_batch=size))
        rows = trainer.fit(examples, None)
        weights.append(([p.detach().clone() for p in trainer.model.parameters()], [r["train_loss"] for r in rows]))
    for a, b in zip(weights[0][0], weights[1][0], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(weights[0][1], weights[1][1], rtol=1e-4)


@pytest.mark.parametrize("micro_batch", [None, 3])
def test_batches_that_a_thread_prepares_change_no_byte(examples, micro_batch):
    """On a GPU a thread prepares the batches; here the same code runs without a GPU, and without pinned memory."""
    training = replace(TRAINING, micro_batch=micro_batch, frequency_masks=1, frequency_width=4, mixup=0.3)
    plain = _trainer(training, classes=3)
    rows = plain.fit(examples, None)
    threaded = _trainer(training, classes=3)
    plan = threaded.loop.plan
    threaded.loop.plan = lambda epoch, position: batches.ahead(plan(epoch, position))
    assert threaded.fit(examples, None) == rows
    for a, b in zip(plain.model.parameters(), threaded.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_dev_selection_keeps_the_weights_of_the_best_evaluation(examples):
    trainer = _trainer(selection="dev")
    history = trainer.fit(examples, examples)
    kept = metrics.macro_recall(examples.labels, trainer.predict(examples).values.argmax(1), 3)
    assert kept == max(row["dev_score"] for row in history)


def test_patience_stops(examples):
    trainer = _trainer(replace(TRAINING, epochs=200, patience=2, lr=1e-9, warmup=0.0))
    assert len(trainer.fit(examples, examples)) == 3


def test_an_exploding_loss_is_an_error_not_a_number(examples):
    with pytest.raises(SerError, match=r"the loss is .* at step"):
        _trainer(replace(TRAINING, lr=1e18, clip=None, warmup=0.0)).fit(examples, None)


def test_every_utterance_is_in_one_batch_an_epoch(examples):
    for epoch in (0, 1):
        plan = batches.order(examples, TRAINING, 1, epoch)
        assert sorted(w.utterance for b in plan for w in b) == list(range(len(examples)))
    assert batches.order(examples, TRAINING, 1, 0) != batches.order(examples, TRAINING, 1, 1)
    assert batches.order(examples, TRAINING, 1, 0) == batches.order(examples, TRAINING, 1, 0)


def test_buckets_cut_padding(examples):
    lengths = examples.stores["frames"].lengths(examples.utterances)

    def padding(training):
        plan = [lengths[[w.utterance for w in b]] for b in batches.order(examples, training, 1, 0)]
        return sum(max(b) * len(b) - sum(b) for b in plan)

    assert padding(TRAINING) < 0.5 * padding(replace(TRAINING, bucket=False))


def test_padding_and_masks(examples):
    batch = batches.collate(examples, _whole(range(3)), TRAINING, "cpu", None)
    mask, x = batch.mask("frames"), batch.inputs["frames"]
    lengths = examples.stores["frames"].lengths(examples.utterances[:3])
    assert mask.sum(1).tolist() == lengths.tolist()
    assert x.shape == (3, max(lengths), 12)
    assert not x[~mask].any()
    np.testing.assert_array_equal(x[0, : lengths[0]].numpy(), examples.stores["frames"][examples.utterances[0]])


def test_long_utterances_are_cropped_at_the_centre_or_at_random(examples):
    training = replace(TRAINING, frames=8, time_masks=0)
    longest = int(np.argmax(examples.stores["frames"].lengths(examples.utterances)))
    whole = examples.stores["frames"][examples.utterances[longest]]
    start = (len(whole) - 8) // 2
    centre = batches.collate(examples, _whole([longest]), training, "cpu", None).inputs["frames"][0].numpy()
    np.testing.assert_array_equal(centre, whole[start : start + 8])
    starts = set()
    for seed in range(20):
        x = (
            batches.collate(examples, _whole([longest]), training, "cpu", np.random.default_rng(seed))
            .inputs["frames"][0]
            .numpy()
        )
        starts.add(int(np.flatnonzero((whole == x[0]).all(1))[0]))
    assert len(starts) > 5
    assert max(starts) <= len(whole) - 8


def test_specaugment_masks_only_in_training_and_within_its_widths(examples):
    training = replace(TRAINING, frequency_masks=1, frequency_width=4, time_masks=1, time_width=6, time_share=0.2)
    plain = batches.collate(examples, _whole(range(16)), training, "cpu", None)
    torch.manual_seed(0)
    masked = batches.collate(examples, _whole(range(16)), training, "cpu", np.random.default_rng(0))
    assert not (plain.inputs["frames"][plain.mask("frames")] == 0).any()
    seen = 0
    for x, length in zip(masked.inputs["frames"], masked.lengths["frames"], strict=True):
        zero = x[:length] == 0
        rows, columns = zero.all(1).sum(), zero.all(0).sum()
        assert rows <= min(6, 0.2 * int(length))
        assert columns < 4 + 1
        seen += int(rows > 0) + int(columns > 0)
    assert seen > 8


def test_whether_there_is_a_dev_part_changes_no_weight(examples):
    weights = []
    for dev in (None, examples):
        trainer = _trainer()
        trainer.fit(examples, dev)
        weights.append([p.clone() for p in trainer.model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))


@pytest.mark.parametrize("frames", [3, 127, 300])
def test_cnns_takes_any_length(frames):
    model = plugins.load("models", "cnns").Model(
        cnns.Config(), tasks.Task("classification", ("a",) * 4, {"x": 160}, {"x": "frame"})
    )
    batch = tasks.Batch({"x": torch.randn(1, frames, 160)}, {"x": torch.tensor([frames])}, None)
    assert model(batch).logits.shape == (1, 4)


def test_cnns_blocks_have_the_printed_sizes():
    """papers.md 4.2: 1 551 744 parameters in the four blocks; (512, 6, 1) from 768 frames of 160 bands."""
    model = cnns.Model(cnns.Config(), tasks.Task("classification", ("a",) * 4, {"x": 160}, {"x": "frame"}))
    assert sum(p.numel() for p in model.branch.parameters()) == 1_551_744
    assert model.branch(torch.zeros(1, 768, 160)).shape == (1, 512, 6)
