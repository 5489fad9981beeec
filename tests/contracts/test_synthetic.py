"""What every look-alike promises, run over every corpus of ser_synth."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path

import pytest

from ser.core import caching, plugins
from ser.corpora import MARKER, manifest, packing
from ser.corpora.location import Location
from ser_synth import build

NAMES = plugins.names("synthetic")
ACOUSTIC = {"within", "personal", "intensity", "microphone_db", "noise_db"}  # what must not reach labels and text


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def tiny(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tiny") / name
    build.build(name, config(name), root, processes=1)
    return root


def config(name: str, **changes: object) -> object:
    module = plugins.load("synthetic", name)
    return plugins.build(module.Config, {**module.TINY, **changes}, name)


def tree(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_config_is_frozen_with_defaults_and_a_seed(name: str) -> None:
    cls = plugins.load("synthetic", name).Config
    default = cls()
    assert isinstance(default.seed, str)
    with pytest.raises(dataclasses.FrozenInstanceError):
        default.seed = "x"


def test_jobs_are_distinct_picklable_and_independent_of_acoustics(name: str) -> None:
    module = plugins.load("synthetic", name)
    jobs = module.jobs(config(name))
    assert len(set(jobs)) == len(jobs)
    assert pickle.loads(pickle.dumps(jobs)) == jobs
    for field in ACOUSTIC & {f.name for f in dataclasses.fields(module.Config)}:
        changed = config(name, **{field: 3.0})
        assert module.jobs(changed) == jobs
        if hasattr(module, "plan"):
            assert [repr(module.plan(j, changed)) for j in jobs] == [repr(module.plan(j, config(name))) for j in jobs]


def test_another_seed_is_another_corpus(name: str) -> None:
    def fingerprint(**changes: object) -> str:
        return caching.fingerprint(f"ser_synth.{name}", settings=dataclasses.asdict(config(name, **changes)))

    assert fingerprint() == fingerprint() != fingerprint(seed="other")


def test_two_processes_write_the_same_bytes_as_one(name: str, tiny: Path, tmp_path: Path) -> None:
    again = tmp_path / "two processes"
    build.build(name, config(name), again, processes=2)
    one, two = tree(tiny), tree(again)
    assert one.keys() == two.keys()
    assert [f for f in one if one[f] != two[f]] == []


def test_the_real_reader_reads_it_and_the_mark_stays(name: str, tiny: Path, tmp_path: Path) -> None:
    module = plugins.load("corpora", name)
    packing.pack(name, Location(tiny, (tiny / MARKER).exists()), module.Config(), tmp_path / "packed")
    made = manifest.read(tmp_path / "packed/utterances.csv")
    assert len(made) >= 2
    assert manifest.is_synthetic(made)
    assert made["duration"].min() > 0.5
    if module.CARD.task == "classification":
        assert set(made["emotion"]) <= set(module.CARD.classes)
        assert (made["emotion"] != "").all()
    if hasattr(module, "words"):
        utterances = list(module.utterances(tiny, module.Config()))
        found = dict(module.words(tiny, utterances))
        for utterance in utterances:
            times = [(w.start, w.end) for w in found[utterance.id]]
            assert times == sorted(times)
            assert all(start < end for start, end in times)
