from __future__ import annotations

import subprocess
import sys

import pytest

from ser import cli
from tests import corpus_trees


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SER_RAW", str(tmp_path / "raw"))
    return tmp_path


def _fails(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    return error


def test_corpora_lists_each_with_its_licence(place, capsys):
    cli.main(["corpora"])
    out = capsys.readouterr().out
    for name in ("emodb", "iemocap", "librispeech", "ravdess", "sewa", "table"):
        assert name in out
    assert "CC BY-NC-SA 4.0" in out
    cli.main(["corpora", "iemocap"])
    out = capsys.readouterr().out
    assert "ser link iemocap" in out
    assert "share numbers only" in out
    cli.main(["corpora", "emodb"])
    assert "may be shared" in capsys.readouterr().out


def test_an_unknown_corpus_names_the_nearest(place, capsys):
    assert "'emodb'" in _fails(capsys, "corpora", "emobd")
    assert "'emodb'" in _fails(capsys, "link", "emobd", ".")


def test_link_refuses_what_is_not_the_corpus(place, capsys):
    (place / "empty").mkdir()
    (place / "file").write_text("x")
    assert str(place / "nowhere") in _fails(capsys, "link", "emodb", str(place / "nowhere"))
    assert "file" in _fails(capsys, "link", "emodb", str(place / "file"))
    assert "empty" in _fails(capsys, "link", "emodb", str(place / "empty"))
    assert not (place / "raw" / "emodb").exists()


def test_study_commands_outside_a_repository(place, capsys):
    assert "repository root" in _fails(capsys, "study", "status")
    assert "repository root" in _fails(capsys, "study", "new", "mine", "--corpora", "emodb")


def test_faults_of_the_other_commands_are_one_line(place, capsys):
    assert "a hop needs a window" in _fails(capsys, "predict", "package", "a.wav", "--hop", "1")
    assert "nowhere" in _fails(capsys, "demo", "nowhere")
    assert "this name is taken" in _fails(capsys, "new", "model", "cnns")
    assert "repository root" in _fails(capsys, "study", "start", "mine")


def test_link_then_corpora_says_so(place, capsys):
    corpus_trees.tree("emodb", place / "mine")
    cli.main(["link", "emodb", "mine"])
    assert (place / "raw" / "emodb").resolve() == (place / "mine").resolve()
    capsys.readouterr()
    cli.main(["corpora"])
    assert "linked" in capsys.readouterr().out


@pytest.mark.parametrize("module", ["ser", "ser.cli"])
def test_the_command_runs_as_a_module(module):
    done = subprocess.run([sys.executable, "-m", module, "corpora"], capture_output=True, text=True)
    assert "emodb" in done.stdout
    assert subprocess.run([sys.executable, "-m", module], capture_output=True).returncode == 2


def test_spaces_in_lists_do_not_count(monkeypatch):
    from ser.settings import study

    given = []
    monkeypatch.setattr(study, "new", lambda *arguments: given.extend(arguments[:3]))
    cli.main(["study", "new", "mine", "--corpora", " emodb, ravdess ,", "--experiments", "svm-*, cnns*"])
    assert given == ["mine", ["emodb", "ravdess"], ["svm-*", "cnns*"]]
