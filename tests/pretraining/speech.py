"""A toy corpus for pretraining: noise of three speakers whose loudness rises and falls, as FLAC, with its manifest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ser.corpora import manifest
from ser.models.layers.mockingjay import Config, Masking
from ser.pretraining.settings import Settings

FEATURES = {"bands": 16, "n_fft": 512, "high": 4000.0}
SMALL = Config(hidden=16, layers=1, heads=2, ffn=32, dropout=0.1, attention_dropout=0.1)
SETTINGS = Settings(
    features=FEATURES,
    encoder=SMALL,
    masking=Masking(segment=5),
    steps=8,
    batch=2,
    lr=3e-3,
    dev_share=0.3,
    evaluate_every=3,
    checkpoint_every=2,
    workers=0,
)


def corpus(folder: Path, speakers: int = 3, each: int = 4) -> Path:
    """Writes ``<folder>/<utterance>.flac`` and returns the manifest beside them."""
    import soundfile  # late: a test imports this module where no audio library may be

    rows, rate = [], 16000
    for s in range(speakers):
        for i in range(each):
            generator = np.random.default_rng([s, i])
            seconds = 0.9 + 0.1 * i + 0.03 * s
            t = np.arange(int(seconds * rate)) / rate
            beat = generator.uniform(2, 4) * t + generator.uniform()
            loud = 10 ** (1.2 * (np.sin(2 * np.pi * beat) - 1))  # 48 dB, which neighbouring frames give away
            signal = 0.1 * loud * generator.normal(size=len(t))
            name = f"s{s}-{i}"
            soundfile.write(folder / f"{name}.flac", signal, rate, subtype="PCM_16")
            rows.append({"utterance": name, "file": f"{name}.flac", "speaker": f"s{s}", "duration": len(t) / rate})
    table = pd.DataFrame(rows).reindex(columns=list(manifest.COLUMNS)).astype({"start": float, "end": float})
    table[["corpus", "synthetic", "rate", "channels", "pcm"]] = ["tones", 1, rate, 1, ""]
    manifest.write(table, folder / "utterances.csv")
    return folder / "utterances.csv"
