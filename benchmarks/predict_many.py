"""`ser predict` on many files of 3 s with an SVM package: memory, and time against the feature extraction alone.

    python benchmarks/predict_many.py [number of files, 10000 by default]

The package has ten folds with IS10 functionals, as that of EMO-DB under leave-one-speaker-out; its weights are random
numbers, which cost the same as others. Of the files, 500 are different and the others are links to them. The
extraction alone reads the same files and computes the same functionals in as many threads. Both are timed from process
start to exit, imports included.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

RATE, SECONDS, DIFFERENT, FOLDS, CLASSES = 16000, 3.0, 500, 10, 7


def predict(package: str, folder: str, out: str) -> None:
    from ser.packages import predict

    predict.run(package, [folder], Path(out))


def extract(package: str, folder: str, out: str) -> None:
    """What `predict` needs of each file before it asks the model, and nothing else."""
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np

    from ser.core import compute
    from ser.corpora import audio
    from ser.features import extraction
    from ser.features.functionals import Feature

    feature, paths = Feature(set="is10"), sorted(Path(folder).glob("*.wav"))
    rows = np.empty((len(paths), feature.dim), dtype=np.float32)

    def read(number: int) -> None:
        signal, _, _ = audio.decode(paths[number])
        rows[number] = extraction.of_signal(feature, audio.to_float(audio.to_int16(signal)[0]), RATE)

    with ThreadPoolExecutor(compute.workers()) as pool:
        list(pool.map(read, range(len(paths))))
    np.save(out, rows)


def speech(seed: int):
    """Syllables of a voice with gliding pitch, in some noise; (48000,) float32."""
    import numpy as np

    random = np.random.default_rng(seed)
    t = np.arange(round(SECONDS * RATE)) / RATE
    pitch = random.uniform(90, 260) * (1 + 0.1 * np.sin(2 * np.pi * random.uniform(0.3, 1.5) * t))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    voice = sum(np.sin(k * phase) * random.uniform(0.2, 1) / k for k in range(1, 20))
    syllables = np.clip(np.sin(2 * np.pi * random.uniform(2, 5) * t), 0, None)
    return (0.1 * voice * syllables + 0.003 * random.normal(size=len(t))).astype(np.float32)


def write_files(folder: Path, number: int) -> None:
    import soundfile

    folder.mkdir()
    for k in range(number):
        path = folder / f"{k:05d}.wav"
        if k < DIFFERENT:
            soundfile.write(path, speech(k), RATE)
        else:
            os.link(folder / f"{k % DIFFERENT:05d}.wav", path)


def write_package(folder: Path) -> None:
    import dataclasses

    import numpy as np

    from ser.core import weights
    from ser.features.functionals import Feature
    from ser.packages import contents

    folder.mkdir()
    feature, classes = Feature(set="is10"), tuple(f"class_{k}" for k in range(CLASSES))
    random, pairs = np.random.default_rng(0), CLASSES * (CLASSES - 1) // 2
    arrays = {}
    for k in range(FOLDS):
        own = {"classes": np.arange(CLASSES), "intercepts": random.normal(size=pairs)}
        own |= {"coefficients": random.normal(size=(pairs, feature.dim)) / 1000}
        own |= {"mean": np.zeros(feature.dim), "deviation": np.full(feature.dim, 1000.0)}
        arrays |= {f"{k}-seed1/{name}": array for name, array in own.items()}
    weights.save_arrays(folder / contents.WEIGHTS, arrays)
    made = contents.Contents(
        name="svm",
        study="benchmark",
        experiment="svm",
        fingerprint="none",
        synthetic=True,
        model="svm",
        kind="classification",
        outputs=classes,
        rate=RATE,
        features={
            "is10": contents.Feature("functionals", dataclasses.asdict(feature), "utterance", feature.dim),
        },
        config={},
        training={},
        precision="auto",
        members=tuple(f"{k}-seed1" for k in range(FOLDS)),
        temperature=0.7,
        coverage=(),
        digest=contents.digest(folder / contents.WEIGHTS),
        versions={},
    )
    contents.write(folder, made)


def main(number: int) -> None:
    from _common import child

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_files(folder / "audio", number)
        write_package(folder / "package")
        for count in sorted({min(100, number), number}):  # the first also warms up the disk
            if count < number:
                (folder / "few").mkdir()
                for path in sorted((folder / "audio").iterdir())[:count]:
                    os.link(path, folder / "few" / path.name)
            audio = folder / ("few" if count < number else "audio")
            alone, alone_cpu, _ = child("extract", folder / "package", audio, folder / "rows.npy")
            whole, whole_cpu, peak = child("predict", folder / "package", audio, folder / "p.csv")
            rows = len((folder / "p.csv").read_text().splitlines()) - 1
            print(
                f"{rows} files of {SECONDS:g} s: predict {whole:.1f} s (CPU {whole_cpu:.1f} s), extraction alone "
                f"{alone:.1f} s (CPU {alone_cpu:.1f} s): {whole / alone:.3f} x (CPU {whole_cpu / alone_cpu:.3f} x); "
                f"peak memory {peak:.0f} MiB",
                flush=True,
            )


if __name__ == "__main__":
    if sys.argv[1:2] in (["predict"], ["extract"]):
        {"predict": predict, "extract": extract}[sys.argv[1]](*sys.argv[2:])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
