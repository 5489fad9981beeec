"""dvc.yaml: small, without code among its dependencies, and the same for every study."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from tools import dvc_lock

from ser.core.errors import SerError
from ser.settings import check, files
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def stages():
    """The stages of the demo."""
    from dvc.repo import Repo

    with Repo(str(ROOT)) as repo:
        return [s for s in repo.index.stages if s.path_in_repo == "dvc.yaml"]


def test_the_graph_is_small(stages):
    assert len((ROOT / "dvc.yaml").read_text().splitlines()) <= 200
    assert len(stages) < 55


def test_each_stage_depends_on_its_settings_file_and_on_no_code(stages):
    names = set(files.files(check.read(ROOT / "params.yaml"))) - {"run"}
    found = set()
    for stage in stages:
        deps = [d.def_path for d in stage.deps]
        if stage.addressing != "settings":
            (own,) = [d for d in deps if d.startswith("data/demo/settings/")]
            found.add(own.removeprefix("data/demo/settings/").removesuffix(".json"))
            assert not [d for d in deps if d.startswith(("src", "stages", "packages"))], stage.addressing
    assert found == names


def test_every_command_runs_a_stage_that_exists(stages):
    for stage in stages:
        if stage.addressing != "settings":
            assert (ROOT / stage.cmd.split()[1]).exists(), stage.addressing


def test_a_name_in_params_cannot_be_a_command(tmp_path):
    """The first stage has no name in its command, and every other stage waits for what this stage has checked."""
    for file in (".dvc/config", "dvc.yaml", "stages", "src", "packages", "requirements.lock"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).symlink_to(ROOT / file)
    params = (ROOT / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(params.replace("study: demo", 'study: "x; touch pwned"'))
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    (tmp_path / ".dvc" / "config.local").write_text("[core]\n    no_scm = true\n")
    for target in ([], ["-s", "evaluate"]):
        command = [sys.executable, "-m", "dvc", "repro", *target]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode
        assert not (tmp_path / "pwned").exists()
        assert target or "a study cannot be called" in done.stderr + done.stdout


def test_every_stage_is_described(stages):
    for stage in stages:
        assert stage.desc.endswith("."), stage.addressing


def test_graphs_of_other_studies_are_not_in_git():
    """DVC loads every graph in the folder at every command."""
    listed = subprocess.run(["git", "ls-files", "studies"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    assert not [path for path in listed if path.endswith("dvc.yaml")]
    ignored = subprocess.run(["git", "check-ignore", "studies/emodb/dvc.yaml"], cwd=ROOT, capture_output=True)
    assert ignored.returncode == 1, "DVC refuses to run a graph that git ignores"


def test_stages_are_thin():
    for path in (ROOT / "stages").glob("*.py"):
        assert len(path.read_text().splitlines()) <= 40, path.name


@pytest.mark.parametrize(
    "module",
    ["ser", "ser.cli", "ser.evaluation.evaluate", "ser.report.write", "ser.settings.check", "ser.settings.study"],
)
def test_heavy_libraries_are_imported_lazily(module):
    heavy = ("torch", "librosa", "opensmile", "gensim", "sklearn", "matplotlib", "dvc")
    code = f"import sys, {module}; print([h for h in {heavy} if h in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_an_empty_lock_file_is_removed_when_no_dvc_runs(tmp_path):
    lock = tmp_path / ".dvc" / "tmp" / "rwlock"
    lock.parent.mkdir(parents=True)
    assert not dvc_lock.repair(tmp_path)
    lock.write_text("{}")
    assert not dvc_lock.repair(tmp_path)
    lock.write_text("")
    command = ["bash", "-c", "exec -a dvc sleep 60"]
    running = subprocess.Popen(command, cwd=tmp_path)
    try:
        while psutil.Process(running.pid).cmdline()[:1] != ["dvc"]:
            time.sleep(0.01)
        with pytest.raises(SerError, match=f"DVC runs here as process {running.pid}"):
            dvc_lock.repair(tmp_path)
    finally:
        running.kill()
        running.wait()
    assert dvc_lock.repair(tmp_path)
    assert not lock.exists()


def test_git_takes_no_sound_picture_or_text_of_a_corpus(tmp_path):
    """What the stages of a study of licensed corpora leave, and what of it `git add` would take."""
    own = ["predictions/e.csv", "curves/e.csv", "cards/e/card.json", "costs/e.json", "scores/e.json", "details/e.json"]
    taken = [f"metrics/mine/{name}" for name in [*own, "pretraining/p/curve.csv", "words/w/diagnostics.json"]]
    taken += ["data/mine/folds/f.csv", "reports/mine/report.md", "reports/mine/ledger.md"]
    left = ["settings/run.json", "receipts/c.json", "corpora/c/utterances.csv", "corpora/c/words.csv"]
    left += ["corpora/c/audio/array.npy", "features/f/array.npy", "pretrained/p/samples.npz", "words/w/text/target.txt"]
    left = [f"data/mine/{name}" for name in left]
    left += ["metrics/mine/plots/f.csv", "reports/mine/report.html"]
    left += ["reports/mine/reconstructions-e.png", "metrics/mine/cards/e/a.png"]
    left += ["checkpoints/mine/e/0/f-seed1.npz", "data/raw/c/a.wav"]
    for name in [*taken, *left]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / ".gitignore").write_bytes((ROOT / ".gitignore").read_bytes())
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    found = subprocess.run([*git, "add", "-An"], capture_output=True, text=True, check=True).stdout
    names = {line.split("'")[1] for line in found.splitlines()} - {".gitignore"}
    assert names == set(taken)
