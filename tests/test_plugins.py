from __future__ import annotations

import dataclasses
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from ser.core import plugins
from ser.core.compute import workers
from ser.core.errors import SerError, run_command


@dataclass(frozen=True)
class Inner:
    depth: int = 1


@dataclass(frozen=True)
class Outer:
    share: float
    name: str = "x"
    sizes: tuple[int, ...] = (1, 2)
    mode: Literal["a", "b"] = "a"
    limit: int | None = None
    inner: Inner = Inner()

    def __post_init__(self) -> None:
        if self.share < 0:
            raise ValueError(f"share must not be negative, got {self.share}")


def test_builds_and_converts():
    made = plugins.build(Outer, {"share": 3, "sizes": [4, 5], "limit": 7, "inner": {"depth": 2}}, "block")
    assert made == Outer(3.0, sizes=(4, 5), limit=7, inner=Inner(2))
    assert isinstance(made.share, float)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"share": 1, "sises": [1]}, r"unknown key 'sises' \(block.sises\).*Did you mean 'sizes'"),
        ({}, r"missing key 'share' \(block\)"),
        ({"share": "fast"}, r"expected a number, got 'fast' \(block.share\)"),
        ({"share": True}, r"expected a number, got True"),
        ({"share": 1, "sizes": 3}, r"expected a list, got 3"),
        ({"share": 1, "sizes": [1, "b"]}, r"expected a whole number, got 'b' \(block.sizes\[1\]\)"),
        ({"share": 1, "mode": "c"}, r"'c' is not one of the allowed values \(block.mode\)"),
        ({"share": 1, "limit": "no"}, r"expected a whole number, got 'no'"),
        ({"share": 1, "inner": {"deep": 1}}, r"unknown key 'deep' \(block.inner.deep\)"),
        ({"share": -1}, r"share must not be negative"),
        ({"share": float("nan")}, r"expected a finite number, got nan \(block.share\)"),
        ({"share": 1, "limit": 2.5}, r"expected a whole number, got 2.5 \(block.limit\)"),
        ({"share": 1, "name": None}, r"expected text, got None \(block.name\)"),
        ([1], r"expected a mapping"),
    ],
)
def test_wrong_values_are_one_line_that_names_the_key(values, message):
    with pytest.raises(SerError, match=message) as caught:
        plugins.build(Outer, values, "block")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", list(plugins.KINDS))
def test_every_plugin_has_a_docstring_and_frozen_parameters_whose_defaults_are_valid(kind):
    for name in plugins.names(kind):
        cls = plugins.parameters(kind, name)
        assert plugins.load(kind, name).__doc__, f"{kind}/{name} has no docstring"
        assert cls.__dataclass_params__.frozen, f"{kind}/{name}"
        assert plugins.build(cls, {}, name) == cls(), name


def test_an_unknown_plugin_names_the_nearest():
    with pytest.raises(SerError, match="Did you mean 'svm'"):
        plugins.load("models", "smv")


def test_all_faults_of_a_block_are_reported_at_once():
    with pytest.raises(SerError) as caught:
        plugins.build(Outer, {"share": "x", "sizes": [1, "b"], "inner": {"deep": 1}, "lime": 3}, "block")
    assert [e.where for e in caught.value.errors] == ["block.share", "block.sizes[1]", "block.inner.deep", "block.lime"]
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert len(str(again).splitlines()) == 4


def test_an_error_crosses_processes_whole():
    error = pickle.loads(pickle.dumps(SerError("wrong", "a.b", "Did you mean 'c'?")))
    assert str(error) == "wrong (a.b). Did you mean 'c'?"
    assert (error.what, error.where, error.hint) == ("wrong", "a.b", "Did you mean 'c'?")


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        (lambda: Path("/nowhere/x").read_text(), "error: No such file or directory (/nowhere/x).\n"),
        (lambda: b"a\xff".decode(), "error: text that is not UTF-8: byte 0xff at 1 (invalid start byte). Save"),
    ],
    ids=["file", "bytes"],
)
def test_files_that_cannot_be_read_are_one_line(capsys, fault, line):
    with pytest.raises(SystemExit):
        run_command(fault)
    error = capsys.readouterr().err
    assert error.startswith(line)
    assert error.count("\n") == 1


def test_an_os_error_without_a_file_stays_a_traceback():
    def fault() -> None:
        raise OSError("no socket")

    with pytest.raises(OSError, match="no socket"):
        run_command(fault)


def test_a_negative_number_of_workers_blames_who_said_it(monkeypatch):
    monkeypatch.setenv("SER_JOBS", "-1")
    with pytest.raises(SerError, match="SER_JOBS is '-1'"):
        workers({"jobs": 2})
    monkeypatch.delenv("SER_JOBS")
    with pytest.raises(SerError, match=r"run\.jobs"):
        workers({"jobs": -1})


@pytest.mark.parametrize("value", [-1, -0.5, float("nan"), float("inf"), True, 10**400])
def test_no_number_of_a_plugin_is_impossible(value):
    """Every number of every plugin: refused in one line, or accepted where both signs mean something."""
    for kind in plugins.KINDS:
        for name in plugins.names(kind):
            cls = plugins.parameters(kind, name)
            for field in dataclasses.fields(cls):
                if isinstance(field.default, bool) or not isinstance(field.default, int | float):
                    continue
                if field.name.endswith(("_db", "bias")) and abs(value) <= 1:
                    continue
                if field.name == "deltas" and value is True:
                    continue  # 1 of 0, 1, 2
                if value == 10**400 and isinstance(field.default, int):
                    continue  # a large number of anything
                with pytest.raises(SerError, match=name):
                    plugins.build(cls, {field.name: value}, f"{kind}.{name}")


def test_impossible_rates_and_channels_are_refused():
    for cls, values, key in (
        (plugins.parameters("features", "waveform"), {"rate": 0}, "rate"),
        (plugins.parameters("corpora", "table"), {"assume_rate": -1}, "assume_rate"),
        (plugins.parameters("corpora", "table"), {"rates": [1]}, "rates"),
        (plugins.parameters("models", "fusion_convbert"), {"fusion_heads": 0}, "fusion_heads"),
        (plugins.parameters("models", "cnns"), {"channels": [0, 4, 4]}, "channels"),
    ):
        with pytest.raises(SerError, match=key):
            plugins.build(cls, values, "x")
