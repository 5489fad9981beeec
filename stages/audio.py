"""audio: one packed 16-bit mono array a corpus, resampled. STUDY CORPUS"""

import sys

from ser.compute import workers
from ser.corpora import manifest
from ser.corpora.reading.location import found
from ser.errors import run_command
from ser.features import extraction
from ser.files import read_json
from ser.layout import Layout


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
    run_command(main)
