"""features: one feature of one corpus, every utterance, in parallel, as one packed array. STUDY NAME CORPUS"""

import sys

from ser import extraction
from ser.core import plugins
from ser.core.errors import door
from ser.core.layout import Layout
from ser.core.store import Store
from ser.core.workers import workers


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
    door(main)
