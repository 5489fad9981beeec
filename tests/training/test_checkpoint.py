from __future__ import annotations

import pytest
import torch

from ser.training import checkpoint


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
