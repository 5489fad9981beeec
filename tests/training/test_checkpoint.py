from __future__ import annotations

import pytest
import torch

from ser.training import checkpoint
from ser.training.loop import Loop


@pytest.mark.parametrize("damage", [lambda d: d[:-1], lambda d: b"", lambda d: d[:900] + bytes([d[900] ^ 1]) + d[901:]])
def test_a_damaged_checkpoint_is_set_aside_with_one_line(tmp_path, capsys, damage):
    path, state = tmp_path / "checkpoint.pt", {"weights": torch.arange(1000.0), "step": 3}
    checkpoint.save(path, state)
    assert checkpoint.load(path)["weights"].equal(state["weights"])
    path.write_bytes(damage(path.read_bytes()))
    assert checkpoint.load(path) is None
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: damaged file: ")
    assert f"({path})" in line
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt.damaged"]


def test_a_training_on_a_cpu_asks_nothing_of_cuda(tmp_path, monkeypatch):
    """On a machine with a GPU, too: asking for the state of its generator would start CUDA in every worker."""

    def started(*_):
        raise AssertionError("CUDA was started")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for name in ("get_rng_state", "set_rng_state", "init"):
        monkeypatch.setattr(torch.cuda, name, started)

    def loop(epochs):
        model = torch.nn.Linear(1, 1)
        optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
        data = torch.ones(3, 2, 1)
        options = {"epochs": epochs, "path": tmp_path / "checkpoint.pt", "checkpoint_every": 1}
        return Loop(model, optimiser, lambda e, p: data[p:], lambda x: model(x).mean(), dict, **options)

    loop(1).fit()
    assert len(loop(1).fit()) == 1  # from its checkpoint
