"""Report of a study with 60 experiments on corpora of the papers' sizes: seconds and megabytes. Prints one line.

With ``--keep FOLDER`` the report stays there, to be opened in a browser.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")  # one core; before numpy

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from ser.evaluation import evaluate, predictions
from ser.files import write_json, write_text
from ser.layout import Layout
from ser.report.write import write

EXPERIMENTS, SEEDS, EPOCHS = 60, 3, 60
CORPORA = {  # utterances, speakers, classes
    "emodb": (535, 10, ("anger", "boredom", "disgust", "fear", "happiness", "neutral", "sadness")),
    "iemocap": (5531, 10, ("anger", "happiness", "neutral", "sadness")),
    "ravdess": (1440, 24, ("angry", "calm", "disgust", "fearful", "happy", "neutral", "sad", "surprised")),
}
COST = {"folds": 30, "seconds": 5400.0, "peak_bytes": 10**9, "device": "cpu", "threads": 1, "resumed": False}


def table(corpus: str, number: int) -> pd.DataFrame:
    utterances, speakers, classes = CORPORA[corpus]
    truth = np.arange(utterances) % len(classes)
    parts = []
    for seed in range(1, SEEDS + 1):
        scores = np.random.default_rng((number, seed)).dirichlet(np.ones(len(classes)), utterances)
        scores[np.arange(utterances), truth] += 0.02 * number
        scores /= scores.sum(axis=1, keepdims=True)
        speaker = [f"{i // len(classes) % speakers:02}" for i in range(utterances)]
        names = {"utterance": [f"u{i:05}" for i in range(utterances)], "corpus": corpus, "fold": speaker, "seed": seed}
        columns = {f"score_{c}": scores[:, k] for k, c in enumerate(classes)}
        parts.append(pd.DataFrame({**names, "speaker": speaker, "truth": np.array(classes)[truth], **columns}))
    return pd.concat(parts, ignore_index=True)


def write_study(layout: Layout) -> None:
    names = []
    for number in range(EXPERIMENTS):
        corpus = list(CORPORA)[number % len(CORPORA)]
        name = f"system{number:02}-{corpus}-loso"
        predictions.write(table(corpus, number), layout.predictions(name))
        details = {"model": f"system{number:02}", "corpus": corpus, "protocol": "leave_one_speaker_out"}
        details |= {"speaker_independent": True, "synthetic": True, "selection": "dev", "size": "demo"}
        evaluate.run(layout.predictions(name), details, 500, layout.scores(name), layout.plot(name))
        write_json(layout.card(name), {"device": "cpu", "folds": f"{corpus}-loso"})
        write_json(layout.cost(name), COST)
        curve = pd.DataFrame({"evaluation": range(1, EPOCHS + 1), "train_loss": np.geomspace(2, 0.1, EPOCHS)})
        write_text(layout.curves(name), curve.assign(dev_loss=1.5, dev_score=0.5).to_csv(index=False))
        names.append(name)
    write_json(layout.data / "settings" / "report.json", {"study": layout.study, "experiments": names, "folds": {}})


def main() -> None:
    keep = Path(sys.argv[2]).resolve() if sys.argv[1:2] == ["--keep"] else None
    with tempfile.TemporaryDirectory() as folder:
        place = keep or Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        os.chdir(place)
        write_study(Layout("large"))
        wall, cpu = time.perf_counter(), time.process_time()
        path = write(Layout("large"))
        seconds = f"{time.perf_counter() - wall:.1f} s ({time.process_time() - cpu:.1f} cpu-s)"
        size = path.stat().st_size / 1e6
        whole = sum(p.stat().st_size for p in path.parent.iterdir()) / 1e6
        os.chdir("/")
    print(f"report of {EXPERIMENTS} experiments: {seconds} (bar: 20), html {size:.1f} MB (bar: 15), all {whole:.1f} MB")


if __name__ == "__main__":
    main()
