"""Precision, determinism, peak memory; folders in shared memory of dead processes are removed, and no others."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ser.core import compute
from ser.core.errors import SerError
from ser.core.files import read_json
from ser.training import costs


def test_shared_memory_of_dead_processes_is_swept(tmp_path, monkeypatch):
    monkeypatch.setattr(compute.tempfile, "gettempdir", lambda: str(tmp_path))
    dead = subprocess.Popen(["true"])
    dead.wait()
    names = {f"joblib_memmapping_folder_{pid}_ab_cd": pid for pid in (dead.pid, os.getpid())}
    for name in [*names, "joblib_memmapping_folder_x", f"other_folder_x_{dead.pid}"]:
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (0, 0))
    young = tmp_path / f"joblib_memmapping_folder_{dead.pid}_young"
    young.mkdir()
    compute.sweep_shared_memory()
    left = {p.name for p in tmp_path.iterdir()}
    assert f"joblib_memmapping_folder_{dead.pid}_ab_cd" not in left
    assert len(left) == 4


def test_a_machine_without_a_driver_has_no_gpu_and_torch_is_not_asked(monkeypatch):
    monkeypatch.setattr(compute, "has_driver", lambda: False)
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it would fail
    assert compute.device("auto") == compute.device("cpu") == "cpu"
    with pytest.raises(SerError, match="no CUDA device"):
        compute.device("cuda")


def test_with_a_driver_torch_decides(monkeypatch):
    import torch

    monkeypatch.setattr(compute, "has_driver", lambda: True)
    for found, wanted in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda found=found: found)
        assert compute.device("auto") == wanted


def test_the_driver_is_that_of_nvidia_or_amd(monkeypatch):
    monkeypatch.setattr(compute.Path, "exists", lambda path: False)
    for raised, wanted in ((None, True), (OSError, False)):
        monkeypatch.setattr(compute.ctypes, "CDLL", lambda name, raised=raised: raise_if(raised))
        assert compute.has_driver() is wanted
    monkeypatch.setattr(compute.Path, "exists", lambda path: str(path) == "/dev/kfd")
    assert compute.has_driver()


def raise_if(error: type[Exception] | None) -> None:
    if error:
        raise error


@pytest.fixture
def flags():
    import torch

    places = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [place.allow_tf32 for place in places]
    yield
    for place, value in zip(places, before, strict=True):
        place.allow_tf32 = value


@pytest.mark.parametrize(
    ("able", "precision", "found"),
    [
        (True, "auto", "bfloat16"),
        (True, "bfloat16", "bfloat16"),
        (True, "float32", "float32"),
        (False, "auto", "tf32"),
        (False, "float32", "float32"),
    ],
)
def test_bfloat16_is_for_gpus_that_compute_in_it(monkeypatch, flags, able, precision, found):
    import torch

    asked = []
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: asked.append(1) or able)
    assert compute.arithmetic(precision, "cuda") == found
    if found != "bfloat16":
        assert torch.backends.cuda.matmul.allow_tf32 is torch.backends.cudnn.allow_tf32 is (found == "tf32")
    asked.clear()
    assert compute.arithmetic("auto", "cpu") == "float32"
    assert compute.arithmetic("bfloat16", "cpu") == "bfloat16"
    assert not asked


def test_bfloat16_on_a_gpu_without_it_is_refused(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    with pytest.raises(SerError, match="Tesla T4 does not compute in bfloat16"):
        compute.arithmetic("bfloat16", "cuda")


def test_cublas_is_told_to_repeat_itself_before_cuda_starts(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    compute.deterministic()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_the_peak_memory_of_a_gpu_is_that_of_one_fold(monkeypatch, tmp_path):
    import torch

    calls: list[str] = []
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU of {device}")
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: calls.append(f"reset {device}"))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: calls.append(f"read {device}") or 7)
    costs.Watch("cuda:1", 1, False).write(tmp_path / "cost.json")
    assert calls == ["reset cuda:1", "read cuda:1"]
    assert read_json(tmp_path / "cost.json")["gpu_bytes"] == 7
