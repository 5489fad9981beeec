"""What a cached result depends on: one source file is edited at a time, and exactly the results that use it change."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from ser.core import caching
from ser.corpora import manifest
from ser.pretraining import run as pretraining
from ser.training import experiment
from ser.words import spaces
from ser.words.speech2vec import Tokens
from ser.words.vectors import Vectors
from tests import toy
from tests.conftest import ROOT
from tests.pretraining import speech
from tests.words import test_make

SER = Path(caching.__file__).parents[1]
FILES = sorted(p for p in SER.rglob("*.py"))
EDIT = "\nEDITED = 1"
KINDS = ("fold of cnns", "fold of svm", "encoder", "packed features", "Speech2Vec", "alignment")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What makes each kind of cached result, and the function that names it."""
    folder = tmp_path_factory.mktemp("inputs")
    files = toy.files(folder / "toy")
    (folder / "speech").mkdir()
    path = speech.corpus(folder / "speech")
    table, wanted, about = manifest.read(path), {"feature": "logmel"}, {"precision": "float32"}
    found = {}
    for model in ("cnns", "svm"):
        settings, own = toy.for_model(files, model)
        found[f"fold of {model}"] = (
            ("ser.training.fold", f"ser.models.{model}"),
            lambda settings=settings, own=own: experiment.fingerprint(settings, own, "cpu"),
        )
    found["encoder"] = (
        ("ser.pretraining.encoder", "ser.features.logmel"),
        lambda: pretraining.fingerprint(speech.SETTINGS, path, about, None, "cpu"),
    )
    found["packed features"] = (
        ("ser.pretraining.sources", "ser.features.logmel"),
        lambda: pretraining.features_fingerprint(speech.SETTINGS, wanted, table),
    )
    config = test_make.CONFIG
    tokens = Tokens(np.ones((3, 13), np.float32), np.arange(4), ("a", "b", "a"), ("u",) * 3)
    space = Vectors(("a", "b"), np.ones((2, 8), np.float32), np.ones(2, np.int64))
    found["Speech2Vec"] = (
        ("ser.words.speech2vec",),
        lambda: spaces.speech2vec_path(config, tokens, "cpu", folder).name,
    )
    found["alignment"] = (
        ("ser.words.alignment",),
        lambda: spaces.alignment_path(config, space, space, "cpu", folder).name,
    )
    return found


@pytest.fixture
def edit(monkeypatch):
    """Makes the cache see one more statement in a file."""
    statements = caching._statements

    def edited(file):
        monkeypatch.setattr(caching, "_statements", lambda f: statements(f) + (EDIT if f == file else ""))

    return edited


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_in_the_closure_changes_the_name_and_no_other_file_does(results, edit, monkeypatch, kind):
    modules, name = results[kind]
    closure, versions = set(caching.closure(*modules)), caching.versions(*modules)
    monkeypatch.setattr(caching, "versions", lambda *modules: versions)  # reading them is slow
    before = name()
    assert before == name()
    for file in FILES:
        edit(file.resolve())
        assert (name() != before) == (file.resolve() in closure), file


@pytest.mark.parametrize(
    ("kind", "inside", "outside"),
    [
        (
            "fold of cnns",
            ["models/cnns", "training/loop", "core/store", "core/tasks", "protocols/folds"],
            ["models/svm"],
        ),
        ("fold of svm", ["models/svm", "evaluation/metrics", "training/fold"], ["models/cnns", "report/summary"]),
        ("encoder", ["training/loop", "corpora/audio", "features/logmel", "features/spectrum"], ["training/fold"]),
        (
            "packed features",
            ["features/logmel", "features/spectrum", "core/store"],
            ["training/loop", "pretraining/data"],
        ),
    ],
)
def test_what_closures_contain(results, kind, inside, outside):
    found = {f.relative_to(SER).with_suffix("").as_posix() for f in caching.closure(*results[kind][0])}
    always = ["training/experiment", "training/outputs", "pretraining/run", "report/figures", "evaluation/evaluate"]
    assert set(inside) <= found
    assert not found & {*outside, *always, "cli"}


def test_an_edited_feature_gives_new_packed_features_and_a_new_encoder(tmp_path, edit):
    """The packed features were once named after parameters and audio only: the encoder was trained again, on features
    of the old code.
    """
    path = speech.corpus(tmp_path)
    settings = replace(speech.SETTINGS, cache=True, steps=2)

    def names():
        out, checkpoints = tmp_path / "out", tmp_path / "checkpoints"
        execution = {"device": "cpu", "jobs": 1}
        pretraining.pretrain(settings, path, tmp_path, out, tmp_path / "curve.csv", checkpoints, execution)
        return {p.name for p in (checkpoints / "pretraining").iterdir()}

    before = names()
    assert names() == before
    edit((SER / "features" / "logmel.py").resolve())
    new = names() - before
    assert len(new) == len(before) == 2
    assert sum(name.startswith("features-") for name in new) == 1


def _code(folder, text):
    """The digest of a script that has not been seen before."""
    script = folder / f"{len(list(folder.iterdir()))}" / "script.py"
    script.parent.mkdir()
    script.write_text(text)
    return caching.code(script)


def test_comments_docstrings_and_blank_lines_do_not_count(tmp_path):
    plain = _code(tmp_path, "def f(x):\n    return x + 1\n")
    assert plain == _code(
        tmp_path, '"""A module."""\n\n\ndef f(x):\n    """Adds.\n\n    One."""\n    # why\n    return x + 1  # what\n'
    )
    assert plain != _code(tmp_path, "def f(x):\n    return x + 2\n")


def test_text_inside_strings_counts(tmp_path):
    text = 'TEXT = """a\n\n  # b\n"""\n'
    assert _code(tmp_path, text) != _code(tmp_path, text.replace("\n\n", "\n"))
    assert _code(tmp_path, text) != _code(tmp_path, text.replace("# b", "# c"))


def test_imports_in_functions_count_and_those_for_type_checkers_do_not(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ser.core.store import Store\n"
        "def f():\n    from ser.core import seeds\n    import numpy\n"
    )
    names = {caching._name(f) for f in caching.closure(script)}
    assert names == {"script.py", "ser/__init__.py", "ser/core/__init__.py", "ser/core/seeds.py"}
    assert set(caching.versions(script)) >= {"numpy"}


def test_the_library_of_every_import_of_ours_is_the_one_that_the_environment_names():
    named = metadata.packages_distributions()
    imported = {name[0] for file in (ROOT / "src").rglob("*.py") for name in caching._imports(file)}
    libraries = imported - set(sys.stdlib_module_names) - set(caching.PROJECT)
    assert {"torch", "sklearn", "ruamel", "jinja2"} <= libraries
    for library in libraries:
        assert set(caching._providers(library)) == set(named.get(library, ())), library


def test_settings_inputs_and_device_count(tmp_path):
    def name(**changes):
        given = {"settings": {"lr": 1}, "inputs": {"a": b"a", "file": tmp_path / "file"}, "device": "cpu"} | changes
        return caching.fingerprint("ser.core.seeds", **given)

    (tmp_path / "file").write_text("1")
    before = name()
    assert name() == before
    assert len({before, name(settings={"lr": 2}), name(inputs={"a": b"b"}), name(device="H100")}) == 4
    (tmp_path / "file").write_text("2")
    assert name() != before
    with pytest.raises(ValueError, match="no module"):
        caching.fingerprint("ser.nothing")
