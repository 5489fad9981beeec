"""features: one feature of every utterance of a corpus, extracted in parallel into one packed array. STUDY NAME"""

from ser.core import plugins
from ser.core.compute import workers
from ser.core.errors import arguments, run_command
from ser.core.layout import Layout
from ser.core.store import Store
from ser.features import extraction


def main() -> None:
    study, name = arguments("STUDY", "NAME")
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
