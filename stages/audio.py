"""audio: one packed 16-bit mono array a corpus, resampled. STUDY CORPUS"""

import sys

from ser import extraction
from ser.core import manifest
from ser.core.errors import door
from ser.core.files import read_json
from ser.core.layout import Layout
from ser.core.workers import workers
from ser.corpora._shared.location import found


def main() -> None:
    study, corpus = sys.argv[1:]
    layout = Layout(study)
    receipt = read_json(layout.receipt(corpus))
    location = found(receipt)
    table = manifest.read(layout.manifest(corpus) / "utterances.csv")
    rate = layout.settings(f"audio/{corpus}")["rate"]
    store = extraction.pack_audio(table, location.root, rate, layout.audio(corpus), workers(layout.settings("run")))
    minutes = store.card["rows"] / rate / 60
    print(f"{corpus}: {len(store)} utterances, {minutes:.1f} min at {rate} Hz, {store.card['clipped']} samples clipped")


if __name__ == "__main__":
    door(main)
