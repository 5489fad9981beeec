"""Speaker-cluster bootstrap of WA, UA and macro F1: one matrix product against a loop over resamples with scikit-learn.

Prints one line. The size is IEMOCAP's: 5531 utterances of 10 speakers, 4 classes. Where the package
``confidence_intervals`` can be imported (install it elsewhere and set PYTHONPATH) a second line sets its bounds beside
ours: both resample whole speakers and take plain percentiles. Given the speakers as its ``conditions`` the package
resamples the utterances of each drawn speaker as well, which counts their noise twice and gives wider bounds.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")  # one core for both sides; before numpy

import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, f1_score, recall_score

from ser.evaluation import intervals, metrics, predictions

UTTERANCES, SPEAKERS, DRAWS, LOOPED, COMPARED = 5531, 10, 10_000, 50, 2000
CLASSES = ("anger", "happiness", "neutral", "sadness")


def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    truth, scores = rng.integers(len(CLASSES), size=UTTERANCES), rng.random((UTTERANCES, len(CLASSES)))
    scores[np.arange(UTTERANCES), truth] += 0.5
    speaker = [f"Ses{i % SPEAKERS:02}" for i in range(UTTERANCES)]
    names = {"utterance": [f"u{i:05}" for i in range(UTTERANCES)], "corpus": "iemocap", "fold": speaker, "seed": 1}
    columns = {f"score_{c}": scores[:, k] for k, c in enumerate(CLASSES)}
    return pd.DataFrame({**names, "speaker": speaker, "truth": np.array(CLASSES)[truth], **columns})


def ours(found: predictions.Predictions) -> float:
    start = time.perf_counter()
    statistics = {"wa": metrics.wa, "ua": metrics.ua, "f1": metrics.macro_f1}
    intervals.bootstrap(intervals.confusions(found, "speaker"), statistics, DRAWS, "benchmark")
    return time.perf_counter() - start


def naive(found: predictions.Predictions) -> float:
    """Seconds of DRAWS resamples, extrapolated from LOOPED; labels are integers, the fast case of scikit-learn."""
    truth = metrics.codes(found.table["truth"], found.classes)
    prediction = metrics.codes(found.table["prediction"], found.classes)
    codes = found.table["speaker"].astype("category").cat.codes.to_numpy()
    rows = [np.flatnonzero(codes == s) for s in range(SPEAKERS)]
    rng = np.random.default_rng(0)
    start = time.perf_counter()
    for _ in range(LOOPED):
        chosen = np.concatenate([rows[s] for s in rng.integers(SPEAKERS, size=SPEAKERS)])
        t, p = truth[chosen], prediction[chosen]
        accuracy_score(t, p), recall_score(t, p, average="macro"), f1_score(t, p, average="macro")
    return (time.perf_counter() - start) * DRAWS / LOOPED


def beside(found: predictions.Predictions) -> str:
    """Bounds of the UA of the other package and ours, with the Monte-Carlo error of a bound."""
    try:
        from confidence_intervals import evaluate_with_conf_int
    except ImportError:
        return "package confidence_intervals: not installed, not compared"
    units = intervals.confusions(found, "speaker")

    def ua(speakers: np.ndarray) -> float:
        return float(metrics.ua(speakers.sum(axis=0)))

    _, once = evaluate_with_conf_int(units[0], ua, num_bootstraps=COMPARED, alpha=5)
    truth, prediction = (metrics.codes(found.table[c], found.classes) for c in ("truth", "prediction"))
    speaker = found.table["speaker"].astype("category").cat.codes.to_numpy()
    _, twice = evaluate_with_conf_int(
        prediction, lambda t, p: recall_score(t, p, average="macro"), truth, speaker, num_bootstraps=COMPARED, alpha=5
    )
    resampled = metrics.ua(intervals.resample(units, DRAWS, "benchmark"))
    ours = intervals.bounds(resampled.ravel(), 2.5)
    error = resampled.std() * np.sqrt(0.025 * 0.975 / COMPARED) / 0.0584  # standard error of such a percentile
    return (
        f"UA, plain percentiles: confidence_intervals [{once[0]:.4f}, {once[1]:.4f}] from {COMPARED} draws, "
        f"ours [{ours[0]:.4f}, {ours[1]:.4f}], standard error of a bound {error:.4f}; "
        f"with utterances resampled too [{twice[0]:.4f}, {twice[1]:.4f}]"
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        predictions.write(table(), Path(folder) / "p.csv")
        found = predictions.read(Path(folder) / "p.csv")
    fast, slow = ours(found), naive(found)
    print(
        f"bootstrap of WA, UA, F1, {DRAWS} draws, {UTTERANCES} utterances, one core: {fast:.3f} s; "
        f"loop with scikit-learn {slow:.0f} s (from {LOOPED} draws): {slow / fast:.0f} x faster"
    )
    print(beside(found))
