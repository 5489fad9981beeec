"""words: word vectors from text and speech, their alignment, and the word streams of a corpus. Arguments: STUDY NAME"""

from ser.core import plugins
from ser.core.errors import arguments, run_command
from ser.core.files import read_json
from ser.core.layout import Layout
from ser.corpora.location import found
from ser.words.config import Config
from ser.words.make import Source, make, summary


def main() -> None:
    study, name = arguments("STUDY", "NAME")
    layout = Layout(study)
    settings = layout.settings(f"words/{name}")
    config = plugins.build(Config, settings["block"], f"words.{name}")
    corpus, target = (
        Source(layout.manifest(c), found(read_json(layout.receipt(c)), study).root)
        for c in (config.corpus, config.target)
    )
    card = make(config, corpus, target, layout.words(name), layout.about_words(name), settings["device"])
    print(f"{name}: {summary(card)}")


if __name__ == "__main__":
    run_command(main)
