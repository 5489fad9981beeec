"""What an experiment writes from the results of its folds: predictions, the mean curve, counts of windows, the card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.core.files import guarded, replacing, write_json
from ser.core.store import Store
from ser.core.tasks import Task
from ser.corpora import manifest
from ser.evaluation import predictions
from ser.training import result as results
from ser.training.fold import Job
from ser.training.result import Result


def write_predictions(jobs: Sequence[Job], found: Mapping[str, Result], path: Path) -> pd.DataFrame:
    """One row per utterance, or per frame for continuous labels; returns them."""
    if jobs[0].settings["control"] == "leaky_windows":
        home = {u: j.fold.name for j in jobs for u in j.fold.test}
        rows = [
            _leaky_rows(jobs[0].data.table, home, seed, [found[j.name] for j in jobs if j.seed == seed], _task(jobs))
            for seed in jobs[0].settings["seeds"]
        ]
    else:
        rows = [_rows(j, j.fold.test, found[j.name].scores) for j in jobs]
    table = pd.concat(rows, ignore_index=True)
    predictions.write(table, path)
    return table


def write_dev(jobs: Sequence[Job], found: Mapping[str, Result], path: Path) -> None:
    """What the chosen weights predict for the dev part, where labels are continuous: post-processing is fitted to it.
    Nothing is written for other experiments.
    """
    rows = [_rows(j, j.fold.dev, found[j.name].dev) for j in jobs if found[j.name].dev]
    if rows:
        predictions.write(pd.concat(rows, ignore_index=True), path)


def write_windows(jobs: Sequence[Job], found: Mapping[str, Result], path: Path) -> None:
    """How many windows of each utterance went to each class, from which the window-level accuracy is computed; nothing
    is written for experiments without windows.
    """
    rows = [_window_rows(j, found[j.name]) for j in jobs if len(found[j.name].votes)]
    if rows:
        _write_csv(pd.concat(rows), path)


def write_curves(found: Sequence[Result], path: Path) -> None:
    """The mean over folds and seeds at each evaluation, one row each; folds that stopped early leave the mean."""
    rows = pd.concat([pd.DataFrame(r.history).assign(evaluation=range(1, len(r.history) + 1)) for r in found])
    terms = sorted(c for c in rows if c.startswith("train_") and c != "train_loss")
    columns = ["train_loss", *terms, "dev_loss", "dev_score"]
    mean = rows.reindex(columns=["evaluation", *columns]).groupby("evaluation")[columns].mean().reset_index()
    mean["folds"] = rows.groupby("evaluation").size().to_numpy()
    _write_csv(mean.round(5), path)


def write_card(
    jobs: Sequence[Job],
    found: Mapping[str, Result],
    claims: Mapping[str, Any],
    checkpoints: Path,
    path: Path,
    more: Mapping[str, Any],
) -> None:
    """What the experiment was: all that the evaluation needs beside the predictions. It holds no times, so equal
    trainings give equal bytes. `claims`: what the JSON beside the fold file says; `more`: further entries, of which
    empty ones are left out.
    """
    settings = jobs[0].settings
    notes, leaky = {name: r.notes for name, r in found.items()}, settings["control"] == "leaky_windows"
    kept = results.artefacts(jobs[0].result).absolute()
    card = {
        **settings,
        # a classical model notes itself what chose its hyper-parameters; a network follows the setting
        "selection": next(iter(notes.values())).get("selection", settings["selection"]),
        "task": _task(jobs).kind,
        "outputs": list(_task(jobs).outputs),
        "protocol": claims["protocol"],
        **claims["claims"],
        **({"speaker_independent": False} if leaky else {}),  # whatever the folds claim: windows of all are in all
        "synthetic": manifest.is_synthetic(jobs[0].data.table),
        "leaky": leaky,
        **_trained_on(jobs),
        **_encoders(jobs),
        "transductive": any(n.get("transductive", False) for n in notes.values()),
        "device": jobs[0].device,
        # the folder of the finished folds, and the arrays of the first one for figures, from the folder that holds
        # the checkpoints
        "results": jobs[0].folder.absolute().relative_to(checkpoints.absolute().parent).as_posix(),
        "artefacts": kept.relative_to(checkpoints.absolute().parent).as_posix() if kept.exists() else None,
        "notes": notes,
        **{key: value for key, value in more.items() if value},
    }
    write_json(path, card)


def _trained_on(jobs: Sequence[Job]) -> dict[str, Any]:
    """Of a joint corpus: fold -> the corpora of its training part. Nothing for the corpus of the settings itself."""
    corpora = jobs[0].data.table.set_index("utterance")["corpus"]
    if set(corpora) == {jobs[0].settings["corpus"]}:
        return {}
    return {"trained_on": {job.fold.name: sorted(set(corpora.loc[list(job.fold.train)])) for job in jobs}}


def _encoders(jobs: Sequence[Job]) -> dict[str, Any]:
    """The encoders whose layers are features: their weights, and the corpora that they were pretrained on."""
    found = {name: Store(path).card.get("encoder") for name, path in jobs[0].data.features.items()}
    made = {name: encoder for name, encoder in found.items() if encoder}
    return {"encoders": made} if made else {}


def _task(jobs: Sequence[Job]) -> Task:
    return jobs[0].data.task


def _about(job: Job, ids: Sequence[str]) -> pd.DataFrame:
    return job.data.table.set_index("utterance").loc[list(ids)].reset_index()


def _rows(job: Job, ids: Sequence[str], scores: np.ndarray | Sequence[np.ndarray]) -> pd.DataFrame:
    """Prediction rows of the utterances `ids`, in whose order `scores` are."""
    about, task = _about(job, ids), job.data.task
    if isinstance(scores, np.ndarray):
        return classification_rows(about, job.fold.name, job.seed, scores, task)
    return continuous_rows(about, job.fold.name, job.seed, scores, [job.data.labels[u] for u in ids], task)


def classification_rows(about: pd.DataFrame, fold: str, seed: int, scores: np.ndarray, task: Task) -> pd.DataFrame:
    """`about` has utterance, corpus, speaker, emotion in the order of `scores` (n, K)."""
    scores = np.round(scores, 5)  # what is written is what is judged: ties after rounding go to the lowest class
    rows = pd.DataFrame(
        {
            "utterance": about["utterance"].to_numpy(),
            "corpus": about["corpus"].to_numpy(),
            "fold": fold,
            "seed": seed,
            "speaker": about["speaker"].to_numpy(),
            "truth": about["emotion"].to_numpy(),
            "prediction": [task.outputs[k] for k in scores.argmax(1)],
        }
    )
    return pd.concat([rows, pd.DataFrame(scores, columns=[f"score_{c}" for c in task.outputs])], axis=1)


def continuous_rows(
    about: pd.DataFrame, fold: str, seed: int, predicted: Sequence[np.ndarray], truth: Sequence[np.ndarray], task: Task
) -> pd.DataFrame:
    """One row per frame; truth is NaN where the corpus gives no test labels."""
    recordings = []
    for row, p, t in zip(about.itertuples(), predicted, truth, strict=True):
        frames = pd.DataFrame(
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
            frames[f"truth_{name}"] = np.round(t[:, d], 6)
        for d, name in enumerate(task.outputs):
            frames[f"prediction_{name}"] = np.round(p[:, d], 5)
        recordings.append(frames)
    return pd.concat(recordings, ignore_index=True)


def _leaky_rows(
    table: pd.DataFrame, home: Mapping[str, str], seed: int, found: Sequence[Result], task: Task
) -> pd.DataFrame:
    """Prediction rows of the leak control: the windows of an utterance were tested in several folds, and its scores are
    their mean. `home`: utterance -> the fold that tests it when nothing leaks.
    """
    scored = [
        pd.DataFrame(r.scores * r.votes.sum(1, keepdims=True)).assign(utterance=r.utterances, n=r.votes.sum(1))
        for r in found
    ]
    sums = pd.concat(scored).groupby("utterance").sum()
    about = table.set_index("utterance").loc[sums.index].reset_index()
    scores = sums.drop(columns="n").to_numpy() / sums[["n"]].to_numpy()
    rows = classification_rows(about, "", seed, scores, task)
    return rows.assign(fold=rows["utterance"].map(home))


def _window_rows(job: Job, result: Result) -> pd.DataFrame:
    """utterance, fold, seed, truth, one column of counts per class."""
    ids = list(result.utterances or job.fold.test)
    truth = _about(job, ids)["emotion"].to_numpy()
    about = pd.DataFrame({"utterance": ids, "fold": job.fold.name, "seed": job.seed, "truth": truth})
    return pd.concat(
        [about, pd.DataFrame(result.votes, columns=[f"windows_{c}" for c in _task([job]).outputs])], axis=1
    )


def _write_csv(table: pd.DataFrame, path: Path) -> None:
    with replacing(path) as temporary:
        guarded(table).to_csv(temporary, index=False, lineterminator="\n")
