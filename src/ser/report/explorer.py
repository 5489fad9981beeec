"""What the script of the page works on: every utterance with the predictions and scores of all systems on it, and the
utterances that every system gets wrong.

Systems on the same utterances with the same classes form a group; within it any two can be compared, and a cell of a
confusion matrix opens its utterances. Letters: N utterances, K classes, R runs (seeds).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.evaluation import metrics
from ser.evaluation.predictions import SCORE
from ser.report.study import Experiment, Study

LETTERS = "abcdefghijklmnopqrstuvwxyz"  # a class each
ROOM = 1_500_000  # characters of all scores in a page (ours: one that still opens at once)
ABSENT = "."  # an utterance without a prediction in a run


@dataclass(frozen=True)
class System:
    """`runs`: (R, N) indices of classes, -1 where there is no prediction. `scores`: (N, K), mean over the runs."""

    experiment: Experiment
    runs: NDArray[np.int64]
    scores: NDArray[np.float64]

    @property
    def baseline(self) -> bool:
        """Nothing that one would call a system: a control, or the majority class."""
        return self.experiment.about.is_control or self.experiment.about.model == "majority"


@dataclass(frozen=True)
class Group:
    """Systems on the same utterances, ranked (`_rank`). `table`: corpus, utterance, speaker, truth, sorted."""

    title: str
    classes: tuple[str, ...]
    table: pd.DataFrame
    systems: Sequence[System]

    @property
    def truth(self) -> NDArray[np.int64]:
        return metrics.codes(self.table["truth"], self.classes)

    def misses(self) -> NDArray[np.int64]:
        """Positions of the utterances whose highest mean score is wrong in every system, the surest errors first;
        none where there are fewer than two systems."""
        own = [s.scores for s in self.systems if not s.baseline]
        if len(own) < 2:
            return np.empty(0, np.int64)
        scores = np.stack(own)
        truth = self.truth
        wrong = (scores.argmax(axis=2) != truth).all(axis=0)
        of_truth = scores[:, np.arange(len(truth)), truth].mean(axis=0)
        order = np.argsort(of_truth, kind="stable")
        return order[wrong[order]]

    def hardest(self) -> NDArray[np.int64]:
        """Positions of all utterances, those that most systems get wrong first."""
        own = [s.scores for s in self.systems if not s.baseline] or [s.scores for s in self.systems]
        scores, truth = np.stack(own), self.truth
        wrong = (scores.argmax(axis=2) != truth).sum(axis=0)
        of_truth = scores[:, np.arange(len(truth)), truth].mean(axis=0)
        return np.lexsort((of_truth, -wrong))


def groups(study: Study) -> list[Group]:
    """The groups of a study, the largest first."""
    found: dict[
        tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]], list[tuple[Experiment, pd.DataFrame]]
    ] = {}
    for e in study.experiments.values():
        if e.scored is None or e.scored.kind != "classification" or len(e.scored.classes) > len(LETTERS):
            continue
        table = e.scored.table[["corpus", "utterance", "speaker", "truth"]].drop_duplicates(["corpus", "utterance"])
        table = table.sort_values(["corpus", "utterance"]).reset_index(drop=True)
        key = (str(e.about.corpus), e.scored.classes, tuple(table["utterance"]), tuple(table["truth"]))
        found.setdefault(key, []).append((e, table))
    made = []
    for (corpus, classes, *_), own in found.items():
        table = own[0][1]
        systems = sorted((_system(e, table, classes) for e, _ in own), key=_rank)
        made.append(Group(f"{corpus}, {len(table)} utterances", classes, table, systems))
    return sorted(made, key=lambda g: -len(g.systems))


def _rank(system: System) -> tuple[bool, float]:
    """Speaker-independent systems first, each kind from the best to the worst."""
    about, score = system.experiment.about, system.experiment.result.headline.value
    return about.speaker_independent is False, -(score or 0.0)


def _system(e: Experiment, table: pd.DataFrame, classes: tuple[str, ...]) -> System:
    assert e.scored is not None
    rows = e.scored.table
    place = pd.MultiIndex.from_frame(table[["corpus", "utterance"]]).get_indexer(
        pd.MultiIndex.from_frame(rows[["corpus", "utterance"]])
    )
    # an utterance that is tested in two folds of a seed has a run more
    run = rows.groupby(["corpus", "utterance"]).cumcount().to_numpy()
    runs = np.full((int(run.max()) + 1, len(table)), -1, np.int64)
    runs[run, place] = metrics.codes(rows["prediction"], classes)
    scores, count = np.zeros((len(table), len(classes))), np.zeros(len(table))
    np.add.at(scores, place, rows[[SCORE + c for c in classes]].to_numpy())
    np.add.at(count, place, 1)
    return System(e, runs, scores / count[:, None])


def data(found: Sequence[Group]) -> str:
    """The groups as JSON for the script, `<` escaped. Scores have two digits, and are left out where all together they
    would take more than `ROOM`."""
    room = sum(2 * g.systems[0].scores.size * len(g.systems) for g in found) <= ROOM
    made = [_group(g, room) for g in found]
    return json.dumps(made, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _group(g: Group, room: bool) -> dict[str, object]:
    speakers = sorted(set(g.table["speaker"]))
    numbered = {name: k for k, name in enumerate(speakers)}
    return {
        "title": g.title,
        "corpus": g.table["corpus"].tolist() if g.table["corpus"].nunique() > 1 else g.table["corpus"].iloc[0],
        "classes": list(g.classes),
        "ids": g.table["utterance"].tolist(),
        "speakers": speakers,
        "speaker": [numbered[s] for s in g.table["speaker"]],
        "truth": _letters(g.truth),
        "systems": [
            {
                "name": s.experiment.name,
                "seeds": len(s.experiment.about.seeds),
                "independent": s.experiment.about.speaker_independent,
                "runs": [_letters(run) for run in s.runs],
                "scores": _digits(s.scores) if room else "",
            }
            for s in g.systems
        ],
    }


def _letters(codes: NDArray[np.int64]) -> str:
    return "".join(LETTERS[c] if c >= 0 else ABSENT for c in codes)


def _digits(scores: NDArray[np.float64]) -> str:
    """Two digits per score: hundredths, at most 99."""
    return "".join(f"{v:02d}" for v in np.clip(np.rint(100 * scores), 0, 99).astype(int).ravel())
