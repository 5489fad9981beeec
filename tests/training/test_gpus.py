"""Workers take GPUs of their own. There is no GPU here: GPUs are names, and processes are real."""

from __future__ import annotations

import subprocess
import sys
from itertools import islice
from types import SimpleNamespace

import pytest
import torch

from ser.core.errors import SerError
from ser.training import experiment, gpus, workers
from tests import toy

TAKE = """
import sys, time
from pathlib import Path
from ser.training import gpus
print(gpus.taken(tuple(sys.argv[2].split(",")), Path(sys.argv[1])), flush=True)
time.sleep(60)
"""


def test_every_card_has_one_worker_before_any_has_two():
    order = list(islice(gpus.places(["0", "2", "5"]), 6))
    assert order == [(0, "0-0"), (1, "2-0"), (2, "5-0"), (0, "0-1"), (1, "2-1"), (2, "5-1")]


@pytest.mark.parametrize(
    ("visible", "count", "expected"),
    [
        (None, 2, ["0", "1"]),
        ("", 2, ["0", "1"]),
        ("2,5", 2, ["2", "5"]),
        ("GPU-8f6b, GPU-11aa", 2, ["GPU-8f6b", "GPU-11aa"]),
        ("3", 1, ["3"]),  # as Slurm gives a job one GPU of eight
        ("0,1", 3, ["0", "1", "2"]),  # names that do not fit the GPUs are not used
    ],
)
def test_a_card_is_told_from_the_others_of_the_machine(visible, count, expected):
    assert gpus.identified(visible, count) == expected


def test_processes_take_free_cards_and_a_new_one_the_card_of_the_dead(tmp_path):
    running = []

    def start(visible: str) -> int:
        command = [sys.executable, "-c", TAKE, str(tmp_path), visible]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return int(running[-1].stdout.readline())

    try:
        assert [start("0,1,2") for _ in range(3)] == [0, 1, 2]
        running[1].kill()
        running[1].wait()
        assert start("0,1,2") == 1
        assert start("0,1,2") == 0  # more workers than GPUs
        assert start("1,7") == 1  # another process sees two GPUs, of which one is in use
    finally:
        for process in running:
            process.kill()
            process.wait()


def test_a_process_keeps_its_card(tmp_path):
    first = gpus.taken(("a", "b"), tmp_path)
    assert [gpus.taken(("a", "b"), tmp_path) for _ in range(3)] == [first] * 3 == [0] * 3


@pytest.fixture
def eight(monkeypatch, tmp_path):
    """Four GPUs of one kind and two of another; the numbers that were made current."""
    names, current = ["A100"] * 4 + ["H100"] * 2, []
    fake = SimpleNamespace(
        device_count=lambda: len(names), get_device_name=lambda n: names[n], set_device=current.append
    )
    monkeypatch.setattr(torch, "cuda", fake)
    monkeypatch.setattr(gpus.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.delenv("SER_JOBS", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return current


def test_a_job_uses_only_cards_of_the_kind_that_is_in_its_fingerprint(eight):
    gpus.use("cpu", "cpu")
    assert eight == []
    gpus.use("cuda", "H100")
    assert eight == [4]
    gpus.use("cuda")  # any: as the first one
    assert eight == [4, 0]
    with pytest.raises(SerError, match=r"GPUs here are A100, .*, but this experiment is trained on V100 .*run.slurm"):
        gpus.use("cuda", "V100")


def test_there_is_one_worker_per_card_unless_another_number_is_asked_for(eight, monkeypatch):
    assert workers.number({}, "cuda") == 4
    assert workers.number({"jobs": 2}, "cuda") == 2
    monkeypatch.setenv("SER_JOBS", "8")
    assert workers.number({}, "cuda") == 8


def test_the_number_of_a_card_is_not_in_the_fingerprint(tmp_path):
    files = toy.files(tmp_path)
    settings = toy.settings("mlp", {"hidden": 4}, device="cuda")
    names = {experiment.fingerprint(settings, files, name) for name in ("A100", "A100", "H100", "cpu")}
    assert len(names) == 3
