"""Mel energies of P1's log-mel: `ser.features.logmel` against the plain numpy form, librosa and torchaudio.

    python benchmarks/features_logmel.py [folder of EMO-DB]

All sides get the same float32 signals in memory and one thread, and do the same: 160 HTK bands, n_fft 2048, window 400,
hop 160. CPU seconds, the best of five rounds; the differences are between natural logarithms as the feature takes them.
A transform of our own stays only while it is at least 1.3 times as fast as every library.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

RATE, N_FFT, WIN, HOP, BANDS, FLOOR = 16000, 2048, 400, 160, 160, 1e-6
Side = Callable[[np.ndarray], np.ndarray]  # (N,) -> (T, bands)


def ours() -> Side:
    from ser.features.logmel import Feature

    feature = Feature()
    return lambda x: feature.energies(x, RATE)


def plain() -> Side:
    from ser.features import spectrum

    filters = spectrum.mel_filters(RATE, N_FFT, BANDS, 0.0, RATE / 2, False)
    window = spectrum.window("hamming", WIN)
    return lambda x: np.abs(np.fft.rfft(spectrum.frames(x, N_FFT, WIN, HOP) * window, N_FFT)) ** 2 @ filters


def of_librosa() -> Side:
    from librosa.feature import melspectrogram

    parameters = {"sr": RATE, "n_fft": N_FFT, "win_length": WIN, "hop_length": HOP, "window": "hamming"}
    parameters |= {"pad_mode": "reflect", "n_mels": BANDS, "htk": True, "norm": None}
    return lambda x: melspectrogram(y=x, **parameters).T


def of_torchaudio() -> Side:
    import torch
    from torchaudio.transforms import MelSpectrogram

    torch.set_num_threads(1)
    mel = MelSpectrogram(RATE, N_FFT, WIN, HOP, n_mels=BANDS, window_fn=torch.hamming_window)
    return lambda x: mel(torch.from_numpy(x)).T.numpy()


def main(corpus: Path) -> None:
    from _common import pack
    from threadpoolctl import threadpool_limits

    from ser.corpora.audio import to_float

    with tempfile.TemporaryDirectory() as folder:
        store = pack(corpus, Path(folder, "corpus"))
        signals = [to_float(store.read(u)) for u in store.utterances[:120]]
    sides = {"ours": ours(), "plain numpy": plain(), "librosa": of_librosa(), "torchaudio": of_torchaudio()}
    logs = {name: np.log(np.maximum(side(signals[0]), 0) + FLOOR) for name, side in sides.items()}
    best = dict.fromkeys(sides, np.inf)
    with threadpool_limits(1):
        for _ in range(5):
            for name, side in sides.items():
                start = time.process_time()
                for signal in signals:
                    side(signal)
                best[name] = min(best[name], time.process_time() - start)
    seconds = sum(map(len, signals)) / RATE
    print(f"mel energies of {seconds:.0f} s of speech, one thread")
    for name, cpu in best.items():
        apart = np.abs(logs[name] - logs["plain numpy"]).max()
        print(f"{name:<12} {cpu:.2f} s, {cpu / best['ours']:.2f} times ours, logs differ by up to {apart:.0e}")


if __name__ == "__main__":
    from _common import EMODB

    main(Path(sys.argv[1]) if len(sys.argv) > 1 else EMODB)
