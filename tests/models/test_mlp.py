"""The MLP with learnt weights of an encoder's layers."""

from __future__ import annotations

import pytest
import torch

from ser.core.errors import SerError
from ser.core.tasks import Batch, Task
from ser.models import mlp

TASK = Task("classification", ("a", "b"), {"x": 6}, {"x": "utterance"})


def test_the_layers_are_added_with_weights_that_start_equal():
    torch.manual_seed(0)
    model = mlp.Model(mlp.Config(hidden=4, layers=3), TASK).eval()
    x = torch.randn(5, 6)
    alone = model.layers(x.reshape(5, 3, 2).mean(1))
    torch.testing.assert_close(model(Batch({"x": x}, {}, None)).logits, alone)
    with torch.no_grad():
        model.logits[0] = torch.tensor([-50.0, 50.0, -50.0])
    torch.testing.assert_close(model(Batch({"x": x}, {}, None)).logits, model.layers(x[:, 2:4]))


def test_the_weights_are_learnt():
    torch.manual_seed(0)
    model = mlp.Model(mlp.Config(hidden=16, dropout=0.0, layers=3), TASK)
    batch = Batch({"x": torch.randn(5, 6)}, {}, torch.tensor([0, 1, 0, 1, 1]))
    model.loss(model(batch), batch).backward()
    assert model.logits.grad is not None
    assert model.logits.grad.abs().sum() > 0


def test_columns_that_are_not_so_many_layers():
    with pytest.raises(SerError, match=r"6 columns of 'x' are not 4 layers \(models\.mlp\.layers\)"):
        mlp.Model(mlp.Config(layers=4), TASK)


def test_without_layers_there_is_no_further_weight():
    assert not [name for name, _ in mlp.Model(mlp.Config(), TASK).named_parameters() if name == "logits"]
