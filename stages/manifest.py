"""manifest: reads a corpus's own layout into one table, decoding every file once. STUDY CORPUS"""

import sys

from ser import plugins
from ser.compute import workers
from ser.corpora import tables
from ser.corpora.reading.location import found
from ser.errors import run_command
from ser.files import read_json
from ser.layout import Layout


def main() -> None:
    study, corpus = sys.argv[1:]
    layout = Layout(study)
    receipt = read_json(layout.receipt(corpus))
    location = found(receipt)
    config = plugins.build(plugins.load("corpora", corpus).Config, receipt["reader"], f"corpora.{corpus}.reader")
    print(tables.write(corpus, location, config, layout.manifest(corpus), workers(layout.settings("run"))))


if __name__ == "__main__":
    run_command(main)
