"""What a training leaves behind: one result a fold and seed, then predictions, mean curves and a card an experiment."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.corpora import manifest
from ser.evaluation import predictions
from ser.files import replacing
from ser.tasks import Task

_ARTEFACT = "artefact_"
_EMPTY = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Result:
    """One trained fold. `scores`: (n, K) class probabilities, or one array (rows, D) an utterance. `votes`: (n, K)
    windows of each utterance whose best class it is, empty without windows. `utterances`: what was tested, where it is
    not the fold's test part (the leak control). `artefacts`: what the figures are drawn from, of the first fold only.
    `dev`: predictions of the dev part, continuous labels alone.
    """

    scores: np.ndarray | Sequence[np.ndarray]
    history: list[dict[str, float]]
    notes: dict[str, Any]
    votes: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    utterances: tuple[str, ...] = ()
    artefacts: dict[str, np.ndarray] = field(default_factory=dict)
    dev: Sequence[np.ndarray] = ()

    def write(self, path: Path) -> None:
        """Atomically, as an .npz without pickle."""
        scores, lengths = (self.scores, _EMPTY) if isinstance(self.scores, np.ndarray) else _joined(self.scores)
        dev, dev_lengths = _joined(self.dev)
        artefacts: dict[str, Any] = {_ARTEFACT + name: array for name, array in self.artefacts.items()}
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(
                file,
                scores=scores,
                lengths=lengths,
                dev=dev,
                dev_lengths=dev_lengths,
                history=json.dumps(self.history),
                notes=json.dumps(self.notes),
                votes=self.votes,
                utterances=np.array(self.utterances, dtype=str),
                **artefacts,
            )

    @classmethod
    def read(cls, path: Path) -> Result:
        with np.load(path) as data:
            scores, lengths = data["scores"], data["lengths"]
            parts = _split(scores, lengths) if len(lengths) else scores
            artefacts = {k.removeprefix(_ARTEFACT): data[k] for k in data.files if k.startswith(_ARTEFACT)}
            return cls(
                parts,
                json.loads(str(data["history"])),
                json.loads(str(data["notes"])),
                data["votes"],
                tuple(map(str, data["utterances"])),
                artefacts,
                _split(data["dev"], data["dev_lengths"]),
            )


def _joined(parts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Arrays one after the other, and the rows of each."""
    lengths = np.array([len(p) for p in parts], dtype=np.int64)
    return (np.concatenate(list(parts)) if len(parts) else np.zeros((0, 0))), lengths


