"""The settings files: an edit of a value or of a module changes those of the stages that depend on it, and no other."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides

from ser.core import caching
from ser.settings import check, files
from tests.conftest import ROOT

FILES = dict[str, dict]


WHOLE = ROOT / "tests/settings/params.yaml"  # not the demo, which is for users to edit


@pytest.fixture(scope="module")
def demo() -> FILES:
    return files.files(check.read(WHOLE))


def changed(before: FILES, after: FILES) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("models.cnns.training.lr=0.002", "train/cnns-emodb-speaker_independent package/cnns-emodb"),
        ("features.emodb-logmel.hop=160", "features/emodb-logmel"),
        ("words.sewa.speech2vec.epochs=5", "words/sewa"),
        ("statistics.draws=100", "evaluate"),
        ("run.jobs=1", "run"),
    ],
)
def test_one_override_changes_one_line_and_what_depends_on_it(tmp_path, demo, override, expected):
    """As `dvc exp run -S` does it."""
    path = tmp_path / "params.yaml"
    assert _lines_changed(WHOLE, path, override) == 1
    if expected == "features/emodb-logmel":
        return  # the pretrained encoder then refuses these features
    assert changed(demo, files.files(check.read(path))) == set(expected.split())


@pytest.mark.parametrize("path", sorted(ROOT.glob("studies/*/params.yaml")), ids=lambda p: p.parent.name)
def test_one_override_changes_one_line_of_every_study(tmp_path, path):
    assert _lines_changed(path, tmp_path / "params.yaml", "statistics.draws=77") == 1


def _lines_changed(original: Path, path: Path, override: str) -> int:
    shutil.copyfile(original, path)
    apply_overrides(path, [override])
    old, new = original.read_text().splitlines(), path.read_text().splitlines()
    return sum(a != b for a, b in zip(old, new, strict=True))


def test_what_a_training_gets(demo):
    made = demo["train/aligned_concat-sewa-partitions"]
    assert made["folds"] == "sewa-partitions"
    assert made["features"] == ["waveform"]
    assert made["words"]["words"] == "data/demo/words/sewa/streams/aligned-token_aligned"
    assert (made["pretrained"], made["functionals"]) == (None, None)
    assert (made["seeds"], made["selection"]) == ([1, 2], "dev")
    assert made["config"]["fusion"] == "concat"
    tuned = demo["train/bert-emodb-groups"]
    assert tuned["pretrained"] == "data/demo/pretrained/librispeech"
    assert tuned["words"] == {}
    assert demo["train/ae-emodb-groups"]["features"] == ["logmag", "is10"]
    assert "size" not in tuned, "a label of the results changes no training"
    assert demo["evaluate"]["experiments"]["bert-emodb-groups"]["size"] == "demo"
    assert demo["corpus/librispeech"]["rate"] is None
    assert demo["corpus/sewa"]["rate"] == 16000


def test_an_experiments_own_values_win():
    made = files.files(check.read(ROOT / "studies/emodb/params.yaml"))
    assert made["train/svm-emodb-loso"]["config"]["scaling"] == "train"
    assert made["train/svm_speaker_scaled-emodb-loso"]["config"]["scaling"] == "per_speaker"


class Copy:
    """A copy of the code. Digests are computed from it, and after an edit only the edited file is read again."""

    BY_FILE = ("_tree", "_imports", "_reached", "_statements")

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.known = root, {name: {} for name in self.BY_FILE}
        for folder in ("src", "stages", "packages"):
            shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        roots = {"ser": root / "src/ser", "ser_synth": root / "packages/ser_synth/src/ser_synth"}
        monkeypatch.setattr(caching, "_roots", lambda: roots)
        monkeypatch.setattr(caching, "_files", functools.cache(caching._files.__wrapped__))
        monkeypatch.setattr(files, "STAGES", root / "stages")
        for name in self.BY_FILE:
            monkeypatch.setattr(caching, name, self._remembering(getattr(caching, name).__wrapped__, self.known[name]))
        self.study = check.read(WHOLE)
        self.before = files.files(self.study)

    @staticmethod
    def _remembering(function: Callable, known: dict) -> Callable:
        return lambda file: known[file] if file in known else known.setdefault(file, function(file))

    @contextmanager
    def edit(self, name: str, text: str) -> Iterator[None]:
        """One file with text added at its end."""
        file = self.root / name
        content = file.read_text()
        file.write_text(content + text)
        self._forget(file)
        yield
        file.write_text(content)
        self._forget(file)

    def _forget(self, file: Path) -> None:
        for known in self.known.values():
            known.pop(file, None)

    def changed_by(self, name: str, text: str = "\nEDITED = 1\n") -> set[str]:
        """The settings files that change when one file of the code is edited."""
        with self.edit(name, text):
            return changed(self.before, files.files(self.study))


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield Copy(tmp_path_factory.mktemp("copy").resolve(), monkeypatch)


def of(*patterns: str) -> Callable[[FILES], set[str]]:
    return lambda made: {name for name in made if any(fnmatch(name, pattern) for pattern in patterns)}


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("src/ser/features/logmel.py", of("features/*-logmel", "pretrain/*")),
        ("src/ser/features/functionals.py", of("features/*-is*")),
        ("src/ser/models/svm.py", of("train/svm-*")),
        ("src/ser/models/clstm.py", of("train/convlstm_*")),
        ("src/ser/training/loop.py", of("train/*", "pretrain/*", "words/*", "package/*")),  # of a training's weights
        ("src/ser/protocols/group_kfold.py", of("folds/emodb-groups", "folds/ravdess-actors")),
        ("src/ser/corpora/emodb.py", of("download/emodb", "corpus/emodb", "package/*")),
        ("packages/ser_synth/src/ser_synth/ravdess.py", of("download/ravdess")),
        ("src/ser/evaluation/intervals.py", of("evaluate", "report", "package/*")),
        ("src/ser/evaluation/paper_results.csv", of("report")),
        ("stages/folds.py", of("folds/*")),
        ("src/ser/core/errors.py", of("*")),
    ],
)
def test_an_edit_changes_what_depends_on_the_file(copy, file, expected):
    assert copy.changed_by(file) == expected(copy.before) - {"run"}


def test_every_file_that_a_training_imports_is_part_of_its_code(copy):
    arguments = (files.STAGES / "train.py", "ser.models.cnns")
    before = caching.code(*arguments)
    closure = [file.relative_to(copy.root).as_posix() for file in caching.closure(*arguments)]
    assert len(closure) > 20
    for name in closure:
        with copy.edit(name, "\nEDITED = 1\n"):
            assert caching.code(*arguments) != before, name
    assert caching.code(*arguments) == before


@pytest.mark.parametrize(
    "file",
    [
        "src/ser/cli.py",
        "src/ser/settings/check.py",
        "src/ser/settings/status.py",
        "src/ser/corpora/overview.py",
        "src/ser/protocols/kfold.py",  # no folds of the demo
        "stages/settings.py",
    ],
)
def test_an_edit_elsewhere_changes_nothing(copy, file):
    assert copy.changed_by(file) == set()


@pytest.mark.parametrize("text", ["\n\n# a comment\n", "\n\n\n"])
def test_a_comment_changes_nothing(copy, text):
    assert copy.changed_by("src/ser/models/svm.py", text) == set()


def test_a_file_that_a_feature_names_is_a_part_of_its_settings(tmp_path, monkeypatch):
    """The feature is extracted again when its weights change."""
    weights = tmp_path / "encoder.pt"
    weights.write_bytes(b"one")
    study = check.read(WHOLE)
    study.features["emodb-logmel"].values["weights"] = str(weights)
    before = files.files(study)
    assert list(before["features/emodb-logmel"]["files"]) == [weights.as_posix()]
    assert "files" not in before["features/emodb-logmag"]
    weights.write_bytes(b"two")
    assert changed(before, files.files(study)) == {"features/emodb-logmel"}
