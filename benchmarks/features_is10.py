"""IS10 functionals of EMO-DB: the feature stage on two cores against a loop over opensmile.Smile.process_signal.

    python benchmarks/features_is10.py [folder of EMO-DB]

Ours reads the audio store, which is made once for all features, and writes the feature store; the loop reads the files
and saves one array. Both are timed from process start to exit, imports included.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path


def ours(audio: str, folder: str) -> None:
    from ser.core.store import Store
    from ser.features.extraction import extract
    from ser.features.functionals import Feature

    extract(Feature(set="is10"), Store(audio), folder, jobs=2)


def loop(corpus: str, target: str) -> None:
    import numpy as np
    import opensmile
    import soundfile

    config = Path(opensmile.__file__).parent / "core" / "config" / "is09-13" / "IS10_paraling_compat.conf"
    smile = opensmile.Smile(str(config), feature_level="func")
    rows = []
    for path in sorted(Path(corpus, "wav").glob("*.wav")):
        signal, rate = soundfile.read(path, dtype="float32")
        rows.append(smile.process_signal(signal, rate).to_numpy())
    np.save(target, np.concatenate(rows))


def main(corpus: Path) -> None:
    import numpy as np
    from _common import child, pack

    from ser.core.store import Store

    with tempfile.TemporaryDirectory() as folder:
        audio, feature, reference = (Path(folder, n) for n in ("audio", "feature", "reference.npy"))
        store = pack(corpus, audio)
        slow, slow_cpu, _ = child("loop", corpus, reference)
        fast, fast_cpu, _ = child("ours", store.folder, feature)
        store = Store(feature)
        same = np.array_equal(store.array, np.load(reference))
    print(
        f"IS10, {len(store)} files: {slow / fast:.2f} x faster than a loop ({slow:.2f} s / {fast:.2f} s; "
        f"CPU {slow_cpu:.2f} s / {fast_cpu:.2f} s), numbers {'identical' if same else 'DIFFER'}"
    )


if __name__ == "__main__":
    if sys.argv[1:2] in (["ours"], ["loop"]):
        {"ours": ours, "loop": loop}[sys.argv[1]](*sys.argv[2:])
    else:
        from _common import EMODB

        main(Path(sys.argv[1]) if len(sys.argv) > 1 else EMODB)