def _split(rows: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
    return np.split(rows, np.cumsum(lengths)[:-1]) if len(lengths) else []


def classification_rows(test: pd.DataFrame, fold: str, seed: int, scores: np.ndarray, task: Task) -> pd.DataFrame:
    """Prediction rows of one fold; `test` has utterance, corpus, speaker, emotion in the order of `scores` (n, K)."""
    scores = np.round(scores, 5)  # what is written is what is judged: ties after rounding go to the lowest class
    rows = pd.DataFrame(
        {
            "utterance": test["utterance"].to_numpy(),
            "corpus": test["corpus"].to_numpy(),
            "fold": fold,
            "seed": seed,
            "speaker": test["speaker"].to_numpy(),
            "truth": test["emotion"].to_numpy(),
            "prediction": [task.outputs[k] for k in scores.argmax(1)],
        }
    )
    return pd.concat([rows, pd.DataFrame(scores, columns=[f"score_{c}" for c in task.outputs])], axis=1)


def continuous_rows(
    test: pd.DataFrame, fold: str, seed: int, predicted: Sequence[np.ndarray], truth: Sequence[np.ndarray], task: Task
) -> pd.DataFrame:
    """Prediction rows of one fold, one row a frame; truth is NaN where the corpus gives no test labels."""
    parts = []
    for row, p, t in zip(test.itertuples(), predicted, truth, strict=True):
        frame = pd.DataFrame(
            {
                "utterance": row.utterance,
                "corpus": row.corpus,
                "fold": fold,
                "seed": seed,
                "speaker": row.speaker,
                "time": np.round(np.arange(len(p)) / manifest.LABEL_RATE, 3),
            }
        )
        for d, name in enumerate(task.outputs):
            frame[f"truth_{name}"] = np.round(t[:, d], 6)
        for d, name in enumerate(task.outputs):
            frame[f"prediction_{name}"] = np.round(p[:, d], 5)
        parts.append(frame)
    return pd.concat(parts, ignore_index=True)


def write_curves(results: Sequence[Result], path: Path) -> None:
    """The mean over folds and seeds at each evaluation, one row each; folds that stopped early leave the mean."""
    rows = pd.concat([pd.DataFrame(r.history).assign(evaluation=range(1, len(r.history) + 1)) for r in results])
    parts = sorted(c for c in rows if c.startswith("train_") and c != "train_loss")
    columns = ["train_loss", *parts, "dev_loss", "dev_score"]
    mean = rows.reindex(columns=["evaluation", *columns]).groupby("evaluation")[columns].mean().reset_index()
    mean["folds"] = rows.groupby("evaluation").size().to_numpy()
    with replacing(path) as temporary:
        mean.round(5).to_csv(temporary, index=False, lineterminator="\n")


def leaky_rows(
    table: pd.DataFrame, home: Mapping[str, str], seed: int, results: Sequence[Result], task: Task
) -> pd.DataFrame:
    """Prediction rows of the leak control: each utterance's windows were tested in several folds, its scores are their
    mean. `home`: utterance -> the fold that tests it when nothing leaks."""
    parts = [
        pd.DataFrame(r.scores * r.votes.sum(1, keepdims=True)).assign(utterance=r.utterances, n=r.votes.sum(1))
        for r in results
    ]
    sums = pd.concat(parts).groupby("utterance").sum()
    found = table.set_index("utterance").loc[sums.index].reset_index()
    scores = sums.drop(columns="n").to_numpy() / sums[["n"]].to_numpy()
    rows = classification_rows(found, "", seed, scores, task)
    return rows.assign(fold=rows["utterance"].map(home))


def write_windows(rows: Sequence[pd.DataFrame], path: Path) -> None:
    """How many windows of each utterance went to each class, the file behind the window-level accuracy; nothing is
    written for experiments without windows."""
    if rows:
        with replacing(path) as temporary:
            pd.concat(rows).to_csv(temporary, index=False, lineterminator="\n")


def write_dev(rows: Sequence[pd.DataFrame | None], path: Path) -> None:
    """Predictions of the dev part; nothing is written for experiments without them."""
    found = [r for r in rows if r is not None]
    if found:
        predictions.write(pd.concat(found, ignore_index=True), path)


def window_rows(table: pd.DataFrame, ids: Sequence[str], fold: str, seed: int, result: Result, task: Task) -> Any:
    """utterance, fold, seed, truth, one column of counts a class."""
    truth = table.set_index("utterance").loc[list(ids), "emotion"].to_numpy()
    about = pd.DataFrame({"utterance": list(ids), "fold": fold, "seed": seed, "truth": truth})
    return pd.concat([about, pd.DataFrame(result.votes, columns=[f"windows_{c}" for c in task.outputs])], axis=1)


def card(
    settings: Mapping[str, Any],
    claims: Mapping[str, Any],
    table: pd.DataFrame,
    task: Task,
    device: str,
    results: Mapping[str, Result],
) -> dict[str, Any]:
    """What an experiment was: all that evaluation needs beside the predictions. No times, so that it is byte-stable."""
    notes, leaky = {name: r.notes for name, r in results.items()}, settings["control"] == "leaky_windows"
    return {
        **settings,
        # a classical model says itself what chose its hyper-parameters; the loop's models follow the setting
        "selection": next(iter(notes.values())).get("selection", settings["selection"]),
        "task": task.kind,
        "outputs": list(task.outputs),
        "protocol": claims["protocol"],
        **claims["claims"],
        **({"speaker_independent": False} if leaky else {}),  # whatever the folds claim: pieces of all lie in all
        "synthetic": manifest.is_synthetic(table),
        "leaky": leaky,
        "transductive": any(n.get("transductive", False) for n in notes.values()),
        "device": device,
        "notes": notes,
    }
