"""manifest: reads a corpus's own layout into one table, decoding every file once. STUDY CORPUS"""

import sys

from ser import tables
from ser.core import plugins
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
    config = plugins.build(plugins.load("corpora", corpus).Config, receipt["reader"], f"corpora.{corpus}.reader")
    print(tables.write(corpus, location, config, layout.manifest(corpus), workers(layout.settings("run"))))


if __name__ == "__main__":
    door(main)
