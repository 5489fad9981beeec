"""corpus: reads a corpus's own layout into tables of one form, and packs its audio into one array. STUDY CORPUS"""

import sys

from ser import plugins
from ser.compute import workers
from ser.corpora import manifest, tables
from ser.corpora.reading.location import found
from ser.errors import run_command
from ser.features import extraction
from ser.files import read_json
from ser.layout import Layout


def main() -> None:
    study, corpus = sys.argv[1:]
    layout = Layout(study)
    settings, jobs = layout.settings(f"corpus/{corpus}"), workers(layout.settings("run"))
    location = found(read_json(layout.receipt(corpus)))
    config = plugins.build(plugins.load("corpora", corpus).Config, settings["reader"], f"corpora.{corpus}.reader")
    print(tables.write(corpus, location, config, layout.manifest(corpus), jobs))
    if settings["rate"]:
        table = manifest.read(layout.manifest(corpus) / "utterances.csv")
        extraction.pack_audio(table, location.root, settings["rate"], layout.audio(corpus), jobs)


if __name__ == "__main__":
    run_command(main)
