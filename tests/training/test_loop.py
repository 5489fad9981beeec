"""The loop itself: what experiments, pretraining and Speech2Vec share."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ser.core.errors import SerError
from ser.training.loop import Loop, learning_rate
from ser.training.optimiser import Adam

X = torch.arange(12.0).view(6, 2, 1) / 10


class KilledError(Exception):
    pass


def regression(folder=None, *, killed_at=None, seed=0, **options):
    """A linear regression in six batches of two per epoch, with dropout from torch's generator."""
    torch.manual_seed(seed)
    model = torch.nn.Linear(1, 1)

    def plan(epoch, position):
        yield from X[torch.from_numpy(np.random.default_rng(epoch).permutation(6))[position:]]

    def step(x):
        if loop.progress.step == killed_at:
            raise KilledError
        error = torch.nn.functional.dropout(model(x), 0.2) - 2 * x
        return {"squared": error.square().mean(), "absolute": error.abs().mean()}

    options = {"epochs": 4, "checkpoint_every": 4, "path": folder / "checkpoint.pt" if folder else None} | options
    loop = Loop(model, Adam(model.parameters(), 0.01), plan, step, **options)
    return loop


def test_the_curve_has_a_row_per_epoch_with_every_term():
    rows = regression().fit()
    assert [row["step"] for row in rows] == [6, 12, 18, 24]
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    for row in rows:
        assert row["train_loss"] == pytest.approx(row["train_squared"] + row["train_absolute"])
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]


def test_steps_end_within_an_epoch_and_evaluations_come_every_so_many_steps():
    loop = regression(epochs=None, steps=10, every=4, evaluate=lambda: {"dev_score": 1.0})
    rows = loop.fit()
    assert [row["step"] for row in rows] == [4, 8, 10]
    assert loop.progress.best_step == 4


@pytest.mark.parametrize("options", [{}, {"epochs": None, "steps": 21, "every": 5}])
@pytest.mark.parametrize("killed_at", [5, 7, 12, 20])
def test_a_killed_training_ends_with_the_same_weights_and_curve(tmp_path, options, killed_at):
    whole = regression(**options)
    rows = whole.fit()
    with pytest.raises(KilledError):
        regression(tmp_path, killed_at=killed_at, **options).fit()
    again = regression(tmp_path, seed=999, **options)
    assert again.fit() == rows
    assert torch.equal(whole.model.weight, again.model.weight)
    finished = regression(tmp_path, seed=999, **options)
    assert finished.fit() == rows
    assert finished.timing.steps == 0


def test_an_evaluation_changes_nothing_of_the_training():
    plain = regression()
    plain.fit()
    watched = regression(evaluate=lambda: {"drawn": float(torch.rand(3).sum())})
    watched.fit()
    assert torch.equal(plain.model.weight, watched.model.weight)


def test_the_best_weights_are_kept_and_patience_stops():
    weights, scores = [], iter([0.1, 0.7, 0.7, 0.2, 0.9])

    def evaluate():
        weights.append(loop.model.weight.detach().clone())
        return {"dev_score": next(scores)}

    loop = regression(evaluate=evaluate, epochs=9, patience=2, keep_best=True)
    assert len(loop.fit()) == 4
    assert loop.progress.best_step == 12
    assert torch.equal(loop.model.weight, weights[1])


def test_a_loss_that_is_not_finite_is_an_error_and_leaves_no_checkpoint(tmp_path):
    loop = regression(tmp_path, checkpoint_every=2)
    loop.step = lambda x: loop.model(x).mean() * (float("nan") if loop.progress.step == 1 else 1.0)
    with pytest.raises(SerError, match="the loss is nan at step 2"):
        loop.fit()
    assert not list(tmp_path.iterdir())


def test_the_mean_loss_counts_batches_by_their_size():
    loop = regression(epochs=1, size=lambda x: float(x[0, 0] > 0.7))
    loop.step = lambda x: loop.model.weight.sum() * 0 + x.sum()
    assert loop.fit()[0]["train_loss"] == pytest.approx(float(X[4:].sum(dim=(1, 2)).mean()))


def test_a_plan_without_a_batch_is_an_error():
    loop = regression()
    loop.plan = lambda epoch, position: ()
    with pytest.raises(ValueError, match="no batch"):
        loop.fit()


def test_the_rate_warms_up_and_decays_to_nothing():
    rates = [learning_rate(step, 100, warmup=0.1, schedule="linear") for step in range(100)]
    np.testing.assert_allclose(rates[:10], np.arange(1, 11) / 10)
    np.testing.assert_allclose(rates[10:], (100 - np.arange(10, 100)) / 90)
    assert learning_rate(99, 100) == 1.0


@pytest.mark.parametrize(("every", "expected"), [(None, [1, 1, 0.1, 0.1, 0.1, 0.1]), (2, [1, 1, 0.1, 0.1, 0.01, 0.01])])
def test_rates_step_at_epochs(every, expected):
    rates = [
        learning_rate(5 * epoch + 3, 30, schedule="step", per_epoch=5, decay_start=2, gamma=0.1, decay_every=every)
        for epoch in range(6)
    ]
    np.testing.assert_allclose(rates, expected)


def test_the_rate_is_applied_to_every_group():
    model = torch.nn.Linear(1, 1)
    optimiser = torch.optim.SGD([{"params": [model.weight], "lr": 0.1}, {"params": [model.bias], "lr": 0.2}])
    seen = []

    def step(x):
        seen.append([group["lr"] for group in optimiser.param_groups])
        return model(x).mean()

    Loop(model, optimiser, lambda epoch, position: iter(X[position:]), step, steps=2, rate=lambda s: 1 / (s + 1)).fit()
    np.testing.assert_allclose(seen, [[0.1, 0.2], [0.05, 0.1]])
