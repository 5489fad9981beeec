"""download: the corpus is there, whole: downloaded, linked or synthesized; its receipt is the only tracked out. STUDY
CORPUS
"""

import sys

from ser.corpora import _source
from ser.errors import door
from ser.files import write_json
from ser.layout import Layout


def main() -> None:
    study, corpus = sys.argv[1:]
    layout = Layout(study)
    settings = layout.settings(f"download/{corpus}")
    location = _source.ensure(corpus, settings["source"], settings["reader"], settings["synthetic"])
    receipt = _source.receipt(location, corpus)
    write_json(layout.receipt(corpus), {**settings, **receipt})
    print(
        f"{corpus}: {receipt['files']} files, {receipt['bytes'] / 1e6:.0f} MB"
        + (", SYNTHETIC" if location.synthetic else "")
    )


if __name__ == "__main__":
    door(main)
