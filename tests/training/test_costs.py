"""What a training cost: the clock, and the time that its process was busy."""

from __future__ import annotations

import time

from ser.core.files import read_json, write_json
from ser.report import cost
from ser.training import costs


def test_waiting_is_no_work(tmp_path):
    watch = costs.Watch("cpu", 1, False)
    time.sleep(0.3)
    watch.write(tmp_path / "a.json")
    found = read_json(tmp_path / "a.json")
    assert found["seconds"] >= 0.3
    assert found["cpu_seconds"] < 0.2


def test_core_minutes_are_those_in_which_a_core_was_busy(tmp_path):
    about = {"seconds": 600.0, "peak_bytes": 1, "device": "cpu", "threads": 1, "resumed": False}
    for name in ("a", "b"):
        write_json(tmp_path / f"{name}.json", {**about, "cpu_seconds": 150.0})
    whole = costs.total([tmp_path / "a.json", tmp_path / "b.json"])
    assert (whole["seconds"], whole["cpu_seconds"]) == (1200.0, 300.0)
    assert cost.core_minutes(whole) == "5.0"
    assert cost.core_minutes(whole, part=0.5) == "2.5"
    write_json(tmp_path / "b.json", about)  # of a version that did not measure it: the clock is an upper bound
    assert cost.core_minutes(costs.total([tmp_path / "a.json", tmp_path / "b.json"])) == "20"
