"""Log-mel of EMO-DB: the feature stage on two cores against a loop over librosa.feature.melspectrogram.

Same parameters, compared before the normalisation, which the loop does not do.

    python benchmarks/features_logmel.py [folder of EMO-DB]

Ours reads the audio store, which is made once for all features, and writes the feature store; the loop reads the files
and saves one array. Both are timed from process start to exit, imports included.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path


def ours(audio: str, folder: str) -> None:
    from ser.features.extraction import extract
    from ser.features.logmel import Feature
    from ser.store import Store

    extract(Feature(cmvn=False), Store(audio), folder, jobs=2)


def loop(corpus: str, target: str) -> None:
    import librosa
    import numpy as np
    import soundfile

    found = []
    for path in sorted(Path(corpus, "wav").glob("*.wav")):
        signal, rate = soundfile.read(path, dtype="float32")
        mel = librosa.feature.melspectrogram(
            y=signal, sr=rate, n_fft=2048, win_length=400, hop_length=160, window="hamming", pad_mode="reflect",
            power=2.0, n_mels=160, fmin=0, fmax=8000, htk=True, norm=None,
        )  # fmt: skip
        found.append(np.log(mel + 1e-6).T)
    np.save(target, np.concatenate(found))


def main(corpus: Path) -> None:
    import numpy as np
    from _common import child, pack

    from ser.store import Store

    with tempfile.TemporaryDirectory() as folder:
        audio, feature, reference = (Path(folder, n) for n in ("audio", "feature", "reference.npy"))
        store = pack(corpus, audio)
        slow, slow_cpu, _ = child("loop", corpus, reference)
        fast, fast_cpu, _ = child("ours", store.folder, feature)
        store = Store(feature)
        worst = float(np.abs(store.array - np.load(reference)).max())
    print(
        f"log-mel, {len(store)} files: {slow / fast:.2f} x faster than librosa ({slow:.2f} s / {fast:.2f} s; "
        f"CPU {slow_cpu:.2f} s / {fast_cpu:.2f} s), largest difference {worst:.1e}"
    )


if __name__ == "__main__":
    if sys.argv[1:2] in (["ours"], ["loop"]):
        {"ours": ours, "loop": loop}[sys.argv[1]](*sys.argv[2:])
    else:
        from _common import EMODB

        main(Path(sys.argv[1]) if len(sys.argv) > 1 else EMODB)
