"""features: one feature of every utterance of a corpus, extracted in parallel into one packed array. STUDY NAME"""

import sys

from ser import plugins
from ser.compute import workers
from ser.errors import run_command
from ser.features import extraction
from ser.layout import Layout
from ser.store import Store


def main() -> None:
    study, name = sys.argv[1:]
    layout = Layout(study)
    settings = layout.settings(f"features/{name}")
    corpus, jobs = settings["corpus"], workers(layout.settings("run"))
    feature = plugins.build(
        plugins.load("features", settings["feature"]).Feature, settings["config"], f"features.{name}"
    )
    folder = layout.feature(corpus, name.removeprefix(f"{corpus}-"))
    store = extraction.extract(feature, Store(layout.audio(corpus)), folder, jobs)
    print(f"{name}: {len(store)} utterances, {store.card['rows']} rows of {store.card['dim']} numbers")


if __name__ == "__main__":
    run_command(main)
