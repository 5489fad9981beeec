"""A toy experiment on random features with a class signal: manifest, folds and stores, without any audio."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.core import plugins
from ser.core.files import write_json
from ser.core.store import Writer
from ser.corpora import manifest
from ser.protocols import claims, leave_one_speaker_out, speaker_independent
from ser.protocols import folds as fold_files
from ser.training.experiment import Files

CLASSES = ("anger", "neutral", "sadness")
SPEAKERS = ("03", "08", "09", "10")
PER_CELL = 4  # utterances per speaker and class


def table() -> pd.DataFrame:
    rows = []
    for speaker in SPEAKERS:
        for emotion in CLASSES:
            for i in range(PER_CELL):
                name = f"{speaker}{emotion[:2]}{i}"
                rows.append(
                    {"utterance": name, "file": f"wav/{name}.wav", "speaker": speaker, "emotion": emotion, "pcm": name}
                )
    frame = pd.DataFrame(rows).reindex(columns=list(manifest.COLUMNS)).sort_values("utterance")
    frame[["corpus", "synthetic", "duration", "rate", "channels"]] = ["emodb", 1, 1.0, 16000, 1]
    strings = [c for c in frame.columns if frame[c].isna().all() and c not in ("start", "end")]
    return frame.astype({c: object for c in strings}).fillna({c: "" for c in strings}).reset_index(drop=True)


def files(folder: Path, dev: bool = True, dim: int = 12, signal: float = 2.0) -> Files:
    """Writes a manifest folder, folds (8/1/1 or leave-one-speaker-out) and two stores; returns where."""
    data = table()
    (folder / "manifest").mkdir(parents=True)
    data.to_csv(folder / "manifest" / "utterances.csv", index=False)
    write_json(
        folder / "manifest" / "card.json", {"corpus": "emodb", "task": "classification", "outputs": list(CLASSES)}
    )
    protocol = speaker_independent if dev else leave_one_speaker_out
    made = protocol.folds(data, protocol.Config(), 1)
    about = {"protocol": protocol.__name__.rsplit(".", 1)[-1], "claims": claims(protocol, protocol.Config())}
    fold_files.write(made, folder / "folds.csv", about)
    generator = np.random.default_rng(0)
    means = generator.normal(0, signal, (len(CLASSES), dim))
    with (
        Writer(folder / "vectors", dim, "float32", {"feature": "functionals", "level": "utterance"}) as vectors,
        Writer(folder / "frames", dim, "float32", {"feature": "logmel", "level": "frame"}) as frames,
    ):
        for row in data.itertuples():
            mean = means[CLASSES.index(row.emotion)]
            vectors.append(row.utterance, mean + generator.normal(size=dim))
            frames.append(row.utterance, mean + generator.normal(size=(int(generator.integers(10, 40)), dim)))
    return Files(
        manifest=folder / "manifest",
        folds=folder / "folds.csv",
        features={"vectors": folder / "vectors"},
        predictions=folder / "out" / "predictions.csv",
        curves=folder / "out" / "curves.csv",
        card=folder / "out" / "card.json",
        cost=folder / "out" / "cost.json",
        checkpoints=folder / "checkpoints",
    )


def settings(
    model: str, config: dict[str, Any] | None = None, training: dict[str, Any] | None = None, **more: Any
) -> dict:
    return {
        "study": "toy",
        "experiment": f"{model}-toy",
        "model": model,
        "corpus": "emodb",
        "selection": "last",
        "seeds": [1],
        "control": "none",
        "threads": 1,
        "features": ["vectors"],
        "config": config or {},
        "training": training or {},
        "device": "cpu",
        "precision": "float32",
        **more,
    }


TRAINING = {"epochs": 4, "batch": 8, "lr": 0.01, "frames": 32}


def for_model(where: Files, model: str) -> tuple[dict, Files]:
    """Settings and files that suit a model: a torch model gets its own `TINY` sizes, and frames unless it says that it
    reads utterance-level features; the rest gets vectors.
    """
    module = plugins.load("models", model)
    if hasattr(module.Model, "fit"):
        return settings(model), where
    if getattr(module, "LEVEL", "frame") == "utterance":
        return settings(model, dict(module.TINY), {k: v for k, v in TRAINING.items() if k != "frames"}), where
    frames = {"frames": where.predictions.parents[1] / "frames"}
    return settings(model, dict(module.TINY), dict(TRAINING), features=["frames"]), replace(where, features=frames)
