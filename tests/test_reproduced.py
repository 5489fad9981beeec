"""The comparison with the results in git that `make repro` ends with."""

from __future__ import annotations

import json
import subprocess

import pytest
from tools import reproduced

from ser.evaluation import spread
from ser.settings import check
from tests.conftest import ROOT


@pytest.fixture(autouse=True)
def measured(monkeypatch):
    found = {"scores": {"steady": {"UA": {"a": 0.5, "b": 0.5}}, "loose": {"CCC": {"a": 0.2, "b": 0.25, "c": 0.22}}}}
    monkeypatch.setattr(spread, "measured", lambda: found)


def test_what_a_machine_explains():
    assert spread.between_machines("loose") == pytest.approx(0.1)
    assert spread.between_machines("steady") == spread.between_machines("unknown") == spread.LEAST
    assert spread.is_within("loose", {"CCC": 0.3}, {"CCC": 0.21})
    assert not spread.is_within("loose", {"CCC": 0.3}, {"CCC": 0.19})
    assert not spread.is_within("loose", {"CCC": 0.3}, {"CCC": None})
    assert spread.is_within("loose", {"CCC": None}, {"CCC": None})


def test_the_sentence_counts_and_names():
    old = {n: {"UA": 0.5} for n in ("same", "steady", "edited")} | {"loose": {"CCC": 0.3}, "far": {"UA": 0.5}}
    new = {**old, "loose": {"CCC": 0.25}, "far": {"UA": 0.4}, "edited": {"UA": 0.9}, "new": {"UA": 0.1}}
    before = {name: ("settings", "bytes") for name in old}
    after = {**before, "loose": ("settings", "others"), "far": ("settings", "others"), "edited": ("edited", "bytes")}
    sentence, beyond = reproduced.compare(old, new, before, {**after, "new": ("settings", "bytes")})
    assert sentence.startswith("compared with the results in git: 6 experiments: 2 to the byte, ")
    for part in ("1 within the spread", "1 beyond the spread", "1 with other settings or code", "1 not in git yet"):
        assert part in sentence
    assert beyond == [("far", "UA 0.4, in git 0.5")]


def test_digests_of_the_committed_lock():
    found = reproduced.digests((ROOT / "dvc.lock").read_text())
    assert set(found) <= set(check.read(ROOT / "params.yaml").all_experiments)
    assert len(found) >= 20
    assert all(len(settings) == 16 and len(predictions) == 32 for settings, predictions in found.values())


def test_settings_of_earlier_stages_count():
    def lock(corpus: str, model: str) -> str:
        read = {
            "corpus@c": [{"path": "data/demo/settings/corpus/c.json", "md5": corpus}],
            "features@f": [{"path": "data/demo/corpora/c/audio", "md5": "audio of this machine"}],
            "train@e": [
                {"path": "data/demo/settings/train/e.json", "md5": model},
                {"path": "data/demo/features/f", "md5": "last digits of this machine"},
            ],
        }
        made = {
            "corpus@c": "data/demo/corpora/c",
            "features@f": "data/demo/features/f",
            "train@e": "metrics/demo/predictions/e.csv",
        }
        stages = {name: {"deps": deps, "outs": [{"path": made[name], "md5": "o"}]} for name, deps in read.items()}
        return json.dumps({"stages": stages})

    old = reproduced.digests(lock("a", "b"))
    assert list(old) == ["e"]
    assert old == reproduced.digests(lock("a", "b"))
    assert reproduced.digests(lock("edited", "b")) != old != reproduced.digests(lock("a", "edited"))


def test_before_and_after_committing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    reproduced.main()
    assert "no results of the demo" in capsys.readouterr().out
    scores = tmp_path / "metrics/demo/scores"
    scores.mkdir(parents=True)

    def write(value: float, md5: str) -> None:
        (scores / "far.json").write_text(json.dumps({"UA": value}))
        deps = [{"path": "data/demo/settings/train/far.json", "md5": "s"}]
        outs = [{"path": "metrics/demo/predictions/far.csv", "md5": md5}]
        (tmp_path / "dvc.lock").write_text(json.dumps({"stages": {"train@far": {"deps": deps, "outs": outs}}}))

    def commit() -> None:
        subprocess.run(["git", "add", "-A"], check=True)
        user = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *user, "commit", "-qm", "state"], check=True)

    write(0.5, "a")
    subprocess.run(["git", "init", "-q"], check=True)
    commit()
    write(0.4, "b")
    reproduced.main()
    told = capsys.readouterr()
    assert "1 beyond the spread between machines" in told.out
    assert told.err.startswith("warning: far: UA 0.4, in git 0.5; other machines differ by up to 0.030")
    commit()
    reproduced.main()
    told = capsys.readouterr()
    assert "1 experiments: 1 to the byte" in told.out
    assert not told.err
