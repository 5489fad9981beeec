"""How the demo's results here compare with those in git, in words. `make repro` ends with it.

Reads the scores of the last commit, and from both lock files the digests of settings and predictions. A result counts
as equal to the byte when its predictions are. Another processor changes last digits; how far that moves a score is
measured (`ser.evaluation.spread`), and what moved further is a warning. It never fails.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ser.core.errors import run_command, warn
from ser.core.files import digest, read_json
from ser.evaluation import spread

SCORES = Path("metrics/demo/scores")
LOCK = Path("dvc.lock")
Scores = Mapping[str, Mapping[str, float | None]]  # of each experiment


def digests(lock: str) -> dict[str, tuple[str, str]]:
    """Experiment -> digest of the settings, code included, of all stages that lead to it, and that of its predictions,
    from the text of a lock file.
    """
    from ruamel.yaml import YAML

    stages = (YAML(typ="safe").load(lock) or {}).get("stages") or {}
    made = {out["path"]: stage for stage in stages.values() for out in stage.get("outs", ())}
    predicted = "metrics/demo/predictions/"
    return {
        Path(out["path"]).stem: (digest(sorted(_settings(stage, made))), out.get("md5", ""))
        for stage in stages.values()
        for out in stage.get("outs", ())
        if out["path"].startswith(predicted)
    }


def _settings(stage: Mapping[str, Any], made: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """The digests of the settings that a stage and those before it read. `made`: path -> the stage that makes it."""
    found = set()
    for dep in stage.get("deps", ()):
        if dep["path"].startswith("data/demo/settings/"):
            found.add(dep.get("md5", ""))
        for path in (dep["path"], str(Path(dep["path"]).parent)):  # a stage may read a part of what another one made
            if path in made:
                found |= _settings(made[path], made)
    return found


def compare(
    committed: Scores, here: Scores, old: Mapping[str, tuple[str, str]], new: Mapping[str, tuple[str, str]]
) -> tuple[str, list[tuple[str, str]]]:
    """A sentence, and the experiments that moved further than another machine explains, each with its scores."""
    kinds: dict[str, list[str]] = {}
    beyond = []
    for name, scores in sorted(here.items()):
        before, after = old.get(name, ("", "")), new.get(name, ("", ""))
        if name not in committed:
            kind = "not in git yet"
        elif before[0] != after[0]:
            kind = "with other settings or code than in git, not compared"
        elif before == after:
            kind = "to the byte"
        elif spread.is_within(name, committed[name], scores):
            kind = "within the spread between machines"
        else:
            kind = "beyond the spread between machines"
            beyond.append((name, _moved(committed[name], scores)))
        kinds.setdefault(kind, []).append(name)
    parts = [f"{len(names)} {kind}" for kind, names in sorted(kinds.items(), key=lambda item: -len(item[1]))]
    return f"compared with the results in git: {len(here)} experiments: {', '.join(parts)}", beyond


def _moved(old: Mapping[str, float | None], new: Mapping[str, float | None]) -> str:
    """The score that moved furthest: ``CCC 0.183, in git 0.246``."""
    moved = spread.differences(old, new)
    name = max(moved, key=lambda n: moved[n])
    return f"{name} {new.get(name)}, in git {old.get(name)}"


def committed() -> tuple[dict[str, Any], dict[str, tuple[str, str]]] | None:
    """Scores and digests of the last commit; None without git, and where it holds no results."""
    listed = _git("ls-tree", "--name-only", "HEAD", f"{SCORES.as_posix()}/")
    lock = _git("show", f"HEAD:{LOCK}")
    if not listed or not lock:
        return None
    scores = {Path(p).stem: json.loads(_git("show", f"HEAD:{p}") or "{}") for p in listed.split("\n") if p}
    return scores, digests(lock)


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


def main() -> None:
    found = committed()
    if found is None:
        print("git holds no results of the demo to compare with")
        return
    here = {path.stem: read_json(path) for path in sorted(SCORES.glob("*.json"))}
    sentence, beyond = compare(found[0], here, found[1], digests(LOCK.read_text(encoding="utf-8")))
    print(f"\n{sentence}")
    for name, moved in beyond:
        limit = spread.between_machines(name)
        warn(f"{name}: {moved}; other machines differ by up to {limit:.3f}", "docs/experiments.md")


if __name__ == "__main__":
    run_command(main)
