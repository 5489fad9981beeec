"""Made-up predictions with speaker effects, for the tests of the evaluation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

EMOTIONS = ("anger", "boredom", "neutral", "sadness")


def classification_table(speakers=6, per_speaker=20, seeds=(1, 2), classes=EMOTIONS, accuracy=0.6) -> pd.DataFrame:
    """Leave-one-speaker-out predictions: fold = speaker, every utterance once per seed."""
    rng = np.random.default_rng(7)
    parts = []
    for seed in seeds:
        for s in range(speakers):
            truth = rng.integers(len(classes), size=per_speaker)
            scores = rng.random((per_speaker, len(classes)))
            hit = rng.random(per_speaker) < accuracy
            scores[np.flatnonzero(hit), truth[hit]] += 1
            part = pd.DataFrame({"utterance": [f"u{s:02}-{i:02}" for i in range(per_speaker)]})
            part = part.assign(corpus="emodb", fold=f"{s:02}", seed=seed, speaker=f"{s:02}")
            part["truth"] = np.asarray(classes, dtype=object)[truth]
            parts.append(part.assign(**{f"score_{c}": scores[:, k] for k, c in enumerate(classes)}))
    return pd.concat(parts, ignore_index=True)


def continuous_table(recordings=5, frames=40, seeds=(1,), dimensions=("arousal", "valence")) -> pd.DataFrame:
    rng = np.random.default_rng(8)
    parts = []
    for seed in seeds:
        for r in range(recordings):
            part = pd.DataFrame({"time": np.arange(frames) / 10})
            part = part.assign(
                utterance=f"Devel_{r:02}", corpus="sewa", fold="partition-dev", seed=seed, speaker=f"s{r}"
            )
            for d in dimensions:
                truth = np.clip(np.cumsum(rng.normal(0, 0.1, frames)) + rng.normal(0, 0.2), -1, 1)
                part[f"truth_{d}"] = truth
                part[f"prediction_{d}"] = 0.7 * truth + rng.normal(0, 0.1, frames) + 0.05
            parts.append(part)
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def make_emotions():
    return classification_table


@pytest.fixture
def make_affect():
    return continuous_table


@pytest.fixture
def emotions() -> pd.DataFrame:
    return classification_table()


@pytest.fixture
def affect() -> pd.DataFrame:
    return continuous_table()
