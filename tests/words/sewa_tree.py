"""A small SEWA tree in AVEC 2017's layout, and all stages that read it as plain functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from ser.core.files import read_json
from ser.core.store import Store
from ser.corpora import manifest, packing, sewa
from ser.corpora.location import Location
from ser.evaluation import evaluate
from ser.evaluation.predictions import read
from ser.evaluation.results import Result
from ser.features import extraction, waveform
from ser.protocols import claims, partitions
from ser.protocols import folds as fold_files
from ser.training.experiment import Files, run
from ser.words.config import Alignment, Config, Speech2Vec, Word2Vec
from ser.words.make import Source, make
from tests import toy

RATE = 8000
SECONDS = 4.0
NAMES = ("Train_01", "Train_02", "Devel_01", "Test_01")
WORDS = ("nord", "süd", "ost", "west", "auf", "ab", "links", "rechts")
CONFIG = Config(
    word2vec=Word2Vec(vector_size=8, min_count=1, negative=3, epochs=1, min_words=2),
    speech2vec=Speech2Vec(dim=8, epochs=1, batch=64, min_count=1),
    alignment=Alignment(dis_hid_dim=8, epoch_size=64, n_epochs=1, n_refinement=1),
    corpus="sewa",
    target="sewa",
    partitions=("train",),
)
MODEL = {"channels": [2, 2], "kernels": [4, 3], "pools": [20, 20], "attention": 4, "dense": 4, "hidden": 4}
TRAINING = {"epochs": 2, "batch": 4, "window": "blocks", "frames": 25}


def write(path: Path, text: str, encoding: str = "utf-8", newline: str = "\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.replace("\n", newline).encode(encoding))


def tree(root: Path, header: bool = False, segmentation: bool = True, **form: str) -> Path:
    """Four recordings of eight tones, one per word, from 0.5 s on, 0.3 s apart; `form`: encoding, newline of files."""
    g = np.random.default_rng(0)
    (root / "audio").mkdir(parents=True)
    for name in NAMES:
        order = g.permutation(len(WORDS))
        sound = 0.001 * g.normal(size=round(SECONDS * RATE))
        for k, i in enumerate(order):
            tone = 0.1 * np.sin(2 * np.pi * (300 + 200 * i) * np.arange(round(0.2 * RATE)) / RATE)
            sound[round((0.5 + 0.3 * k) * RATE) :][: len(tone)] += tone
        soundfile.write(root / "audio" / f"{name}.wav", sound, RATE, subtype="PCM_16")
        spoken = [WORDS[i] for i in order]
        rows = [f"s0w{k};{0.5 + 0.3 * k:.4f};{0.7 + 0.3 * k:.4f};{w}\n" for k, w in enumerate(spoken)]
        if segmentation:
            write(root / f"segmentation/{name}.csv", "id;start;end;word\n" * header + "".join(rows), **form)
        text = f"0.50;2.90;'{' '.join(spoken)}'\n"
        write(root / f"transcriptions/{name}.csv", "start;end;text\n" * header + text, **form)
        write(root / f"turns/{name}.csv", "start;end\n" * header + "0.40;3.00\n", **form)
        values = g.uniform(-0.5, 0.5, (round(SECONDS * 10), 3)).round(4)
        rows = [f"'{name}';{0.1 * t:.6f};{a};{v};{li}\n" for t, (a, v, li) in enumerate(values)]
        head = "name;timestamp;arousal;valence;liking\n" * header
        write(root / f"labels/{name}.csv", head + "".join(rows), **form)
    return root


def stages(root: Path, folder: Path, config: Config = CONFIG, **values: Any) -> tuple[Result, dict[str, Any]]:
    """manifest, audio, features, folds, words, train, evaluate: the metrics, and what the word streams cover."""
    packing.pack("sewa", Location(root, True), sewa.Config(), folder / "manifest", RATE)
    table = manifest.read(folder / "manifest" / "utterances.csv")
    audio = Store(folder / "manifest" / "audio")
    feature = waveform.Feature(rate=RATE, segment=RATE // 10, normalise="none")
    extraction.extract(feature, audio, folder / "waveform", 1)
    about = {"protocol": "partitions", "claims": claims(partitions, partitions.Config())}
    fold_files.write(partitions.folds(table, partitions.Config(), 1), folder / "folds.csv", about)
    source = Source(folder / "manifest", root)
    make(config, source, source, folder / "words", folder / "report", "cpu", folder / "checkpoints")
    store = f"{values.get('stream', 'aligned')}-{values.get('mode', 'token_aligned')}"
    files = Files(
        manifest=folder / "manifest",
        folds=folder / "folds.csv",
        features={"waveform": folder / "waveform", "words": folder / "words" / "streams" / store},
        predictions=folder / "out" / "x.csv",
        curves=folder / "out" / "curves.csv",
        card=folder / "out" / "card.json",
        cost=folder / "out" / "cost.json",
        checkpoints=folder / "checkpoints",
    )
    settings = toy.settings("semantic", {**MODEL, **values}, TRAINING, corpus="sewa", selection="dev")
    run(settings, files, {"jobs": 1})
    details = {**settings, "size": "demo", "protocol": "partitions", "paper": "", **read_json(files.card)}
    result = evaluate.score(read(files.predictions), evaluate.describe(details), draws=20)
    return result, read_json(folder / "report" / "streams.json")
