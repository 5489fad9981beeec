"""features: one feature of one corpus, every utterance, in parallel, as one packed array. STUDY NAME CORPUS"""

import sys

from ser import plugins
from ser.compute import workers
from ser.errors import run_command
from ser.features import extraction
from ser.layout import Layout
from ser.store import Store


def main() -> None:
    study, name, corpus = sys.argv[1:]
    layout = Layout(study)
    settings = layout.settings(f"features/{name}")
    feature = plugins.build(
        plugins.load("features", settings["feature"]).Feature, settings["config"], f"features.{name}"
    )
    folder = layout.feature(corpus, name.removeprefix(f"{corpus}-"))
    store = extraction.extract(feature, Store(layout.audio(corpus)), folder, workers(layout.settings("run")))
    print(f"{name}: {len(store)} utterances, {store.card['rows']} rows of {store.card['dim']}")


if __name__ == "__main__":
    run_command(main)
